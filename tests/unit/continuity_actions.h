/* What can happen to the world of continuity_world.h: actions, in words and in deeds. */
#ifndef HP_TEST_CONTINUITY_ACTIONS_H
#define HP_TEST_CONTINUITY_ACTIONS_H

#include "continuity_daemon.h"
#include "core/ring.h"

#define DEADLINE (40 * TICKS)

enum action_kind {
	SYN, /* a = flow; an opening, a retransmission, or a new opening, as the truth has it */
	ACK,
	FIN,
	RESET,
	FORGED_RESET,
	ICMP_ERROR,
	CHANGE, /* a = code of the ring; with rings, a = its seed */
	CHANGE_AT_ONCE,
	KILLED_IN_CHANGE,
	SPLIT,
	DIE, /* a = backend */
	RETURN, /* b = 1: all flows are its own again */
	REMOVE,
	ADD,
	WEIGHT, /* a = backend, b = weight; from here on with rings only */
	DRAIN,
	UNDRAIN,
	RESIZE, /* a = which size */
	BACK,	/* to the setting before the last change */
	END_WINDOW,
	SWEEP,
	RESTART,
	FLOOD, /* a = 1: one stranger, else as many as the table holds */
	FILL,  /* strangers fill the table of proven flows, or leave it */
	WAIT,  /* a = which time */
	WIPE,  /* another director takes over: it remembers nothing */
	ACTION_KINDS
};

struct action {
	uint8_t kind, a, b;
};

static const uint8_t action_ticks[] = {1, TICKS, 30 * TICKS, 61 * TICKS, WINDOW_S * TICKS, SILENT};
static const uint32_t action_sizes[] = {7, 13, 31};

static const char *const action_words[ACTION_KINDS] = {
	"SYN of flow", "ACK of flow", "FIN of flow", "RST of flow", "forged RST of flow", "ICMP error about flow",
	"change to ring", "change without a window to ring", "killed in a change to ring", "split off with ring",
	"death of", "return of", "removal of", "addition of", "weight of", "drain of", "undrain of", "resize",
	"change back", "end of window, if due", "half a sweep", "restart of the daemon", "flood",
	"strangers fill the table, or leave", "time", "another director",
};

static void print_action(struct action action)
{
	if (action.kind == WAIT)
		print_message("    %.1f s\n", (double)action_ticks[action.a] / TICKS);
	else
		print_message("    %s %u, %u\n", action_words[action.kind], action.a, action.b);
}

static bool is_eligible(const struct world *w, uint8_t backend)
{
	return backend && !w->is_dead[backend] && !w->is_removed[backend];
}

/* Backend, or the next one that may be in a ring; 0: there is none. */
static uint8_t eligible(const struct world *w, uint8_t backend)
{
	for (unsigned int i = 0; i < scene->backends; i++) {
		uint8_t b = (uint8_t)((backend - 1 + i) % scene->backends + 1);

		if (is_eligible(w, b))
			return b;
	}
	return 0;
}

/* The ring that a code says: a digit for each flow. */
static void ring_of_code(const struct world *w, uint8_t code, uint8_t *ring)
{
	for (unsigned int f = 0; f < scene->flows; f++) {
		ring[f] = eligible(w, (uint8_t)(1 + code % scene->backends));
		code /= scene->backends;
	}
}

/* The ring of a setting, built, and asked for every flow by its own hash. */
static void ring_of_setting(const struct world *w, uint8_t *ring)
{
	struct ring_member members[WORLD_BACKENDS];
	struct ring_spec spec = {.members = members, .size = action_sizes[w->setting.size], .seed = w->setting.seed};
	uint32_t slots[31];

	for (uint8_t b = 1; b <= scene->backends; b++)
		if (is_eligible(w, b) && w->setting.weight[b] && !w->setting.is_drained[b])
			members[spec.count++] = (struct ring_member){.address = ip_from4((uint8_t[]){10, 3, 0, b}),
								     .method = HP_METHOD_IPIP_4_IN_4,
								     .weight = w->setting.weight[b], .number = b};
	memset(ring, 0, WORLD_FLOWS);
	if (!spec.count)
		return;
	assert_int_equal(ring_build(&spec, slots, NULL), 0);
	for (unsigned int f = 0; f < scene->flows; f++) {
		struct hp_flow flow = {.source[3] = 0x0101a8c0 + (f << 24), .source_port = (__be16)(40000 + f),
				       .destination[3] = 0x0100020a, .destination_port = 80, .protocol = 6};

		ring[f] = (uint8_t)slots[hp_slot(hp_flow_hash(&flow, HP_HASH_FLOW, spec.seed), spec.size)];
	}
}

/* The ring after what has become of the backends. all: whose every flow shall be, without rings; 0: only what has to
 * move moves. */
static void ring_after(const struct world *w, uint8_t all, uint8_t *ring)
{
	memset(ring, 0, WORLD_FLOWS);
	if (scene->has_rings)
		ring_of_setting(w, ring);
	for (unsigned int f = 0; !scene->has_rings && f < scene->flows; f++)
		ring[f] = eligible(w, all ? all : w->now[f] ? w->now[f] : 1);
}

static void ring_change(struct world *w, struct action action)
{
	struct world_setting setting = w->setting;
	uint8_t ring[WORLD_FLOWS] = {0};

	if (scene->has_rings) {
		w->setting.seed = action.a;
		ring_of_setting(w, ring);
	} else {
		ring_of_code(w, action.a, ring);
	}
	w->former = setting;
	if (action.kind == CHANGE)
		change(w, ring);
	else if (action.kind == CHANGE_AT_ONCE)
		change_at_once(w, ring);
	else if (action.kind == SPLIT)
		split(w, ring);
	else
		killed_in_change(w, ring);
	if (action.kind == KILLED_IN_CHANGE && !is(PUBLISHED_BEFORE_UNTIL))
		w->setting = setting;
}

static void backend_change(struct world *w, struct action action)
{
	uint8_t ring[WORLD_FLOWS], b = action.a;

	if (action.kind == DIE ? w->is_dead[b] : action.kind == RETURN && !w->is_dead[b])
		return;
	if (action.kind == REMOVE ? w->is_removed[b] : action.kind == ADD && !w->is_removed[b])
		return;
	if (action.kind == DIE || action.kind == RETURN) {
		w->is_dead[b] = action.kind == DIE;
	} else {
		w->is_removed[b] = action.kind == REMOVE;
		w->deadline[b] = action.kind == REMOVE ? DEADLINE : 0;
	}
	ring_after(w, action.b ? b : 0, ring);
	change(w, ring);
}

static void setting_change(struct world *w, struct action action)
{
	struct world_setting setting = w->setting;
	uint8_t ring[WORLD_FLOWS];

	if (action.kind == WEIGHT)
		w->setting.weight[action.a] = action.b;
	else if (action.kind == DRAIN || action.kind == UNDRAIN)
		w->setting.is_drained[action.a] = action.kind == DRAIN;
	else if (action.kind == RESIZE)
		w->setting.size = action.a;
	else
		w->setting = w->former;
	w->former = setting;
	ring_of_setting(w, ring);
	change(w, ring);
}

/* Motion and rings are adopted; of a sweep and of deadlines a new daemon knows nothing. */
static void restart(struct world *w)
{
	w->is_sweeping = 0;
	for (uint8_t b = 1; b <= scene->backends; b++)
		if (w->deadline[b])
			w->deadline[b] = DEADLINE;
}

static void wipe(struct world *w)
{
	for (unsigned int f = 0; f < scene->flows; f++) {
		if (w->proven[f].backend || w->unproven[f].backend)
			w->truth[f].marks |= TRUTH_ADRIFT;
		drop(w, f);
	}
}

static void packet_action(struct world *w, struct action action)
{
	static const enum hp_packet_kind kinds[] = {HP_PACKET_OPENING, HP_PACKET_UNDER_WAY, HP_PACKET_FIN};

	if (scene->is_udp && action.kind != ICMP_ERROR)
		packet(w, action.a, HP_PACKET_EITHER);
	else if (action.kind == RESET)
		reset(w, action.a);
	else if (action.kind == FORGED_RESET)
		forge_reset(w, action.a);
	else
		packet(w, action.a, action.kind == ICMP_ERROR ? HP_PACKET_ABOUT : kinds[action.kind]);
}

/* Do it. Whatever the action, any world takes it. */
static void act(struct world *w, struct action action)
{
	if (action.kind <= ICMP_ERROR)
		packet_action(w, action);
	else if (action.kind <= SPLIT)
		ring_change(w, action);
	else if (action.kind <= ADD)
		backend_change(w, action);
	else if (action.kind <= BACK)
		setting_change(w, action);
	else if (action.kind == END_WINDOW)
		end_window(w);
	else if (action.kind == SWEEP)
		sweep(w);
	else if (action.kind == RESTART)
		restart(w);
	else if (action.kind == FILL)
		w->is_full = !w->is_full;
	else if (action.kind == WAIT)
		pass_time(w, action_ticks[action.a]);
	else if (action.kind == WIPE)
		wipe(w);
	for (unsigned int i = 0; action.kind == FLOOD && i < (action.a ? 1u : scene->unproven_most); i++)
		evict(w);
	check_rest(w);
}

static struct world world_new(void)
{
	struct world w;
	uint8_t ring[WORLD_FLOWS];

	memset(&w, 0, sizeof(w));
	memset(w.setting.weight, 2, sizeof(w.setting.weight));
	w.former = w.setting;
	ring_after(&w, 0, ring);
	set_now(&w, ring);
	return w;
}

#endif
