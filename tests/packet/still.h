/* A still of a data plane: all that its maps say, as sorted lines that do not tell how large they are. What is taken over
 * into other maps must give the same still. */
#ifndef HP_TESTS_PACKET_STILL_H
#define HP_TESTS_PACKET_STILL_H

#include "packet/lab.h"

#include <net/ethernet.h>

/* Limits that a configuration says, all of them. */
#define SAYS_ALL                                                                                        \
	(DATAPLANE_SAYS_SERVICES | DATAPLANE_SAYS_BACKENDS | DATAPLANE_SAYS_BLOCKS | DATAPLANE_SAYS_FLOWS | \
	 DATAPLANE_SAYS_UNPROVEN | DATAPLANE_SAYS_PREFIXES | DATAPLANE_SAYS_SOURCES | DATAPLANE_SAYS_FRAGMENTS)

struct still {
	struct dataplane *plane;
	char **lines;
	size_t count;
};

__attribute__((format(printf, 2, 3))) static inline void still_add(struct still *still, const char *format, ...)
{
	va_list args;

	still->lines = realloc(still->lines, (still->count + 1) * sizeof(char *));
	assert_non_null(still->lines);
	va_start(args, format);
	assert_true(vasprintf(&still->lines[still->count++], format, args) > 0);
	va_end(args);
}

static inline uint64_t still_ring(const struct still *still, uint32_t at)
{
	const union hp_block *ring = still->plane->blocks + at;
	uint64_t sum = ring->head.fingerprint[0] ^ ring->head.seed;

	for (uint32_t i = 0; at && i < ring->head.size; i++)
		sum = hp_mix(sum + ring[1].slot[i]);
	return at ? sum : 0;
}

static inline void still_counts(struct still *still, const char *of, uint32_t number, const uint64_t *cell, int cells)
{
	for (int i = 0; i < cells; i++)
		if (cell[i])
			still_add(still, "%s %u counts %d: %llu", of, number, i, (unsigned long long)cell[i]);
}

static inline void still_key(void *context, const struct ip *vip, uint32_t what, uint32_t number)
{
	struct still *still = context;
	const struct hp_service *service = &still->plane->services[number];
	uint64_t cell[HP_SERVICE_CELLS];
	char text[IP_TEXT_BYTES];

	if (what == HP_WHAT_VIP) {
		still_add(still, "vip %s flags %x", ip_format(vip, text), number);
		return;
	}
	still_add(still, "service %s %x is %u: ring %llx, before %llx, flags %x, until %llu", ip_format(vip, text), what, number,
		  (unsigned long long)still_ring(still, service->now),
		  (unsigned long long)still_ring(still, service->before & HP_BLOCK_MASK), service->before & ~HP_BLOCK_MASK,
		  (unsigned long long)still->plane->motions[number].until_s);
	still_add(still, "service %u has guard %u", number, still->plane->terms[number].guard);
	dataplane_service_sum(still->plane, number, cell);
	still_counts(still, "service", number, cell, HP_SERVICE_CELLS);
}

static inline void still_backends(struct still *still)
{
	for (uint32_t number = 1; number < still->plane->limits.backends; number++) {
		const struct hp_identity *identity = &still->plane->identities[number];
		const struct hp_adjacency *way = still->plane->adjacencies + still->plane->backends[number].adjacency;
		uint64_t cell[HP_BACKEND_CELLS];

		if (identity->method == HP_METHOD_NONE)
			continue;
		still_add(still, "backend %u: %08x%08x method %u departed %u, adjacency %u by %02x:%02x", number,
			  identity->address[2], identity->address[3], identity->method, identity->departed_s,
			  still->plane->backends[number].adjacency, way->l2[4], way->l2[5]);
		dataplane_backend_sum(still->plane, number, cell);
		still_counts(still, "backend", number, cell, HP_BACKEND_CELLS);
	}
}

static inline int still_prefix(void *context, const struct guard_row *row)
{
	const __be32 *address = row->key.address;

	still_add(context, "prefix %08x:%08x:%08x:%08x/%u of set %u says %x", address[0], address[1], address[2], address[3],
		  row->key.bits, row->key.set, row->value);
	return 0;
}

static inline void still_flows(struct still *still, enum dataplane_table table)
{
	struct dataplane_walk walk = {0};
	struct err e;
	int count;

	while ((count = dataplane_walk_flows(still->plane, table, &walk, &e)) > 0)
		for (int i = 0; i < count; i++) {
			const struct hp_remembered *value = &walk.rows[i].value;

			assert_int_equal(value->check, hp_flow_check(&walk.rows[i].key));
			still_add(still, "flow %08x:%u to %08x, %s: backend %u, since %llu, seen %llu, marks %x",
				  walk.rows[i].key.source[3], ntohs(walk.rows[i].key.source_port),
				  walk.rows[i].key.destination[3], table == DATAPLANE_FLOWS ? "proven" : "unproven",
				  value->backend, (unsigned long long)value->since_ns, (unsigned long long)value->seen_ns,
				  value->marks);
		}
	assert_int_equal(count, 0);
	dataplane_walk_end(&walk);
}

static inline int still_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static inline struct still still_take(struct dataplane *plane)
{
	struct still still = {.plane = plane};
	uint64_t cell[HP_SERVICE_CELLS];

	keys_each(&plane->keys4, still_key, &still);
	keys_each(&plane->keys6, still_key, &still);
	dataplane_service_sum(plane, 0, cell);
	still_counts(&still, "no service", 0, cell, HP_SERVICE_CELLS);
	still_backends(&still);
	assert_int_equal(dataplane_guards_each(plane, still_prefix, &still, NULL), 0);
	still_flows(&still, DATAPLANE_UNPROVEN);
	still_flows(&still, DATAPLANE_FLOWS);
	for (int event = 0; event < HP_FLOW_EVENT_COUNT; event++)
		still_add(&still, "event %d: %llu", event,
			  (unsigned long long)dataplane_flow_events(plane, (enum hp_flow_event)event));
	for (int i = 0; i < HP_INTERFACES_MOST; i++)
		if (plane->interfaces[i].ifindex)
			still_add(&still, "interface %u announces %u", plane->interfaces[i].ifindex,
				  plane->interfaces[i].interface.announce);
	qsort(still.lines, still.count, sizeof(char *), still_order);
	return still;
}

static inline void still_free(struct still *still)
{
	for (size_t i = 0; i < still->count; i++)
		free(still->lines[i]);
	free(still->lines);
}

/* Say what is only in one of the two; says NULL: in silence. Returns how much that is. */
static inline int still_differ(const char *says, const struct still *a, const struct still *b)
{
	size_t i = 0, j = 0;
	int differs = 0;

	while (i < a->count || j < b->count) {
		int order = i == a->count ? 1 : j == b->count ? -1 : strcmp(a->lines[i], b->lines[j]);

		if (order && differs++ < 10 && says)
			print_error("    WRONG: %s: %s \"%s\"\n", says, order < 0 ? "lost" : "new",
				    order < 0 ? a->lines[i] : b->lines[j]);
		i += order <= 0;
		j += order >= 0;
	}
	return differs;
}

/* ---- a data plane that has something to lose ----------------------------------------------------------------------- */

/* Maps without a link are what a start cut short has left, and nobody's to adopt. */
static inline int still_open_attached(void **state)
{
	int failed = lab_open(state);
	struct lab *lab = *state;
	bool is_native;
	struct err e;

	if (failed)
		return failed;
	failed = dataplane_attach(&lab->plane, "in0", lab->in, DATAPLANE_INGRESS, CONFIG_MODE_GENERIC, &is_native, &e);
	if (failed)
		print_error("%s\n", e.text);
	return failed;
}

/* The backend that a packet of a flow reaches, by its address's last byte; 0: none. flags: of TCP. */
static inline int still_send(struct lab *lab, const char *from, const char *vip, uint16_t port, uint8_t flags)
{
	struct wire_spec spec = {.from = from, .to = vip, .from_port = port, .to_port = 80};
	struct lab_end end;
	struct wire in;

	wire_make(&in, &spec);
	in.byte[in.l4 + 13] = flags;
	lab_run(lab, &in, &end);
	return end.verdict == HP_FORWARDED ? end.frame.byte[5] : 0;
}

#define STILL_FLOWS 40
#define STILL_PORT 40000

/* Services of both families, and one that a change put at risk: flows from before it, from after it, half of them
 * proven, one closing. reached: what each of the flows reaches. */
static inline void still_fill(struct lab *lab, int reached[static STILL_FLOWS])
{
	static const char text[] = "services:\n"
				   "- {vip: 10.2.0.1, port: 80, slots: 1009, forward: l2, backends: [10.3.0.1, 10.3.0.2%s]}\n"
				   "- {vip: \"fd00:2::1\", port: 80, slots: 257, forward: l2, backends: [\"fd00:3::1\"]}\n"
				   "- {vip: 10.2.0.1, port: any, protocol: udp, slots: 257, forward: l2, backends: [10.3.0.3], "
				   "deny: [198.51.100.0/24, 203.0.113.7]}\n";
	char now[1000];

	lab->keeps_moving = true;
	snprintf(now, sizeof(now), text, "");
	lab_apply(lab, now);
	lab_resolve_all(lab);
	for (uint16_t i = 0; i < STILL_FLOWS / 2; i++)
		still_send(lab, CLIENT4, VIP4, STILL_PORT + i, 0x02);
	snprintf(now, sizeof(now), text, ", 10.3.0.3, 10.3.0.4");
	lab_apply(lab, now);
	lab_resolve_all(lab);
	for (uint16_t i = 0; i < STILL_FLOWS; i++)
		still_send(lab, CLIENT4, VIP4, STILL_PORT + i, i < STILL_FLOWS / 2 ? 0x10 : 0x02);
	usleep(1100000);
	for (uint16_t i = 0; i < STILL_FLOWS; i += 2)
		still_send(lab, CLIENT4, VIP4, STILL_PORT + i, 0x10);
	still_send(lab, CLIENT4, VIP4, STILL_PORT, 0x11);
	still_send(lab, CLIENT6, VIP6, STILL_PORT, 0x02);
	for (uint16_t i = 0; i < STILL_FLOWS; i++)
		reached[i] = still_send(lab, CLIENT4, VIP4, STILL_PORT + i, 0x10);
}

/* Whether each flow goes on with its backend. Returns how many do not. */
static inline int still_astray(struct lab *lab, const int reached[static STILL_FLOWS])
{
	int astray = 0;

	for (uint16_t i = 0; i < STILL_FLOWS; i++) {
		int got = still_send(lab, CLIENT4, VIP4, STILL_PORT + i, 0x10);

		if (got != reached[i] && astray++ < 5)
			print_error("    WRONG: flow %u reached %d and now %d\n", i, reached[i], got);
	}
	return astray;
}

#endif
