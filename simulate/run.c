/* One run: see run.h. */
#include "run.h"

#include <stdio.h>
#include <stdlib.h>

#include "rules.h"
#include "wheel.h"

#define HANDSHAKE_MS 50 /* from a SYN to the client's next packet */
#define SWEEP_MS     10000
#define ROOM_MOST    (1u << 28)

struct world {
	const struct options *options;
	struct random random, flood_random; /* so that a flood changes nothing of the flows */
	struct changes changes;
	size_t next_change;
	struct site site;
	struct schemes schemes;
	struct wheel wheel;
	struct flow *flows; /* 0 is none */
	uint32_t room, used, free;
	uint32_t alive;
	double arrival_ms; /* of the next flow */
	uint32_t span_ms, flood_begin_ms, flood_end_ms;
	uint64_t flooded;
	struct result result;
};

static uint32_t take_flow(struct world *w)
{
	uint32_t number = w->free;

	if (number) {
		w->free = w->flows[number].next;
		return number;
	}
	if (w->used + 1 >= w->room) {
		w->room = w->room ? w->room + w->room / 2 : 4096;
		w->flows = realloc(w->flows, w->room * sizeof(*w->flows));
		if (!w->flows) {
			perror("halfproxy-simulate: flows");
			exit(1);
		}
	}
	return ++w->used;
}

/* The hash of a client's flow to the one VIP, as the director's program sees it. */
static uint32_t hash_of(const struct world *w, struct random *random)
{
	uint64_t bits = random_bits(random);
	struct hp_flow flow = {
		.source[3] = (__be32)bits,
		.destination[3] = 0x0100020a,
		.source_port = (__be16)(bits >> 32),
		.destination_port = 0x5000,
		.protocol = 6,
	};

	return hp_flow_hash(&flow, HP_HASH_FLOW, w->options->seed);
}

static enum traffic_kind random_kind(struct world *w)
{
	const uint32_t *weights = w->options->traffic;
	uint32_t sum = 0, dice;
	int kind = 0;

	for (int i = 0; i < TRAFFIC_KINDS; i++)
		sum += weights[i];
	dice = random_below(&w->random, sum);
	while (dice >= weights[kind])
		dice -= weights[kind++];
	return (enum traffic_kind)kind;
}

static void open_flow(struct world *w)
{
	uint32_t number = take_flow(w);
	struct table *tables = w->schemes.tables;

	w->flows[number] = (struct flow){
		.hash = hash_of(w, &w->random),
		.traffic = traffic_open(&w->random, random_kind(w)),
		.due_ms = w->wheel.now_ms + HANDSHAKE_MS,
	};
	w->result.flows++;
	if (++w->alive > w->result.alive) {
		w->result.alive = w->alive;
		tables[SCHEME_LRU_ALIVE].fresh_most = w->alive;
		tables[SCHEME_LRU_TEN].fresh_most = 10 * w->alive;
	}
	schemes_packet(&w->schemes, w->flows, number, HP_PACKET_OPENING, w->wheel.now_ms);
	w->result.packets++;
	wheel_add(&w->wheel, w->flows, number);
}

static void speak(struct world *w, uint32_t number)
{
	struct flow *flow = &w->flows[number];
	bool is_last;

	w->result.packets++;
	schemes_packet(&w->schemes, w->flows, number, flow->is_ending ? HP_PACKET_FIN : HP_PACKET_UNDER_WAY, w->wheel.now_ms);
	if (flow->is_ending) {
		schemes_forget(&w->schemes, flow);
		flow->next = w->free;
		w->free = number;
		w->alive--;
		return;
	}
	flow->due_ms = w->wheel.now_ms + traffic_next(&w->random, &flow->traffic, &is_last);
	flow->is_ending = is_last;
	wheel_add(&w->wheel, w->flows, number);
}

/* All that happens to the backends by now is one change of the ring, if the ring changes. */
static void change(struct world *w)
{
	const struct change *list = w->changes.list;
	bool is_new = false;
	size_t end = w->next_change;

	for (; end < w->changes.count && list[end].at_ms <= w->wheel.now_ms; end++) {
		is_new = is_new || list[end].deed == DEED_LIST || list[end].deed == DEED_UNLIST;
		site_apply(&w->site, &list[end]);
		if (list[end].deed == DEED_GIVE_UP)
			schemes_give_up(&w->schemes, w->flows, list[end].backend);
	}
	w->next_change = end;
	if (!is_new)
		return;
	schemes_before_change(&w->schemes, w->wheel.now_ms);
	site_build(&w->site, list + end, w->changes.count - end);
	schemes_after_change(&w->schemes);
	w->result.rings++;
}

static void flood(struct world *w)
{
	uint32_t now_ms = w->wheel.now_ms;
	uint64_t due;

	if (now_ms < w->flood_begin_ms || now_ms >= w->flood_end_ms)
		return;
	due = (uint64_t)(now_ms - w->flood_begin_ms + 1) * w->options->flood_rate / 1000;
	for (; w->flooded < due; w->flooded++)
		schemes_flood(&w->schemes, w->flows, hash_of(w, &w->flood_random), now_ms);
}

static void millisecond(struct world *w)
{
	uint32_t due = wheel_turn(&w->wheel, w->flows);

	if (w->next_change < w->changes.count && w->changes.list[w->next_change].at_ms <= w->wheel.now_ms)
		change(w);
	while (due) {
		uint32_t number = due;

		due = w->flows[due].next;
		speak(w, number);
	}
	while (w->arrival_ms <= w->wheel.now_ms) {
		open_flow(w);
		w->arrival_ms += random_exponential(&w->random, (double)w->span_ms / (double)w->options->flows);
	}
	flood(w);
	if (w->wheel.now_ms % SWEEP_MS == 0)
		schemes_sweep(&w->schemes, w->flows, w->wheel.now_ms);
}

static void bound(struct world *w, const struct room *room)
{
	struct table *tables = w->schemes.tables;

	tables[SCHEME_LRU_ALIVE].fresh_most = tables[SCHEME_LRU_TEN].fresh_most = 1;
	if (!room)
		return;
	tables[SCHEME_LRU_WINDOW].fresh_most = room->lru_window;
	tables[SCHEME_JET].fresh_most = room->jet;
	for (int i = SCHEME_OURS; i <= SCHEME_CHANCE; i++) {
		tables[i].fresh_most = room->unproven;
		tables[i].kept_most = room->proven;
	}
}

/* What a hash table of the kernel takes, measured with 2^20 entries on Linux 6.18 (x86-64): a head of 48 bytes, a key of
 * 40, the value; and 16 for each bucket, of which there is the next power of two. */
static uint64_t table_bytes(uint32_t entries, uint32_t value)
{
	uint64_t buckets = 1;

	while (buckets < entries)
		buckets *= 2;
	return entries ? entries * (uint64_t)(48 + 40 + value) + buckets * 16 : 0;
}

/* Values: katran's {number, time} is 16 bytes, a backend's number alone 8, as values are rounded up. Our table of proven
 * flows takes memory for one at a time, and 8 bytes more for that. */
static void weigh(struct world *w, const struct room *room)
{
	uint64_t ring = w->site.size * sizeof(uint32_t);
	struct outcome *out = w->result.outcomes;
	const struct table *tables = w->schemes.tables;

	out[SCHEME_MODULO].ring_bytes = w->site.modulo_count * sizeof(uint32_t);
	out[SCHEME_LRU_ALIVE].entries = tables[SCHEME_LRU_ALIVE].fresh_most;
	out[SCHEME_LRU_TEN].entries = tables[SCHEME_LRU_TEN].fresh_most;
	out[SCHEME_LRU_WINDOW].entries = room ? room->lru_window : tables[SCHEME_LRU_WINDOW].peak;
	out[SCHEME_JET].entries = room ? room->jet : tables[SCHEME_JET].peak;
	for (int i = SCHEME_MAGLEV; i <= SCHEME_JET; i++)
		out[i].ring_bytes = ring;
	for (int i = SCHEME_LRU_ALIVE; i <= SCHEME_JET; i++)
		out[i].flow_bytes = table_bytes(out[i].entries, i == SCHEME_JET ? 8 : 16);
	for (int i = SCHEME_OURS; i <= SCHEME_CHANCE; i++) {
		uint32_t proven = room ? room->proven : tables[i].peak_kept;
		uint32_t unproven = room ? room->unproven : tables[i].peak_fresh;

		out[i].ring_bytes = 2 * ring;
		out[i].entries = proven + unproven;
		out[i].flow_bytes = table_bytes(proven, sizeof(struct hp_remembered) + 8) +
				    table_bytes(unproven, sizeof(struct hp_remembered));
	}
	for (int i = 0; i < SCHEMES; i++) {
		out[i].evicted = tables[i].evicted;
		for (int silence = 0; silence < SILENCES; silence++)
			out[i].broken[silence] = w->schemes.broken[i][silence];
	}
}

struct result run(const struct options *options, const struct room *room)
{
	struct world *w = calloc(1, sizeof(*w));
	struct result result;

	if (!w) {
		perror("halfproxy-simulate");
		exit(1);
	}
	w->options = options;
	w->random.state = options->seed;
	w->flood_random.state = ~options->seed;
	w->span_ms = (uint32_t)(options->hours * 3600 * 1000);
	w->flood_begin_ms = options->warm_s * 1000;
	w->flood_end_ms = w->flood_begin_ms + (options->flood_rate && room ? options->flood_s * 1000 : 0);
	w->changes = changes_make(options);
	site_init(&w->site, options, &w->changes);
	schemes_init(&w->schemes, &w->site, options->window_s);
	bound(w, room);
	while (w->wheel.now_ms < w->span_ms)
		millisecond(w);
	weigh(w, room);
	w->result.size = w->site.size;
	w->result.differ = w->schemes.differ;
	w->result.passed_on = w->schemes.passed_on;
	w->result.is_steady = motion_is_steady(&w->schemes.ours[0].motion);
	w->result.strangers = w->flooded;
	result = w->result;
	schemes_destroy(&w->schemes);
	site_destroy(&w->site);
	changes_destroy(&w->changes);
	free(w->flows);
	free(w);
	return result;
}

static uint32_t quarter_more(uint32_t entries)
{
	return entries + entries / 4 + 16;
}

/* Everyone gets a quarter more than it needed without the flood. The table of unproven flows, which is made for floods,
 * is told its rate: three seconds of it. */
struct room room_for_flood(const struct options *options, const struct result *without)
{
	const struct outcome *out = without->outcomes;
	uint64_t unproven = out[SCHEME_OURS].entries + 3ull * options->flood_rate;

	return (struct room){
		.lru_window = quarter_more(out[SCHEME_LRU_WINDOW].entries),
		.jet = quarter_more(out[SCHEME_JET].entries),
		.proven = quarter_more(out[SCHEME_OURS].entries),
		.unproven = unproven > ROOM_MOST ? ROOM_MOST : (uint32_t)unproven,
	};
}
