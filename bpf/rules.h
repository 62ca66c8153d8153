/* The rules of continuity: which backend a packet of a service that is not steady goes to, and what is remembered of it.
 *
 * Pure, and compiled three times: into the director's program, into the model checker that holds the rules against what
 * they are for (tests/unit/test_continuity.c), and into the simulator. What they are for: no packet of a flow reaches
 * another living backend than its opening packet did.
 *
 * A service has two rings: `now`, and `before`, the ring of its last steady or settling time.
 *
 *   moving    What was opened since the first change on another backend than `before` says is remembered. So an unknown
 *             packet of a flow under way was opened before that, and `before` knows its backend. An unknown opening
 *             packet goes to `now`.
 *   settling  What spoke while it was moving is remembered, where the rings differ. Whoever is unknown goes to `now`.
 *
 * Where both rings name the same backend nothing needs to be remembered, and unless the service asks (HP_MOTION_ASKS)
 * nothing is: a caller that finds them equal need not come here. */
#ifndef HP_RULES_H
#define HP_RULES_H

#include "abi.h"

#define RULES_INLINE static inline __attribute__((always_inline))

/* Everything that a decision depends on. */
struct hp_situation {
	__u32 motion;	/* HP_MOTION_* */
	__u32 now;	/* backend that the ring `now` names; 0: none */
	__u32 before;	/* backend that the ring `before` names; 0: none */
	__u8 before_lives; /* it is reachable */
	__u8 kind;	/* enum hp_packet_kind */
	__u8 is_known;	/* the flow is remembered: */
	__u8 known_lives;
	__u8 is_unproven; /* it is in the table of unproven flows */
	__u32 known;	/* its backend */
	__u32 marks;	/* HP_FLOW_* */
	__u64 age_ns;	/* since it was remembered */
};

struct hp_choice {
	__u32 backend; /* 0: none */
	__u32 marks;
	__u8 deed; /* enum hp_deed */
};

/* What a TCP segment is, by its flags (RFC 9293, 3.1). A SYN with an ACK comes from no client. */
RULES_INLINE enum hp_packet_kind hp_tcp_kind(__u8 flags)
{
	if (flags & 0x04)
		return HP_PACKET_RST;
	if ((flags & 0x12) == 0x02)
		return HP_PACKET_OPENING;
	return flags & 0x01 ? HP_PACKET_FIN : HP_PACKET_UNDER_WAY;
}

/* A flow's opening packet: to `now`, and remembered if `before` would say otherwise of its next packet. */
RULES_INLINE struct hp_choice hp_rule_opening(const struct hp_situation *s)
{
	struct hp_choice choice = {.backend = s->now, .marks = HP_FLOW_OPENED, .deed = HP_DEED_NONE};

	if (s->motion & HP_MOTION_MOVING && s->now && s->now != s->before)
		choice.deed = HP_DEED_REMEMBER;
	else if (s->is_known)
		choice.deed = HP_DEED_FORGET; /* what is remembered is of a flow that is over */
	return choice;
}

/* A flow under way that is not remembered. What ends it, or is about it, needs no memory.
 *
 * When its backend is dead it goes to `now`. Of TCP nothing is written then: it is lost, unless the backend comes back
 * first. Of UDP it may be a new flow, and has to stay where it goes. */
RULES_INLINE struct hp_choice hp_rule_unknown(const struct hp_situation *s)
{
	struct hp_choice choice = {.backend = s->now, .deed = HP_DEED_NONE};
	__u8 stays = s->before && s->before_lives;

	if (!(s->motion & HP_MOTION_MOVING))
		return choice;
	if (stays)
		choice.backend = s->before;
	if (s->before == s->now || s->kind == HP_PACKET_RST || s->kind == HP_PACKET_ABOUT)
		return choice;
	if (stays || (s->kind == HP_PACKET_EITHER && s->now))
		choice.deed = HP_DEED_REMEMBER;
	choice.marks = s->kind == HP_PACKET_FIN ? HP_FLOW_FIN : 0;
	return choice;
}

/* A remembered flow. The director checks no sequence numbers, so what an RST claims is believed only until another
 * packet comes; and a SYN that is sent again, as floods do, proves no flow. */
RULES_INLINE struct hp_choice hp_rule_known(const struct hp_situation *s)
{
	struct hp_choice choice = {.backend = s->known, .marks = s->marks, .deed = HP_DEED_REFRESH};

	if (!s->known_lives || s->kind == HP_PACKET_ABOUT) {
		choice.deed = HP_DEED_NONE;
		if (!s->known_lives)
			choice.backend = s->now; /* until it is back */
		return choice;
	}
	if (s->kind == HP_PACKET_RST) {
		choice.marks |= HP_FLOW_RST;
		choice.deed = s->marks & HP_FLOW_CLOSING ? HP_DEED_MARK : HP_DEED_REFRESH;
		return choice;
	}
	choice.marks &= ~HP_FLOW_RST;
	if (s->kind == HP_PACKET_FIN)
		choice.marks |= HP_FLOW_FIN;
	if (s->is_unproven && s->age_ns >= HP_PROVEN_AFTER_NS && s->kind != HP_PACKET_OPENING)
		choice.deed = HP_DEED_PROMOTE;
	return choice;
}

/* Decide. Needs a service that moves or settles. */
RULES_INLINE struct hp_choice hp_rule(const struct hp_situation *s)
{
	if (s->kind == HP_PACKET_OPENING && (!s->is_known || !s->known_lives || s->marks & HP_FLOW_CLOSING))
		return hp_rule_opening(s);
	return s->is_known ? hp_rule_known(s) : hp_rule_unknown(s);
}

/* The backend that a gue packet names for its second chance: the other of the two that the rings name. 0: none.
 *
 * Picked may be neither, a flow remembered from an earlier motion. Was that memory a guess, made by a director that had
 * forgotten the flow, then the flow is where `now` pointed at the time, which is what `before` says by now. */
RULES_INLINE __u32 hp_rule_alternate(__u32 picked, __u32 now, __u32 before, __u8 before_lives)
{
	if (before && before_lives && picked != before)
		return before;
	return picked != now ? now : 0;
}

#endif
