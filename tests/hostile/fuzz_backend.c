/* Any bytes as a frame through a backend's own programs, compiled for user space. Beyond the bounds: a frame stays
 * untouched, or loses its outer header and nothing else, when a named sender sent it for a VIP; and where an MSS is
 * lowered nothing else changes but the checksum, which stays as right as it was. */
#include "hostile/bpf_user.h"

BPF_USER_BEGIN
#include "backend.bpf.c"
BPF_USER_END

#define MSS4 1440
#define MSS6 1400
#define SENDER_BYTE 10 /* of 10.0.0.0/8 and of a00::/8, the senders that are named */

static const __u8 vip4[4] = {10, 2, 0, 1}, vip6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};

static __u32 tunnelled = HPB_VIP_L2 | HPB_VIP_IPIP | HPB_VIP_GUE;
static struct hpb_settings limits = {MSS4, MSS6, HPB_TAKES_GUE};
static __u64 counts[HPB_COUNTER_COUNT];
static struct hpb_refused refusals[HPB_REFUSED_COUNT];
static __u8 *segment; /* the frame that leaves */
static size_t segment_bytes;

/* ---- helpers -------------------------------------------------------------------------------------------------------- */

static void *look_up(void *map, const void *key)
{
	const __u8 *bytes = key;

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

	need((flags & 0xf) == 2 && (size_t)offset + sizeof(check) <= segment_bytes);
	memcpy(&check, segment + offset, sizeof(check));
	sum = (__u16)~check + (__u16)~(__u16)from + (__u16)to;
	sum = (sum & 0xffff) + (sum >> 16);
	check = (__u16) ~((sum & 0xffff) + (sum >> 16));
	memcpy(segment + offset, &check, sizeof(check));
	return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	bpf_map_lookup_elem = look_up;
	bpf_ktime_get_ns = any_time;
	bpf_xdp_adjust_head = bpf_user_adjust_head;
	bpf_skb_load_bytes = load_bytes;
	bpf_skb_store_bytes = store_bytes;
	bpf_l4_csum_replace = replace_sum;
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

static void check_decapsulated(const __u8 *was, size_t was_bytes, const __u8 *is, size_t bytes)
{
	__u8 inner;
	size_t l3 = l3_of(was, was_bytes), outer = outer_of(was, l3, &inner);

	need(bytes == was_bytes - outer && l3_of(is, bytes) == l3);
	need(!memcmp(is, was, l3 - 2) && word_at(is + l3 - 2) == (inner == IPPROTO_IPIP ? ETH_P_IP : ETH_P_IPV6));
	need(!memcmp(is + l3, was + l3 + outer, bytes - l3));
}

static void run_decap(const uint8_t *data, size_t size)
{
	struct xdp_md ctx = bpf_user_frame(data, size);
	size_t bytes;

	memset(counts, 0, sizeof(counts));
	need(hp_decap(&ctx) == XDP_PASS);
	bytes = ctx.data_end - ctx.data;
	if (counts[HPB_DECAPSULATED])
		check_decapsulated(data, size, (const __u8 *)ctx.data, bytes);
	else
		need(bytes == size && !memcmp((void *)ctx.data, data, size));
	free((void *)ctx.data);
}

/* Sent: at most two words are other ones, and from the network header on the sum is the same. */
static void run_mss(const uint8_t *data, size_t size)
{
	struct __sk_buff skb = {.protocol = size >= 14 ? bpf_htons(word_at(data + 12)) : 0};
	size_t changed = 0;

	segment = malloc(size);
	segment_bytes = size;
	memcpy(segment, data, size);
	memset(counts, 0, sizeof(counts));
	need(hp_mss(&skb) == -1);
	for (size_t i = 0; i < size; i++)
		changed += segment[i] != data[i];
	need(changed <= 4 && (!changed || counts[HPB_MSS_LOWERED] == 1));
	if (size > 14)
		need(sum_words(0, segment + 14, size - 14) % 0xffff == sum_words(0, data + 14, size - 14) % 0xffff);
	free(segment);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size || size > 4096)
		return -1;
	run_decap(data, size);
	run_mss(data, size);
	return 0;
}
