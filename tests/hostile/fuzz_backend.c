/* Any bytes as a frame through a backend's own programs, compiled for user space. Beyond the bounds: a frame stays
 * untouched, or loses its outer headers and nothing else, or leaves for the alternate that it names, when a named sender
 * sent it for a VIP; what the relay would send on is dropped when it comes from outside; where an MSS is lowered, or an answer
 * given another port, nothing else changes but the checksum, which stays as right as it was; and what arrives for a mapped
 * port stays as it is, and every socket that was looked at is given back. */
#include <stddef.h>

#include "hostile/bpf_user.h"

BPF_USER_BEGIN
#include "backend.bpf.c"
BPF_USER_END

#define IFINDEX 3
#define REDIRECT 7 /* TC_ACT_REDIRECT */
#define MSS4 1440
#define MSS6 1400
#define MAPPED 80 /* the low byte of ports that are mapped, by TCP and UDP */
#define VLAN_BYTE 7 /* of a VLAN's number, of those that have an interface */
#define SENDER_BYTE 10 /* of 10.0.0.0/8 and of a00::/8, the senders that are named */

static const __u8 vip4[4] = {10, 2, 0, 1}, vip6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};

static __u32 tunnelled = HPB_VIP_L2 | HPB_VIP_IPIP | HPB_VIP_GUE;
static struct hpb_settings limits = {MSS4, MSS6, HPB_TAKES_GUE | HPB_PASSES_ON};
static __u64 counts[HPB_COUNTER_COUNT];
static __u32 vlan_ifindex = 9, other_port = 8080;
static struct hpb_refused refusals[HPB_REFUSED_COUNT];
static __u8 *segment; /* the frame that leaves */
static size_t segment_bytes;

static struct bpf_sock found_socket, kept_socket;
static int sockets_held;

/* ---- helpers -------------------------------------------------------------------------------------------------------- */

static void *look_up(void *map, const void *key)
{
	const __u8 *bytes = key;

	if (map == &ports)
		return bytes[3] == MAPPED ? &other_port : NULL;
	if (map == &sockets) {
		const struct hpb_endpoint *vip = key;

		sockets_held += vip->port & 1;
		return vip->port & 1 ? &kept_socket : NULL;
	}

	if (map == &vips4)
		return !memcmp(key, vip4, sizeof(vip4)) ? &tunnelled : NULL;
	if (map == &vips6)
		return !memcmp(key, vip6, sizeof(vip6)) ? &tunnelled : NULL;
	if (map == &senders4 || map == &senders6)
		return bytes[sizeof(__u32)] == SENDER_BYTE ? &tunnelled : NULL;
	if (map == &settings)
		return &limits;
	if (map == &refused)
		return *(const __u32 *)key < HPB_REFUSED_COUNT ? &refusals[*(const __u32 *)key] : NULL;
	if (map == &vlans)
		return bytes[0] == VLAN_BYTE ? &vlan_ifindex : NULL;
	return map == &counters && *(const __u32 *)key < HPB_COUNTER_COUNT ? &counts[*(const __u32 *)key] : NULL;
}

static __u64 any_time(void)
{
	return 1;
}

static long load_bytes(const void *skb, __u32 offset, void *to, __u32 bytes)
{
	if ((size_t)offset + bytes > segment_bytes)
		return -1;
	memcpy(to, segment + offset, bytes);
	return 0;
}

static long store_bytes(struct __sk_buff *skb, __u32 offset, const void *from, __u32 bytes, __u64 flags)
{
	if ((size_t)offset + bytes > segment_bytes)
		return -1;
	memcpy(segment + offset, from, bytes);
	return 0;
}

static long replace_sum(struct __sk_buff *skb, __u32 offset, __u64 from, __u64 to, __u64 flags)
{
	__u16 check;
	__u32 sum;

	need((flags & 0xf) == 2);
	if ((size_t)offset + sizeof(check) > segment_bytes)
		return -1;
	memcpy(&check, segment + offset, sizeof(check));
	if (flags & BPF_F_MARK_MANGLED_0 && !check)
		return 0;
	sum = (__u16)~check + (__u16)~(__u16)from + (__u16)to;
	sum = (sum & 0xffff) + (sum >> 16);
	check = (__u16) ~((sum & 0xffff) + (sum >> 16));
	check = flags & BPF_F_MARK_MANGLED_0 && !check ? 0xffff : check;
	memcpy(segment + offset, &check, sizeof(check));
	return 0;
}

/* The client's port says what socket there is, and the acknowledged number whether it is a good cookie. */
static struct bpf_sock *look_up_socket(void *ctx, struct bpf_sock_tuple *tuple, __u32 bytes, __u64 netns, __u64 flags)
{
	__be16 port = bytes == sizeof(tuple->ipv4) ? tuple->ipv4.sport : tuple->ipv6.sport;

	need(bytes == sizeof(tuple->ipv4) || bytes == sizeof(tuple->ipv6));
	found_socket.state = port & 1 ? BPF_TCP_LISTEN : BPF_TCP_ESTABLISHED;
	if (port & 2)
		return NULL;
	sockets_held++;
	return &found_socket;
}

static long release_socket(void *sk)
{
	need((sk == &found_socket || sk == &kept_socket) && sockets_held > 0);
	sockets_held--;
	return 0;
}

static long keep_socket(void *map, const void *key, const void *sk, __u64 flags)
{
	need(map == &sockets && sk == &found_socket && sockets_held > 0);
	return *(const __u8 *)key & 1 ? -1 : 0;
}

static long drop_socket(void *map, const void *key)
{
	need(map == &sockets);
	return 0;
}

static long assign_socket(void *ctx, void *sk, __u64 flags)
{
	need((sk == &found_socket || sk == &kept_socket) && sockets_held > 0 && !flags);
	return 0;
}

/* Reads all that the kernel reads. */
static long check_cookie(void *sk, void *ip, __u32 ip_bytes, struct tcphdr *tcp, __u32 tcp_bytes)
{
	static volatile __u8 sum;

	need(found_socket.state == BPF_TCP_LISTEN && tcp_bytes == sizeof(*tcp));
	for (__u32 i = 0; i < ip_bytes; i++)
		sum += ((__u8 *)ip)[i];
	for (__u32 i = 0; i < tcp_bytes; i++)
		sum += ((__u8 *)tcp)[i];
	return ((__u8 *)tcp)[offsetof(struct tcphdr, ack_seq)] & 1 ? -1 : 0;
}

static long load_relative(const void *skb, __u32 offset, void *to, __u32 bytes, __u32 from)
{
	return load_bytes(skb, offset + (from == BPF_HDR_START_NET ? ETH_HLEN : 0), to, bytes);
}

static long pull_data(struct __sk_buff *skb, __u32 bytes)
{
	return bytes <= skb->len ? 0 : -1;
}

static long pop_vlan(struct __sk_buff *skb)
{
	need(skb->vlan_present);
	skb->vlan_present = 0;
	return 0;
}

static long redirect(__u32 ifindex, struct bpf_redir_neigh *params, int bytes, __u64 flags)
{
	need(ifindex == IFINDEX && !params && !bytes && !flags);
	return REDIRECT;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	bpf_map_lookup_elem = look_up;
	bpf_ktime_get_ns = any_time;
	bpf_xdp_adjust_head = bpf_user_adjust_head;
	bpf_skb_load_bytes = load_bytes;
	bpf_skb_store_bytes = store_bytes;
	bpf_l4_csum_replace = replace_sum;
	bpf_skc_lookup_tcp = look_up_socket;
	bpf_sk_lookup_tcp = look_up_socket;
	bpf_sk_lookup_udp = look_up_socket;
	bpf_map_update_elem = keep_socket;
	bpf_map_delete_elem = drop_socket;
	bpf_sk_assign = assign_socket;
	bpf_sk_release = release_socket;
	bpf_tcp_check_syncookie = check_cookie;
	bpf_skb_load_bytes_relative = load_relative;
	bpf_skb_pull_data = pull_data;
	bpf_skb_vlan_pop = pop_vlan;
	bpf_redirect_neigh = redirect;
	return 0;
}

/* ---- what must hold -------------------------------------------------------------------------------------------------- */

/* The outer headers of a frame that lost them: from a named sender, and for a VIP within, of the protocol *inner. */
static size_t outer_of(const __u8 *was, size_t l3, __u8 *inner)
{
	bool is4 = word_at(was + l3 - 2) == ETH_P_IP;
	size_t bytes = is4 ? (was[l3] & 15) * 4u : 40;
	const __u8 *behind = was + l3 + bytes;

	need(was[l3 + (is4 ? 12 : 8)] == SENDER_BYTE);
	*inner = was[l3 + (is4 ? 9 : 6)];
	if (*inner == IPPROTO_UDP) {
		need(word_at(behind + 2) == HP_GUE_PORT && !word_at(behind + 6) && !word_at(behind + 10));
		need(behind[8] == 0 || (behind[8] == 5 && behind[12] == 'H' && behind[13] == 1));
		*inner = behind[9];
		bytes += 12 + behind[8] * 4u;
	}
	behind = was + l3 + bytes;
	if (*inner == IPPROTO_IPIP)
		need(!memcmp(behind + 16, vip4, sizeof(vip4)));
	else
		need(*inner == IPPROTO_IPV6 && !memcmp(behind + 24, vip6, sizeof(vip6)));
	return bytes;
}

/* The inner packet as it came, but for its ECN field, and its checksum as right as it was. */
static void check_inner(const __u8 *was, const __u8 *is, size_t bytes, bool is4)
{
	__u8 *wanted = malloc(bytes), mask = is4 ? 0x03 : 0x30;

	memcpy(wanted, was, bytes);
	wanted[1] = (__u8)((was[1] & ~mask) | (is[1] & mask));
	if (is4 && wanted[1] != was[1]) {
		memcpy(wanted + 10, is + 10, 2);
		need(sum_words(0, is, 20) % 0xffff == sum_words(0, was, 20) % 0xffff);
	}
	need(!memcmp(wanted, is, bytes));
	free(wanted);
}

static void check_decapsulated(const __u8 *was, size_t was_bytes, const __u8 *is, size_t bytes)
{
	__u8 inner;
	size_t l3 = l3_of(was, was_bytes), outer = outer_of(was, l3, &inner);

	need(bytes == was_bytes - outer && l3_of(is, bytes) == l3);
	need(!memcmp(is, was, l3 - 2) && word_at(is + l3 - 2) == (inner == IPPROTO_IPIP ? ETH_P_IP : ETH_P_IPV6));
	check_inner(was + l3 + outer, is + l3, bytes - l3, inner == IPPROTO_IPIP);
}

/* Bytes of a frame with a second chance up to where it begins: link, outer IP, UDP and GUE header. */
static size_t chance_of(const __u8 *frame, size_t bytes)
{
	size_t l3 = l3_of(frame, bytes);

	return l3 + (word_at(frame + l3 - 2) == ETH_P_IP ? (frame[l3] & 15) * 4u : 40) + 12;
}

/* Run the relay on a frame, in a block of its own; `sent` is for what it sends, of the same length. */
static int run_relay(const __u8 *frame, size_t bytes, __u8 *sent)
{
	struct __sk_buff skb = {.len = (__u32)bytes, .protocol = bpf_htons(word_at(frame + 12)), .ifindex = IFINDEX};
	int action;

	segment = malloc(bytes);
	segment_bytes = bytes;
	memcpy(segment, frame, bytes);
	skb.data = (unsigned long)segment;
	skb.data_end = skb.data + bytes;
	action = hp_relay(&skb);
	need(action == -1 || action == 2 || action == REDIRECT);
	memcpy(sent, segment, bytes);
	if (action != REDIRECT)
		need(!memcmp(sent, frame, bytes));
	free(segment);
	return action;
}

/* Marked to leave: the outer destination is the alternate now, the outer checksum is as right as it was, and all else
 * stayed. The relay sends it, when it is not tagged, as one that was passed on. */
static void check_leaves(const __u8 *was, const __u8 *is, size_t bytes)
{
	size_t l3 = l3_of(was, bytes), chance = chance_of(was, bytes), to;
	bool is4 = word_at(was + l3 - 2) == ETH_P_IP;
	__u8 *wanted = malloc(bytes), *sent = malloc(bytes), inner;

	need(was[chance + 2] == HP_CHANCE_FRESH && outer_of(was, l3, &inner) == chance + 20 - l3);
	memcpy(wanted, was, bytes);
	to = l3 + (is4 ? 16 : 24);
	memcpy(wanted + to, was + chance + 4 + (is4 ? 12 : 0), is4 ? 4 : 16);
	need(memcmp(wanted + to, was + to, is4 ? 4 : 16) != 0);
	wanted[chance + 2] = HP_CHANCE_LEAVES;
	if (is4) {
		need(sum_words(0, is + l3, chance - 12 - l3) == 0xffff);
		memcpy(wanted + l3 + 10, is + l3 + 10, 2);
	}
	need(!memcmp(wanted, is, bytes));
	if (l3 == 14) {
		need(run_relay(is, bytes, sent) == REDIRECT);
		wanted[chance + 2] = HP_CHANCE_PASSED;
		need(!memcmp(wanted, sent, bytes));
	}
	free(wanted);
	free(sent);
}

static bool is_question(const __u8 *gue)
{
	return gue[0] == HP_GUE_CONTROL && gue[1] == HP_GUE_QUESTION && !gue[2] && !gue[3];
}

static void run_decap(const uint8_t *data, size_t size)
{
	struct xdp_md ctx = bpf_user_frame(data, size);
	__u8 *sent = malloc(size);
	bool is_relayed = size >= 14 && run_relay(data, size, sent) == REDIRECT;
	size_t bytes;
	int action;

	memset(counts, 0, sizeof(counts));
	action = hp_decap(&ctx);
	need(!sockets_held);
	bytes = ctx.data_end - ctx.data;
	if (action == XDP_DROP && counts[HPB_ASKED])
		need(counts[HPB_ASKED] == 1 && !is_relayed && is_question(data + chance_of(data, size) - sizeof(struct hp_gue)));
	else if (action == XDP_DROP)
		need(counts[HPB_CONGESTED] == 1 ||
		     (counts[HPB_FORGED] == 1 && data[chance_of(data, size) + 2] >= HP_CHANCE_LEAVES));
	else
		need(action == XDP_PASS && !is_relayed);
	if (counts[HPB_DECAPSULATED])
		check_decapsulated(data, size, (const __u8 *)ctx.data, bytes);
	else if (bytes == size && memcmp((void *)ctx.data, data, size) != 0)
		check_leaves(data, (const __u8 *)ctx.data, size);
	else
		need(bytes == size);
	free((void *)ctx.data);
	free(sent);
}

static void begin(const uint8_t *data, size_t size)
{
	segment = malloc(size);
	segment_bytes = size;
	memcpy(segment, data, size);
	memset(counts, 0, sizeof(counts));
}

/* Sent: at most two words are other ones, and from the network header on the sum is the same. */
static void run_mss(const uint8_t *data, size_t size)
{
	struct __sk_buff skb = {.protocol = size >= 14 ? bpf_htons(word_at(data + 12)) : 0};
	size_t changed = 0;

	begin(data, size);
	need(hp_mss(&skb) == -1);
	for (size_t i = 0; i < size; i++)
		changed += segment[i] != data[i];
	need(changed <= 4 && (!changed || counts[HPB_MSS_LOWERED] == 1));
	if (size > 14)
		need(sum_words(0, segment + 14, size - 14) % 0xffff == sum_words(0, data + 14, size - 14) % 0xffff);
	free(segment);
}

/* An answer whose checksum is absent, or was cut off, keeps it so. */
static void run_ports(const uint8_t *data, size_t size)
{
	struct __sk_buff skb = {.protocol = size >= 14 ? bpf_htons(word_at(data + 12)) : 0};
	size_t changed = 0, first = size;

	begin(data, size);
	need(hp_find(&skb) == -1 && !sockets_held && !memcmp(segment, data, size));
	free(segment);
	begin(data, size);
	need(hp_answer(&skb) == -1 && !sockets_held);
	for (size_t i = size; i-- > 0;) {
		changed += segment[i] != data[i];
		first = segment[i] != data[i] ? i : first;
	}
	need(changed <= 4 && (!changed || counts[HPB_ANSWERED] == 1));
	first &= ~(size_t)1; /* the port begins at an even place, as all headers before it do */
	if (changed && first + 8 <= size && word_at(data + first + 6))
		need(sum_words(0, segment + 14, size - 14) % 0xffff == sum_words(0, data + 14, size - 14) % 0xffff);
	free(segment);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size || size > 4096)
		return -1;
	run_decap(data, size);
	run_mss(data, size);
	run_ports(data, size);
	return 0;
}
