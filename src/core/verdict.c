/* Verdicts: see verdict.h. The rules are asked in their order; the first that fits speaks. */
#include "core/verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void say(struct verdict *out, enum cause cause, bool is_certain, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void say(struct verdict *out, enum cause cause, bool is_certain, const char *format, ...)
{
	va_list args;

	out->cause = cause;
	out->is_certain = is_certain;
	va_start(args, format);
	vsnprintf(out->text, sizeof(out->text), format, args);
	va_end(args);
}

/* The evidence's addresses as texts. */
struct names {
	char target[IP_TEXT_BYTES + 10]; /* what was asked, with its port */
	char vip[IP_TEXT_BYTES], backend[IP_TEXT_BYTES], from[IP_TEXT_BYTES], icmp_from[IP_TEXT_BYTES];
};

static void name_all(const struct verdict_evidence *evidence, struct names *names)
{
	const struct ip *target = evidence->is_via_backend ? &evidence->backend : &evidence->vip;
	char text[IP_TEXT_BYTES];

	ip_format(&evidence->vip, names->vip);
	ip_format(&evidence->backend, names->backend);
	ip_format(&evidence->result.from, names->from);
	ip_format(&evidence->icmp_from, names->icmp_from);
	ip_format(target, text);
	if (evidence->port)
		snprintf(names->target, sizeof(names->target), ip_is4(target) ? "%s:%u" : "[%s]:%u", text, evidence->port);
	else
		snprintf(names->target, sizeof(names->target), "%s", text);
}

static bool is_tunnel(const struct verdict_evidence *evidence)
{
	return !evidence->is_via_backend && strcmp(evidence->method, "l2") != 0;
}

static bool is_from_backend(const struct verdict_evidence *evidence, const struct ip *from)
{
	return ip_equal(from, &evidence->backend);
}

/* Nobody opens the tunnel, or not for the address that probes come from. */
static void say_closed(const struct verdict_evidence *evidence, const char *kind, const char *from, struct verdict *out)
{
	char source[IP_TEXT_BYTES];

	if (ip_is_unspecified(&evidence->probe_source))
		say(out, CAUSE_NOT_DECAPSULATED, true, "tunnel is not decapsulated (ICMP %s unreachable from %s)", kind, from);
	else
		say(out, CAUSE_NOT_DECAPSULATED, true,
		    "tunnel is not decapsulated (ICMP %s unreachable from %s), or not for probes: besides the prefix of clients' "
		    "packets, --from there has to name %s", kind, from, ip_format(&evidence->probe_source, source));
}

/* ---- what is certain ------------------------------------------------------------------------------------------------------ */

/* What ICMP about the outer packet says, whatever else was seen. Returns whether it says anything. */
static bool judge_icmp(const struct verdict_evidence *evidence, const struct names *names, struct verdict *out)
{
	const char *from = names->icmp_from;

	switch (evidence->icmp) {
	case VERDICT_NO_ICMP:
		return false;
	case VERDICT_NO_PROTOCOL:
	case VERDICT_NO_PORT:
		say_closed(evidence, evidence->icmp == VERDICT_NO_PORT ? "port" : "protocol", from, out);
		return true;
	case VERDICT_NO_HOST:
		if (!evidence->is_via_backend && is_from_backend(evidence, &evidence->icmp_from))
			say(out, CAUSE_VIP_MISSING, true, "VIP %s is not on the backend (ICMP unreachable from %s)", names->vip,
			    from);
		else
			say(out, CAUSE_NO_WAY, true, "no way leads to %s (ICMP unreachable from %s)", names->backend, from);
		return true;
	case VERDICT_PROHIBITED:
		say(out, CAUSE_FILTERED, true, "a packet filter rejects it (ICMP prohibited from %s)", from);
		return true;
	case VERDICT_TOO_BIG:
		say(out, CAUSE_PATH_MTU, true, "full-size packets do not arrive (path MTU; ICMP from %s)", from);
		return true;
	}
	return false;
}

/* An answer that came from the other end: whatever else was heard of the way there is older. */
static bool has_arrived(const struct verdict_evidence *evidence)
{
	switch (evidence->result.answer) {
	case HEALTH_GOOD:
	case HEALTH_REFUSED:
	case HEALTH_RESET:
	case HEALTH_CERTIFICATE:
	case HEALTH_STRANGER:
		return true;
	case HEALTH_WRONG:
		return !evidence->is_script; /* whose words say nothing of what it asked */
	case HEALTH_SILENT:
	case HEALTH_SLOW:
	case HEALTH_NO_HOST:
	case HEALTH_NO_PROTOCOL:
	case HEALTH_PROHIBITED:
	case HEALTH_TOO_BIG:
	case HEALTH_LOCAL:
	case HEALTH_ANSWER_COUNT:
		return false;
	}
	return false;
}

/* What is known without the probe's own answer. */
static bool judge_passive(const struct verdict_evidence *evidence, const struct names *names, struct verdict *out)
{
	if (evidence->is_unresolved) {
		say(out, CAUSE_NEXT_HOP_UNRESOLVED, true, "next hop does not resolve");
		return true;
	}
	if (has_arrived(evidence) && evidence->icmp != VERDICT_TOO_BIG)
		return false;
	if (evidence->came_back) {
		say(out, CAUSE_VIP_MISSING, true, "VIP %s is not on the backend (packet came back)", names->vip);
		return true;
	}
	return judge_icmp(evidence, names, out);
}

/* Probes of a VIP that is this host's do not leave it, whatever answers them. */
static bool judge_local(const struct verdict_evidence *evidence, const struct names *names, struct verdict *out)
{
	if (!evidence->is_vip_local || evidence->is_via_backend)
		return false;
	say(out, CAUSE_VIP_LOCAL, true,
	    "VIP %s is an address of this host, so that probes do not leave it: nothing is known of %s",
	    names->vip, names->backend);
	return true;
}

/* ---- silence ------------------------------------------------------------------------------------------------------------- */

/* The backend lives, its VIP says nothing at all. From here it cannot be told apart what the backend's own doctor can; but a
 * host that does not open a tunnel says so by ICMP as a rule, and one that lacks an address drops what is for it in silence. */
static void judge_mute(const struct verdict_evidence *evidence, const struct names *names, struct verdict *out)
{
	say(out, CAUSE_VIP_MISSING, false,
	    "VIP %s is not on the backend (silence, while %s answers)%s, or its rp_filter drops what arrives, or its answers are "
	    "lost on the way back: `halfproxy-backend doctor` there tells",
	    names->vip, names->backend, is_tunnel(evidence) ? ", or the tunnel is not decapsulated there" : "");
}

static void judge_silence(const struct verdict_evidence *evidence, const struct names *names, struct verdict *out)
{
	if (evidence->answer_arrived) {
		say(out, CAUSE_ANSWERS_LOST, true,
		    "answers are lost on the way back (they reach this host and no socket: rp_filter or a packet filter here)");
	} else if (evidence->echo == VERDICT_ANSWERS) {
		say(out, CAUSE_PORT_SILENT, true,
		    "nothing comes from %s, though %s answers ping: the port is filtered, or its answers are lost on the way "
		    "back, or the service accepts nothing", names->target, names->vip);
	} else if (evidence->own == VERDICT_SILENT) {
		say(out, CAUSE_BACKEND_SILENT, true, "%s does not answer at all", names->backend);
	} else if (evidence->is_via_backend) {
		say(out, CAUSE_PORT_SILENT, false, "nothing comes from %s", names->target);
	} else if (evidence->own == VERDICT_ANSWERS) {
		judge_mute(evidence, names, out);
	} else {
		say(out, CAUSE_BACKEND_SILENT, false, "nothing comes from %s", names->target);
	}
}

/* ---- answers -------------------------------------------------------------------------------------------------------------- */

static void judge_good(const struct verdict_evidence *evidence, const struct names *names, struct verdict *out)
{
	if (evidence->came_back && evidence->is_via_backend)
		say(out, CAUSE_VIP_MISSING, true, "the VIP is not on the backend (packets came back), whose own address is well");
	else if (evidence->full == VERDICT_SILENT)
		say(out, CAUSE_PATH_MTU, true, "full-size packets do not arrive (path MTU)");
	else if (evidence->own == VERDICT_SILENT)
		say(out, CAUSE_OWN_ADDRESS_SILENT, true, "healthy, though %s itself does not answer", names->backend);
}

static void judge_refusal(const struct verdict_evidence *evidence, const struct names *names, struct verdict *out)
{
	const char *how = evidence->is_udp ? "ICMP port unreachable" : "RST";

	if (evidence->own_accepts && !evidence->is_udp && !evidence->is_via_backend) {
		say(out, CAUSE_OWN_ADDRESS_ONLY, true, "the service listens on %s only: %s refuses connections (RST from "
		    "the VIP)", names->backend, names->target);
		return;
	}
	say(out, CAUSE_NOT_LISTENING, true, "nothing listens on %s (%s from %s)", names->target, how,
	    evidence->is_via_backend ? "it" : "the VIP");
}

static void judge_unreachable(const struct verdict_evidence *evidence, const struct names *names, struct verdict *out)
{
	if (!evidence->is_via_backend && is_from_backend(evidence, &evidence->result.from))
		say(out, CAUSE_VIP_MISSING, true, "VIP %s is not on the backend (ICMP unreachable from %s)", names->vip,
		    names->from);
	else
		say(out, CAUSE_NO_WAY, true, "no way leads to %s (ICMP unreachable from %s)", names->backend, names->from);
}

static void judge_slow(const struct verdict_evidence *evidence, struct verdict *out)
{
	const struct health_result *result = &evidence->result;

	if (evidence->full == VERDICT_SILENT)
		say(out, CAUSE_PATH_MTU, true, "full-size packets do not arrive (path MTU)");
	else
		say(out, CAUSE_TOO_SLOW, true, "too slow (%.1f s of %.3g s allowed)%s%s", result->took_us / 1e6,
		    evidence->timeout_ms / 1e3, *result->text ? ": " : "", result->text);
}

/* What the kind of probe has in words, or else what the answer's name says. */
static void repeat(const struct health_result *result, enum cause cause, const char *otherwise, struct verdict *out)
{
	say(out, cause, true, "%s", *result->text ? result->text : otherwise);
}

static void judge_answer(const struct verdict_evidence *evidence, const struct names *names, struct verdict *out)
{
	const struct health_result *result = &evidence->result;

	switch (result->answer) {
	case HEALTH_GOOD:
		judge_good(evidence, names, out);
		return;
	case HEALTH_WRONG:
		repeat(result, CAUSE_WRONG_ANSWER, "the answer is not as expected", out);
		return;
	case HEALTH_CERTIFICATE:
		repeat(result, CAUSE_CERTIFICATE, "the certificate does not hold", out);
		return;
	case HEALTH_SLOW:
		judge_slow(evidence, out);
		return;
	case HEALTH_RESET:
		say(out, CAUSE_CUT_OFF, true, "%s accepts connections and cuts them off%s%s", names->target,
		    *result->text ? ": " : "", result->text);
		return;
	case HEALTH_REFUSED:
		judge_refusal(evidence, names, out);
		return;
	case HEALTH_STRANGER:
		say(out, CAUSE_WRONG_SOURCE, true, "answers come from %s and not from the VIP", names->from);
		return;
	case HEALTH_NO_PROTOCOL:
		say_closed(evidence, "protocol", names->from, out);
		return;
	case HEALTH_NO_HOST:
		judge_unreachable(evidence, names, out);
		return;
	case HEALTH_PROHIBITED:
		say(out, CAUSE_FILTERED, true, "a packet filter rejects it (ICMP prohibited from %s)", names->from);
		return;
	case HEALTH_TOO_BIG:
		say(out, CAUSE_PATH_MTU, true, "full-size packets do not arrive (path MTU; ICMP from %s)", names->from);
		return;
	case HEALTH_LOCAL:
		repeat(result, CAUSE_PROBE_NOT_SENT, "this host could not send the probe", out);
		return;
	case HEALTH_SILENT:
		judge_silence(evidence, names, out);
		return;
	case HEALTH_ANSWER_COUNT:
		return;
	}
}

void verdict_judge(const struct verdict_evidence *evidence, struct verdict *out)
{
	bool is_good = evidence->result.answer == HEALTH_GOOD;
	struct names names;

	memset(out, 0, sizeof(*out));
	name_all(evidence, &names);
	if (judge_local(evidence, &names, out))
		return;
	/* A good answer has come all the way: older evidence against it is over, but for what tells of large packets. */
	if (is_good || !judge_passive(evidence, &names, out))
		judge_answer(evidence, &names, out);
}
