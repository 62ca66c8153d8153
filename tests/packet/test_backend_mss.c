/* The MSS filter on a backend: which segments it touches, which value it leaves, and a checksum that still holds. */
#include "backend_lab.h"

#define MOST4 1420
#define MOST6 1400
#define TC_NEXT 0xffffffffu /* TC_ACT_UNSPEC */
#define SYN 0x02
#define ACK 0x10
#define OPTIONS_MOST 40

struct row {
	const char *sentence;
	const char *from, *to;
	uint8_t flags;
	uint8_t options[OPTIONS_MOST];
	size_t count;	   /* of the options' bytes, a multiple of 4 */
	int at;		   /* where the value stands among them; -1: nowhere */
	uint16_t becomes;  /* 0: the packet stays as it is */
	uint16_t fragment; /* IPv4's fragment word */
	uint8_t protocol;  /* 0: TCP */
};

#define VIP4 "10.2.0.1", "192.168.1.1"
#define VIP6 "fd00:2::1", "fd00:1::1"
#define MSS(value) 2, 4, (uint8_t)((value) >> 8), (uint8_t)(value)
#define SACK 4, 2
#define STAMP 8, 10, 1, 2, 3, 4, 5, 6, 7, 8

static const struct row rows[] = {
	{"a SYN-ACK of a VIP is lowered", VIP4, SYN | ACK, {MSS(1460)}, 4, 2, .becomes = MOST4},
	{"so is a SYN", VIP4, SYN, {MSS(1460)}, 4, 2, .becomes = MOST4},
	{"so is IPv6", VIP6, SYN | ACK, {MSS(1440)}, 4, 2, .becomes = MOST6},
	{"jumbo frames too", VIP4, SYN | ACK, {MSS(8960)}, 4, 2, .becomes = MOST4},
	{"the largest there is", VIP6, SYN | ACK, {MSS(65535)}, 4, 2, .becomes = MOST6},
	{"one more than allowed", VIP4, SYN | ACK, {MSS(MOST4 + 1)}, 4, 2, .becomes = MOST4},
	{"what is allowed stays", VIP4, SYN | ACK, {MSS(MOST4)}, 4, 2, .becomes = 0},
	{"a smaller one is never raised", VIP4, SYN | ACK, {MSS(536)}, 4, 2, .becomes = 0},
	{"nor zero", VIP6, SYN | ACK, {MSS(0)}, 4, 2, .becomes = 0},
	{"behind other options", VIP4, SYN | ACK, {SACK, STAMP, MSS(1460)}, 16, 14, .becomes = MOST4},
	{"before other options", VIP6, SYN, {MSS(1460), SACK, STAMP}, 16, 2, .becomes = MOST6},
	{"at an odd offset", VIP4, SYN | ACK, {1, MSS(1460), 0, 0, 0}, 8, 3, .becomes = MOST4},
	{"at an odd offset in IPv6", VIP6, SYN | ACK, {1, 1, 1, MSS(1460), 0}, 8, 5, .becomes = MOST6},
	{"at the very end", VIP4, SYN, {1, 1, 1, 1, MSS(1460)}, 8, 6, .becomes = MOST4},
	{"behind as many NOPs as fit", VIP4, SYN, {[0 ... 35] = 1, MSS(1460)}, 40, 38, .becomes = MOST4},
	{"without the option nothing is added", VIP4, SYN | ACK, {SACK, 1, 1}, 4, -1, .becomes = 0},
	{"without any option", VIP4, SYN | ACK, {0}, 0, -1, .becomes = 0},
	{"behind the end of the list it is no option", VIP4, SYN, {0, MSS(1460), 0, 0, 0}, 8, 3, .becomes = 0},
	{"an option of length 0 ends the search", VIP4, SYN, {8, 0, MSS(1460), 1, 1}, 8, 4, .becomes = 0},
	{"so does one of length 1", VIP4, SYN, {8, 1, MSS(1460), 1, 1}, 8, 4, .becomes = 0},
	{"an option longer than the list ends it too", VIP4, SYN, {8, 200, MSS(1460), 1, 1}, 8, 4, .becomes = 0},
	{"an MSS of a wrong length is none", VIP4, SYN, {2, 3, 0xff, 1}, 4, -1, .becomes = 0},
	{"an MSS cut off by the end of the list is none", VIP4, SYN, {1, 1, 2, 4}, 4, -1, .becomes = 0},
	{"an ACK carries no option of ours", VIP4, ACK, {MSS(1460)}, 4, 2, .becomes = 0},
	{"nor does data", VIP4, ACK | 0x08, {MSS(1460)}, 4, 2, .becomes = 0},
	{"a VIP that comes by l2 alone stays", "10.2.0.5", "192.168.1.1", SYN | ACK, {MSS(1460)}, 4, 2, .becomes = 0},
	{"the host's own address stays", "10.3.0.1", "192.168.1.1", SYN | ACK, {MSS(1460)}, 4, 2, .becomes = 0},
	{"so does its IPv6 address", "fd00:3::1", "fd00:1::1", SYN | ACK, {MSS(1460)}, 4, 2, .becomes = 0},
	{"a packet to a VIP stays", "192.168.1.1", "10.2.0.1", SYN, {MSS(1460)}, 4, 2, .becomes = 0},
	{"a first fragment has the header", VIP4, SYN | ACK, {MSS(1460)}, 4, 2, .becomes = MOST4, .fragment = 0x2000},
	{"a later fragment has none", VIP4, SYN | ACK, {MSS(1460)}, 4, 2, .becomes = 0, .fragment = 0x0010},
	{"UDP stays", VIP4, SYN | ACK, {MSS(1460)}, 4, 2, .becomes = 0, .protocol = IPPROTO_UDP},
};

static size_t ip_bytes(const struct row *row, size_t ip_options)
{
	return strchr(row->from, ':') ? 40 : 20 + ip_options * 4;
}

/* The checksum that the segment ought to carry, from scratch. */
static uint16_t tcp_sum(const struct row *row, const struct frame *frame, size_t tcp)
{
	uint8_t address[16];
	uint32_t sum = IPPROTO_TCP + (uint32_t)(frame->bytes - tcp);

	sum = sum_bytes(address, lab_address(row->from, address), sum);
	sum = sum_bytes(address, lab_address(row->to, address), sum);
	sum = sum_bytes(frame->byte + tcp, 16, sum);
	return fold(sum_bytes(frame->byte + tcp + 18, frame->bytes - tcp - 18, sum));
}

static size_t build(const struct row *row, size_t ip_options, struct frame *frame)
{
	static const uint8_t ports_and_numbers[12] = {0, 80, 0xc3, 0x51, 1, 2, 3, 4, 5, 6, 7, 8};
	size_t begin, tcp;

	frame->bytes = 0;
	put_link(frame, 0, strchr(row->from, ':') ? 0x86dd : 0x0800);
	begin = frame->bytes;
	put_ip(frame, row->from, row->to, row->protocol ? row->protocol : IPPROTO_TCP, ip_options, 20 + row->count + 3);
	tcp = frame->bytes;
	if (row->fragment)
		set16(frame, begin + 6, row->fragment);
	put(frame, ports_and_numbers, sizeof(ports_and_numbers));
	put8(frame, (uint32_t)(5 + row->count / 4) << 4);
	put8(frame, row->flags);
	put16(frame, 64240);
	put16(frame, 0);
	put16(frame, 0);
	put(frame, row->options, row->count);
	put(frame, "odd", 3);
	set16(frame, tcp + 16, tcp_sum(row, frame, tcp));
	return tcp;
}

static void run_row(const struct row *row, size_t ip_options)
{
	uint64_t lowered = lab_count(HPB_MSS_LOWERED);
	struct frame in, out;
	size_t tcp = build(row, ip_options, &in);

	print_message("%s\n", row->sentence);
	assert_int_equal(tcp, 14 + ip_bytes(row, ip_options));
	assert_int_equal(lab_run(lab->progs.hp_mss, &in, &out), TC_NEXT);
	assert_int_equal(lab_count(HPB_MSS_LOWERED) - lowered, row->becomes != 0);
	assert_int_equal(out.bytes, in.bytes);
	if (row->becomes) {
		set16(&in, tcp + 20 + (size_t)row->at, row->becomes);
		set16(&in, tcp + 16, tcp_sum(row, &in, tcp));
	}
	assert_memory_equal(out.byte, in.byte, in.bytes);
}

static void test_rows(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		run_row(&rows[i], 0);
}

static void test_ip_options(void **state)
{
	for (size_t words = 1; words <= 10; words++)
		run_row(&rows[0], words);
}

/* Every value at an even and at an odd offset: the checksum is mended by a difference, where carries lurk. */
static void test_every_value(void **state)
{
	for (uint32_t value = 0; value <= UINT16_MAX; value += 251) {
		struct row row = {"any value", VIP4, SYN | ACK, {MSS(value)}, 4, 2, .becomes = value > MOST4 ? MOST4 : 0};
		struct row odd = {"any value at an odd offset", VIP6, SYN | ACK, {1, MSS(value), 0, 0, 0}, 8, 3,
				  .becomes = value > MOST6 ? MOST6 : 0};

		run_row(&row, 0);
		run_row(&odd, 0);
	}
}

static void test_no_limit(void **state)
{
	struct hpb_settings none = {0}, some = {.mss4 = MOST4, .mss6 = MOST6};
	struct row row = {"without a limit nothing is lowered", VIP4, SYN | ACK, {MSS(65535)}, 4, 2, .becomes = 0};
	uint32_t zero = 0;

	assert_false(bpf_map_update_elem(bpf_map__fd(lab->maps.settings), &zero, &none, BPF_ANY));
	run_row(&row, 0);
	assert_false(bpf_map_update_elem(bpf_map__fd(lab->maps.settings), &zero, &some, BPF_ANY));
}

/* As --mss has it. */
static void test_every_vip(void **state)
{
	struct hpb_settings all = {.mss4 = MOST4, .mss6 = MOST6, .flags = HPB_BOUNDS_ALL};
	struct hpb_settings some = {.mss4 = MOST4, .mss6 = MOST6};
	struct row l2 = {"a VIP that comes by l2", "10.2.0.5", "192.168.1.1", SYN | ACK, {MSS(1460)}, 4, 2, .becomes = MOST4};
	struct row own = {"the host's own address, still", "10.3.0.1", "192.168.1.1", SYN, {MSS(1460)}, 4, 2, .becomes = 0};
	uint32_t zero = 0;

	assert_false(bpf_map_update_elem(bpf_map__fd(lab->maps.settings), &zero, &all, BPF_ANY));
	run_row(&l2, 0);
	run_row(&own, 0);
	run_row(&rows[2], 0);
	assert_false(bpf_map_update_elem(bpf_map__fd(lab->maps.settings), &zero, &some, BPF_ANY));
}

/* A segment cut at any byte stays as it is, unless its value is whole. */
static void test_truncated(void **state)
{
	struct frame whole, out;
	size_t tcp = build(&rows[0], 0, &whole);

	for (size_t bytes = 14 + 20; bytes < tcp + 24; bytes++) {
		struct frame cut = whole;

		cut.bytes = bytes;
		assert_int_equal(lab_run(lab->progs.hp_mss, &cut, &out), TC_NEXT);
		assert_int_equal(out.bytes, cut.bytes);
		assert_memory_equal(out.byte, cut.byte, bytes);
	}
}

static int open_lab(void **state)
{
	struct hpb_settings some = {.mss4 = MOST4, .mss6 = MOST6};
	uint32_t zero = 0;

	if (lab_open(state))
		return -1;
	lab_vip("10.2.0.1", HPB_VIP_IPIP);
	lab_vip("fd00:2::1", HPB_VIP_GUE);
	lab_vip("10.2.0.5", HPB_VIP_L2);
	return bpf_map_update_elem(bpf_map__fd(lab->maps.settings), &zero, &some, BPF_ANY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),	 cmocka_unit_test(test_ip_options), cmocka_unit_test(test_every_value),
		cmocka_unit_test(test_no_limit), cmocka_unit_test(test_every_vip),
		cmocka_unit_test(test_truncated),
	};

	return cmocka_run_group_tests(tests, open_lab, lab_close);
}
