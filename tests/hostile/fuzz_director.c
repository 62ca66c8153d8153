/* Any bytes as a frame through the director's own packet walk, compiled for user space: the maps are arrays here and
 * the helpers a few lines. Beyond the bounds it checks what the verifier cannot know: a frame that is passed on is
 * untouched, only what is for a VIP is dropped or sent, a forwarded packet is from its IP header on as it came, and a flow
 * stays with its backend while its service lives through a change. */
#include "hostile/bpf_user.h"

BPF_USER_BEGIN
#include "director.bpf.c"
BPF_USER_END

#include "core/adjacency.h"
#include "core/keys.h"

#define IFINDEX	     3
#define OTHER_PORT   4
#define BUCKETS	     2 /* as hp_key_shift begins with */
#define BLOCKS	     16
#define FLOWS	     2
#define SECOND_NS    1000000000ull
#define NUMBERS	     16
#define VIP4	     "10.2.0.1"
#define DOWN_VIP4    "10.2.0.2"
#define VIP6	     "2001:db8::1"

static struct {
	struct hp_bucket4 keys4[BUCKETS];
	struct hp_bucket6 keys6[BUCKETS];
	struct hp_interface interface;
	struct hp_service service[8];
	union hp_block block[BLOCKS];
	struct hp_backend backend[NUMBERS];
	struct hp_adjacency adjacency[2 * NUMBERS];
	struct hp_identity identity[NUMBERS];
	struct hp_service_counts counts[8];
	struct hp_backend_counts backend_counts[NUMBERS];
	struct hp_flow_counts flow_counts;
	__u64 hints[16]; /* of many words each */
	struct hp_terms terms[8];
	struct hp_sample_row samples[HP_SERVICE_CELLS];
	__u64 sample_turns[HP_SERVICE_CELLS];
} maps;

/* What the prefix of no bits says, the only one of each set; and the one source that is known. */
static __u32 guard_says;
static __u64 source_paid_ns;

/* A table of flows: rows in use come first. */
static struct table {
	struct hp_flow key[FLOWS];
	struct hp_remembered value[FLOWS];
	__u32 count;
} proven_flows, unproven_flows;

/* A table of datagrams: one row, which any other takes the place of. */
static struct {
	struct hp_fragment_key key;
	struct hp_fragment value;
	bool is_used;
} datagram;

static struct fragment walked;
static struct continuity moved;
static struct hp_flow judged;

static __u64 now_ns;

/* ---- helpers -------------------------------------------------------------------------------------------------------- */

static void *row(void *rows, size_t size, __u32 count, const void *key)
{
	return *(const __u32 *)key < count ? (char *)rows + *(const __u32 *)key * size : NULL;
}

#define ROW(array, key) row(array, sizeof((array)[0]), sizeof(array) / sizeof((array)[0]), key)

static struct table *table_of(void *map)
{
	return map == &flows ? &proven_flows : map == &unproven ? &unproven_flows : NULL;
}

static void *row_of(struct table *table, const void *key)
{
	for (__u32 i = 0; i < table->count; i++)
		if (!memcmp(&table->key[i], key, sizeof(table->key[i])))
			return &table->value[i];
	return NULL;
}

static void *look_up(void *map, const void *key)
{
	if (map == &fragment_room)
		return &walked;
	if (map == &moving_room)
		return &moved;
	if (map == &guard_room)
		return &judged;
	if (map == &fragments)
		return datagram.is_used && !memcmp(&datagram.key, key, sizeof(datagram.key)) ? &datagram.value : NULL;
	if (table_of(map))
		return row_of(table_of(map), key);
	if (map == &flow_counts)
		return *(const __u32 *)key ? NULL : &maps.flow_counts;
	if (map == &hints)
		return &maps.hints[*(const __u32 *)key % 16];
	if (map == &interfaces)
		return *(const __u32 *)key == IFINDEX ? &maps.interface : NULL;
	if (map == &keys4)
		return ROW(maps.keys4, key);
	if (map == &keys6)
		return ROW(maps.keys6, key);
	if (map == &services)
		return ROW(maps.service, key);
	if (map == &slots)
		return ROW(maps.block, key);
	if (map == &backends)
		return ROW(maps.backend, key);
	if (map == &adjacencies)
		return ROW(maps.adjacency, key);
	if (map == &identities)
		return ROW(maps.identity, key);
	if (map == &service_counts)
		return ROW(maps.counts, key);
	if (map == &backend_counts)
		return ROW(maps.backend_counts, key);
	if (map == &terms)
		return ROW(maps.terms, key);
	if (map == &guards)
		return &guard_says;
	if (map == &sources)
		return source_paid_ns ? &source_paid_ns : NULL;
	if (map == &samples)
		return ROW(maps.samples, key);
	if (map == &sample_turns)
		return ROW(maps.sample_turns, key);
	return NULL; /* of `tellings`, too: nobody is told of packets too big */
}

static long update(void *map, const void *key, const void *value, __u64 flags)
{
	struct table *table = table_of(map);
	struct hp_remembered *row;

	if (map == &sources) {
		source_paid_ns = *(const __u64 *)value;
		return 0;
	}
	if (map == &fragments) {
		memcpy(&datagram.key, key, sizeof(datagram.key));
		memcpy(&datagram.value, value, sizeof(datagram.value));
		datagram.is_used = true;
		return 0;
	}
	need(table != NULL);
	row = row_of(table, key);
	if (!row && (flags == BPF_EXIST || table->count == FLOWS))
		return -1;
	if (!row) {
		memcpy(&table->key[table->count], key, sizeof(struct hp_flow));
		row = &table->value[table->count++];
	}
	memcpy(row, value, sizeof(*row));
	return 0;
}

static long forget(void *map, const void *key)
{
	struct table *table = table_of(map);
	struct hp_remembered *row;

	need(table != NULL);
	row = row_of(table, key);
	if (!row)
		return -1;
	table->count--;
	memcpy(row, &table->value[table->count], sizeof(*row));
	memcpy(&table->key[row - table->value], &table->key[table->count], sizeof(struct hp_flow));
	return 0;
}

static __u64 boot_time(void)
{
	return now_ns;
}

/* Beyond the frame there is nothing to be read, as the kernel sees to it. */
static long load_bytes(struct xdp_md *ctx, __u32 at, void *out, __u32 bytes)
{
	need(bytes && bytes <= HP_SAMPLE_BYTES && at + bytes <= ctx->data_end - ctx->data);
	memcpy(out, (char *)ctx->data + at, bytes);
	return 0;
}

static __s64 add_words(__be32 *from, __u32 from_bytes, __be32 *to, __u32 to_bytes, __wsum sum)
{
	__u64 total = sum;
	__u32 word;

	for (__u32 at = 0; at < to_bytes; at += sizeof(word)) {
		memcpy(&word, (char *)to + at, sizeof(word));
		total += word;
	}
	while (total >> 32)
		total = (total & 0xffffffff) + (total >> 32);
	return (__s64)total;
}

static long redirect(void *map, __u64 key, __u64 flags)
{
	return key == OTHER_PORT ? XDP_REDIRECT : (long)flags;
}

static __u32 first_cpu(void)
{
	return 0;
}

/* ---- the world ------------------------------------------------------------------------------------------------------- */

static struct ip address(const char *text)
{
	struct ip ip;

	need(ip_parse(&ip, text));
	return ip;
}

static void add_key(const char *vip, __u32 what, __u32 number)
{
	struct ip ip = address(vip);
	bool is4 = ip_is4(&ip);
	struct keys keys;

	keys_open(&keys, is4 ? (void *)maps.keys4 : (void *)maps.keys6, BUCKETS, is4);
	need(!keys_set(&keys, &ip, what, number));
	keys_close(&keys);
}

/* Services 1 and 3: TCP port 80 of either VIP. 2 and 4: any UDP port, by source. 5: TCP port 81, which has no ring. */
static void add_services(void)
{
	add_key(VIP4, HP_WHAT_VIP, HP_VIP_UP);
	add_key(VIP4, hp_key_what(bpf_htons(80), IPPROTO_TCP), 1);
	add_key(VIP4, hp_key_what(0, IPPROTO_UDP), 2);
	add_key(VIP4, hp_key_what(bpf_htons(81), IPPROTO_TCP), 5);
	add_key(DOWN_VIP4, HP_WHAT_VIP, 0);
	add_key(VIP6, HP_WHAT_VIP, HP_VIP_UP);
	add_key(VIP6, hp_key_what(bpf_htons(80), IPPROTO_TCP), 3);
	add_key(VIP6, hp_key_what(0, IPPROTO_UDP), 4);
	add_key(VIP6, hp_key_what(bpf_htons(81), IPPROTO_TCP), 5);
}

static void add_backend(__u32 number, enum hp_method method, const char *text, __u8 tags)
{
	struct adjacency facts = {.ifindex = tags ? OTHER_PORT : IFINDEX, .mtu = 1500, .mac_destination = {2, 0, 0, 0, 0, 9},
				  .mac_source = {2, 0, 0, 0, 0, 2}, .tag_count = tags, .tag = {{0x88a8, 10}, {0x8100, 20}},
				  .on_link = true};
	struct ip backend = address(text);
	struct config_tunnel tunnel = {.gre_key = 0};
	struct config_source *source = ip_is4(&backend) ? &tunnel.source4 : &tunnel.source6;

	facts.source = address(ip_is4(&backend) ? "10.1.0.1" : "2001:db8:1::1");
	source->set = tags == 1;
	need(prefix_parse(&source->prefix, ip_is4(&backend) ? "10.9.0.0/16" : "fd00:9::/96"));
	maps.identity[number].method = method;
	memcpy(maps.identity[number].address, backend.byte, sizeof(backend.byte));
	maps.backend[number].adjacency = 2 * number;
	adjacency_record(&maps.adjacency[2 * number], &facts, method, &backend, &tunnel, number);
}

/* Rings of 11 slots at blocks 1, 3 and 5: among their backends one without an adjacency, and none at all; and at 7, 9 and 11
 * the same with each slot the next one's, for changes. */
static void add_rings(void)
{
	static const __u32 members4[11] = {1, 2, 3, 4, 5, 15, 0, 10, 11, 10, 11};
	static const __u32 members6[11] = {6, 7, 8, 9, 1, 15, 0, 12, 13, 12, 13};

	maps.block[1].head = (struct hp_ring_head){.seed = 1, .size = 11, .hash = HP_HASH_FLOW};
	memcpy(maps.block[2].slot, members4, sizeof(members4));
	maps.block[3].head = (struct hp_ring_head){.seed = 1, .size = 11, .hash = HP_HASH_SOURCE};
	memcpy(maps.block[4].slot, members4, sizeof(members4));
	maps.block[5].head = (struct hp_ring_head){.seed = 1, .size = 11, .hash = HP_HASH_FLOW};
	memcpy(maps.block[6].slot, members6, sizeof(members6));
	for (__u32 at = 1; at < 7; at += 2) {
		maps.block[at + 6].head = maps.block[at].head;
		for (__u32 i = 0; i < 11; i++)
			maps.block[at + 7].slot[i] = maps.block[at + 1].slot[(i + 1) % 11];
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	bpf_map_lookup_elem = look_up;
	bpf_xdp_adjust_head = bpf_user_adjust_head;
	bpf_xdp_adjust_tail = bpf_user_adjust_tail;
	bpf_csum_diff = add_words;
	bpf_redirect_map = redirect;
	bpf_get_smp_processor_id = first_cpu;
	bpf_map_update_elem = update;
	bpf_map_delete_elem = forget;
	bpf_ktime_get_boot_ns = bpf_ktime_get_ns = bpf_jiffies64 = boot_time;
	bpf_xdp_load_bytes = load_bytes;
	maps.interface = (struct hp_interface){.mac = {2, 0, 0, 0, 0, 2}, .announce = 1};
	add_services();
	add_backend(1, HP_METHOD_L2, "10.3.0.1", 0);
	add_backend(2, HP_METHOD_L2, "10.3.0.2", 1);
	add_backend(3, HP_METHOD_IPIP_4_IN_4, "10.3.0.3", 0);
	add_backend(4, HP_METHOD_IPIP_4_IN_4, "10.3.0.4", 2);
	add_backend(5, HP_METHOD_IPIP_4_IN_6, "2001:db8:3::5", 1);
	add_backend(6, HP_METHOD_L2, "2001:db8:3::6", 2);
	add_backend(7, HP_METHOD_IPIP_6_IN_6, "2001:db8:3::7", 0);
	add_backend(8, HP_METHOD_IPIP_6_IN_4, "10.3.0.8", 1);
	add_backend(9, HP_METHOD_IPIP_6_IN_6, "2001:db8:3::9", 1);
	add_backend(10, HP_METHOD_GUE_4_IN_4, "10.3.0.10", 1);
	add_backend(11, HP_METHOD_GUE_4_IN_6, "2001:db8:3::b", 2);
	add_backend(12, HP_METHOD_GUE_6_IN_4, "10.3.0.12", 0);
	add_backend(13, HP_METHOD_GUE_6_IN_6, "2001:db8:3::d", 1);
	add_rings();
	return 0;
}

/* ---- what must hold -------------------------------------------------------------------------------------------------- */

static enum hp_verdict counted(void)
{
	enum hp_verdict verdict = HP_CONTINUE;
	unsigned int found = 0;

	for (size_t i = 0; i < 8; i++)
		for (unsigned int cell = 1; cell < HP_SERVICE_CELLS; cell++)
			if (maps.counts[i].cell[cell]) {
				need(maps.counts[i].cell[cell] == 1);
				verdict = cell;
				found++;
			}
	need(found == 1 && verdict < HP_VERDICT_COUNT);
	return verdict;
}

/* The backend that the packet went to; 0: none. */
static __u32 reached(void)
{
	__u32 number = 0;

	for (__u32 i = 0; i < NUMBERS; i++)
		if (maps.backend_counts[i].cell[HP_FORWARDED] || maps.backend_counts[i].cell[HP_ICMP_FORWARDED])
			number = i;
	return number;
}

static int action_of(enum hp_verdict verdict)
{
	static const int actions[] = {
#define HP_ACTION(name, action, text) action,
		HP_VERDICTS(HP_ACTION)
#undef HP_ACTION
	};

	return actions[verdict];
}

/* A second chance leads to another backend of ours than the one that the packet goes to. */
static void check_alternate(const __u8 *alternate)
{
	__u32 number = 1;

	while (number < NUMBERS && memcmp(alternate, maps.identity[number].address, 16) != 0)
		number++;
	need(number < NUMBERS && number != reached());
}

/* What stands behind the outer IP header of a tunnel: nothing, or UDP and GUE, with a second chance or without. `rest` is
 * what the outer header says follows it. */
static void check_tunnel(const __u8 *at, size_t bytes, __u8 protocol, size_t rest)
{
	if (protocol != IPPROTO_UDP) {
		need(!bytes && (protocol == IPPROTO_IPIP || protocol == IPPROTO_IPV6));
		return;
	}
	need(word_at(at) >= 0xc000 && word_at(at + 2) == HP_GUE_PORT && word_at(at + 4) == rest && !word_at(at + 6));
	need((bytes == 12 && at[8] == 0) || (bytes == 32 && at[8] == 5 && !memcmp(at + 12, "H\1\0\0", 4)));
	need((at[9] == IPPROTO_IPIP || at[9] == IPPROTO_IPV6) && !word_at(at + 10));
	if (bytes == 32)
		check_alternate(at + 16);
}

static void check_forwarded(const __u8 *was, size_t was_bytes, const __u8 *is, size_t bytes)
{
	size_t l3 = l3_of(was, was_bytes), at = l3_of(is, bytes), kept = was_bytes - l3;
	const __u8 *outer = is + at;

	if (bytes == at + kept && !memcmp(outer, was + l3, kept))
		return;
	kept = was[l3] >> 4 == 4 ? word_at(was + l3 + 2) : word_at(was + l3 + 4) + 40u; /* and no padding */
	need(bytes > at + kept && !memcmp(is + bytes - kept, was + l3, kept));
	if (word_at(is + at - 2) == ETH_P_IP) {
		need(bytes - at - kept >= 20 && sum_words(0, outer, 20) == 0xffff && word_at(outer + 2) <= bytes - at);
		check_tunnel(outer + 20, bytes - at - kept - 20, outer[9], word_at(outer + 2) - 20u);
	} else {
		need(bytes - at - kept >= 40 && word_at(is + at - 2) == ETH_P_IPV6 && word_at(outer + 4) + 40u <= bytes - at);
		check_tunnel(outer + 40, bytes - at - kept - 40, outer[6], word_at(outer + 4));
	}
}

/* An answered ping: the checksums are as right as they were. */
static void check_echo(const __u8 *was, const __u8 *is, size_t bytes)
{
	size_t l3 = l3_of(was, bytes);

	if (word_at(was + l3 - 2) != ETH_P_IP)
		return;
	need(sum_words(0, was + l3, 20) % 0xffff == sum_words(0, is + l3, 20) % 0xffff);
	need(sum_words(0, was + l3 + 20, bytes - l3 - 20) % 0xffff == sum_words(0, is + l3 + 20, bytes - l3 - 20) % 0xffff);
}

static void check_advertisement(const __u8 *is, size_t bytes)
{
	size_t l3 = l3_of(is, bytes);

	need(bytes >= l3 + 72 && is[l3 + 40] == 136 && is[l3 + 7] == 255);
	need(sum_words(32 + 58, is + l3 + 8, 64) == 0xffff);
}

/* Whether the bytes of a VIP stand anywhere in the frame. */
static bool names_vip(const __u8 *frame, size_t bytes)
{
	struct ip vip4 = address(VIP4), down = address(DOWN_VIP4), vip6 = address(VIP6);

	return memmem(frame, bytes, ip_bytes4(&vip4), 4) || memmem(frame, bytes, ip_bytes4(&down), 4) ||
	       memmem(frame, bytes, vip6.byte, 16);
}

static void check(const __u8 *was, size_t was_bytes, const struct xdp_md *ctx, int action)
{
	const __u8 *is = (const __u8 *)ctx->data;
	size_t bytes = ctx->data_end - ctx->data;
	enum hp_verdict verdict = counted();

	if (verdict == HP_FORWARDED || verdict == HP_ICMP_FORWARDED) {
		need(action == XDP_TX || action == XDP_REDIRECT);
		check_forwarded(was, was_bytes, is, bytes);
	} else {
		need(action == action_of(verdict));
	}
	if (action == XDP_PASS)
		need(bytes == was_bytes && !memcmp(is, was, bytes));
	else
		need(names_vip(was, was_bytes));
	if (verdict == HP_ANSWERED_ND)
		check_advertisement(is, bytes);
	if (verdict == HP_ANSWERED_ARP || verdict == HP_ANSWERED_ECHO)
		need(bytes == was_bytes && !memcmp(is, was + 6, 6));
	if (verdict == HP_ANSWERED_ECHO)
		check_echo(was, is, bytes);
}

static __u32 run(const uint8_t *data, size_t size)
{
	struct xdp_md ctx = bpf_user_frame(data, size);

	ctx.ingress_ifindex = IFINDEX;
	memset(maps.counts, 0, sizeof(maps.counts));
	memset(maps.backend_counts, 0, sizeof(maps.backend_counts));
	check(data, size, &ctx, halfproxy(&ctx));
	free((void *)ctx.data);
	return reached();
}

/* Services with a ring and its flags before, or (UINT32_MAX) without. */
static void set_motion(__u32 flags)
{
	static const __u32 rings[] = {1, 3, 5, 3};

	for (__u32 i = 0; i < 4; i++) {
		maps.service[i + 1].now = rings[i];
		maps.service[i + 1].before = flags == UINT32_MAX ? 0 : (rings[i] + 6) | flags;
	}
	proven_flows.count = unproven_flows.count = 0;
	datagram.is_used = false;
	memset(&maps.flow_counts, 0, sizeof(maps.flow_counts));
	memset(maps.hints, 0, sizeof(maps.hints));
	now_ns = 1000 * SECOND_NS;
}

/* What the lists say is true of all packets of a service, and of no other; who owes too much opens no flow. */
static void run_guarded(const uint8_t *data, size_t size, __u32 flags)
{
	__u32 first;

	set_motion(flags);
	first = run(data, size);
	for (int step = 0; step < 4; step++) {
		set_motion(flags);
		guard_says = HP_GUARD_REST | (step == 1 ? HP_GUARD_DENIES : 0);
		source_paid_ns = step < 2 ? 0 : step == 2 ? now_ns : now_ns + 100;
		for (__u32 i = 1; i < 8; i++) {
			maps.service[i].before |= HP_SERVICE_GUARDED;
			maps.terms[i] = (struct hp_terms){.guard = i, .limit = 1, .cost_ns = 5, .burst_ns = 50};
		}
		if (step == 0 || step == 2)
			need(run(data, size) == first);
		else
			need(run(data, size) == (step == 1 ? 0 : first) || (step == 3 && !reached()));
	}
	for (__u32 i = 1; i < 8; i++)
		maps.service[i].before &= ~HP_SERVICE_FLAGS;
}

/* A change back, while the services move: now their rings agree, and what is remembered stays where it is. */
static void change_back(void)
{
	for (__u32 i = 1; i < 5; i++) {
		maps.service[i].now = maps.service[i].before & HP_BLOCK_MASK;
		maps.service[i].before |= HP_MOTION_ASKS;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const __u32 motions[] = {0, HP_MOTION_MOVING, HP_MOTION_MOVING | HP_MOTION_ASKS, HP_MOTION_SETTLING,
					HP_MOTION_SETTLING | HP_MOTION_ASKS};

	if (!size || size > 4096)
		return -1;
	set_motion(UINT32_MAX);
	run(data, size);
	run_guarded(data, size, UINT32_MAX);
	run_guarded(data, size, HP_MOTION_MOVING);
	for (size_t i = 0; i < sizeof(motions) / sizeof(motions[0]); i++) {
		__u32 first;

		set_motion(motions[i]);
		first = run(data, size);
		now_ns += 2 * SECOND_NS;
		need(run(data, size) == first);
		need(run(data, size) == first);
		need(motions[i] || !(proven_flows.count + unproven_flows.count));
		if (!(motions[i] & HP_MOTION_MOVING) || !maps.flow_counts.cell[HP_FLOW_REMEMBERED_EVENT])
			continue;
		change_back();
		need(run(data, size) == first);
	}
	return 0;
}
