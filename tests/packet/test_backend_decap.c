/* Decapsulation on a backend: what is opened, what is left alone, and that the inner packet stays as it is. */
#include "backend_lab.h"

#define PAYLOAD_BYTES 37
#define NOTHING HPB_COUNTER_COUNT

static const char *const senders[] = {[4] = "10.2.0.10", [6] = "fd00:2::a"};
static const char *const own[] = {[4] = "10.3.0.1", [6] = "fd00:3::1"};
static const char *const clients[] = {[4] = "192.168.1.1", [6] = "fd00:1::1"};
static const char *const vips[] = {[4] = "10.2.0.1", [6] = "fd00:2::1"};

struct flaw {
	const char *sender, *vip; /* others than the right ones */
	uint16_t fragment;	  /* the outer header's fragment word */
	int outer_length;	  /* added to what the outer header says */
	int inner_length;	  /* added to what the inner header says */
	uint8_t inner_version;
	uint8_t protocol; /* of the outer header */
	bool bad_sum;
	size_t cut, padding; /* bytes off or on the end of the frame */
	uint16_t port, udp_check;
	int udp_length;	     /* added */
	uint8_t form;	     /* xored into GUE's first byte */
	uint8_t gue_protocol;
	uint16_t gue_flags;
	uint8_t magic, version; /* xored into the second chance */
	uint16_t gre_flags, gre_protocol; /* xored */
	uint32_t gre_key; /* xored */
};

enum kind {
	IPIP,
	GUE,
	GRE,
	KEYED, /* GRE with a key */
	CHANCE, /* GUE with a second chance that was taken already, which is counted apart when it is opened */
};

struct row {
	const char *sentence;
	int outer, inner, depth;
	size_t options;
	enum kind kind;
	uint32_t settings; /* flags that are not as the kind needs them */
	struct flaw flaw;
	enum hpb_counter counter; /* DECAPSULATED: opened; anything else: left untouched */
};

static const char *const kinds[] = {"ipip", "gue", "gre", "gre with a key", "gue with a second chance"};

static size_t header_bytes(int family)
{
	return family == 4 ? 20 : 40;
}

static void set_length(struct frame *frame, size_t at, int family, int add)
{
	size_t word = at + (family == 4 ? 2 : 4);

	set16(frame, word, (uint32_t)(get16(frame, word) + add));
}

static void put_inner(struct frame *frame, const struct row *row)
{
	size_t begin = frame->bytes;

	put_ip(frame, clients[row->inner], row->flaw.vip ? row->flaw.vip : vips[row->inner], IPPROTO_UDP, 0, PAYLOAD_BYTES);
	for (int i = 0; i < PAYLOAD_BYTES; i++)
		put8(frame, (uint32_t)(i * 41 + 3));
	set_length(frame, begin, row->inner, row->flaw.inner_length);
	if (row->flaw.inner_version)
		frame->byte[begin] = (uint8_t)(row->flaw.inner_version << 4 | (frame->byte[begin] & 0x0f));
}

/* Bytes between the outer IP header and the inner packet. */
static size_t between_bytes(const struct row *row)
{
	static const size_t bytes[] = {[GUE] = 12, [GRE] = 4, [KEYED] = 8, [CHANCE] = 32};

	return bytes[row->kind];
}

static void put_gre(struct frame *frame, const struct row *row)
{
	uint32_t key = LAB_GRE_KEY ^ row->flaw.gre_key;

	put16(frame, (row->kind == KEYED ? 0x2000u : 0u) ^ row->flaw.gre_flags);
	put16(frame, (row->inner == 4 ? 0x0800u : 0x86ddu) ^ row->flaw.gre_protocol);
	if (row->kind != KEYED)
		return;
	put16(frame, key >> 16);
	put16(frame, key & 0xffff);
}

/* UDP and GUE for that many bytes of inner packet. */
static void put_gue(struct frame *frame, const struct row *row, size_t inner_bytes)
{
	static const uint8_t alternate4[16] = {[10] = 0xff, 0xff, 10, 3, 0, 2}, alternate6[16] = {0xfd, 0, 0, 3, [15] = 2};
	const struct flaw *flaw = &row->flaw;

	put16(frame, 50000);
	put16(frame, flaw->port ? flaw->port : 6080);
	put16(frame, (uint32_t)((int)(between_bytes(row) + inner_bytes) + flaw->udp_length));
	put16(frame, flaw->udp_check);
	put8(frame, (row->kind == CHANCE ? 5u : 0u) ^ flaw->form);
	put8(frame, flaw->gue_protocol ? flaw->gue_protocol : row->inner == 4 ? 4 : 41);
	put16(frame, flaw->gue_flags);
	if (row->kind != CHANCE)
		return;
	put8(frame, 'H' ^ flaw->magic);
	put8(frame, 1u ^ flaw->version);
	put16(frame, 0x0100);
	put(frame, row->outer == 4 ? alternate4 : alternate6, sizeof(alternate4));
}

static uint32_t protocol_of(const struct row *row)
{
	if (row->flaw.protocol)
		return row->flaw.protocol;
	if (row->kind == GUE || row->kind == CHANCE)
		return IPPROTO_UDP;
	if (row->kind == GRE || row->kind == KEYED)
		return IPPROTO_GRE;
	return row->inner == 4 ? 4 : 41;
}

/* The tunnelled frame; offset of the inner packet in *inner. */
static void build(const struct row *row, struct frame *frame, size_t *inner)
{
	const char *sender = row->flaw.sender ? row->flaw.sender : senders[row->outer];
	size_t begin, behind, inner_bytes = header_bytes(row->inner) + PAYLOAD_BYTES;

	frame->bytes = 0;
	put_link(frame, row->depth, row->outer == 4 ? 0x0800 : 0x86dd);
	begin = frame->bytes;
	put_ip(frame, sender, own[row->outer], protocol_of(row), row->options, between_bytes(row) + inner_bytes);
	behind = frame->bytes;
	if (row->kind == GUE || row->kind == CHANCE)
		put_gue(frame, row, inner_bytes);
	else if (row->kind != IPIP)
		put_gre(frame, row);
	*inner = frame->bytes;
	set_length(frame, begin, row->outer, row->flaw.outer_length);
	if (row->outer == 4) {
		size_t bytes = behind - begin;

		set16(frame, begin + 6, row->flaw.fragment);
		set16(frame, begin + 10, 0);
		set16(frame, begin + 10, fold(sum_bytes(frame->byte + begin, bytes, 0)) ^ (row->flaw.bad_sum ? 0x100 : 0));
	}
	put_inner(frame, row);
	for (size_t i = 0; i < row->flaw.padding; i++)
		put8(frame, 0);
	frame->bytes -= row->flaw.cut;
}

/* DSCP and ECN of the header at a place; its checksum right after that. */
static void set_class(struct frame *frame, size_t at, uint32_t class)
{
	size_t bytes = (frame->byte[at] & 15u) * 4;

	if (frame->byte[at] >> 4 == 6) {
		set16(frame, at, 0x6000 | class << 4);
		return;
	}
	frame->byte[at + 1] = (uint8_t)class;
	set16(frame, at + 10, 0);
	set16(frame, at + 10, fold(sum_bytes(frame->byte + at, bytes, 0)));
}

static void expect_opened(const struct row *row, const struct frame *in, const struct frame *out, size_t inner)
{
	size_t link = 14 + 4 * (size_t)row->depth;

	assert_int_equal(out->bytes, in->bytes - (inner - link));
	assert_memory_equal(out->byte, in->byte, link - 2);
	assert_int_equal(get16(out, link - 2), row->inner == 4 ? 0x0800 : 0x86dd);
	assert_memory_equal(out->byte + link, in->byte + inner, in->bytes - inner);
}

static void expect_untouched(const struct frame *in, const struct frame *out)
{
	assert_int_equal(out->bytes, in->bytes);
	assert_memory_equal(out->byte, in->byte, in->bytes);
}

static void run_row(const struct row *row)
{
	uint64_t before = row->counter == NOTHING ? 0 : lab_count(row->counter), all = lab_count_all();
	struct frame in, out;
	size_t inner;

	lab_settings((HPB_TAKES_GUE | HPB_TAKES_GRE | (row->kind == KEYED ? HPB_GRE_KEYED : 0)) ^ row->settings);
	build(row, &in, &inner);
	print_message("%s (%din%d, %s, %d tags)\n", row->sentence, row->inner, row->outer, kinds[row->kind], row->depth);
	assert_int_equal(lab_run(lab->progs.hp_decap, &in, &out), XDP_PASS);
	if (row->counter == HPB_DECAPSULATED)
		expect_opened(row, &in, &out, inner);
	else
		expect_untouched(&in, &out);
	all = lab_count_all() - all;
	if (row->counter == HPB_DECAPSULATED && row->kind == CHANCE)
		all--;
	assert_int_equal(all, row->counter == NOTHING ? 0 : 1);
	if (row->counter != NOTHING)
		assert_int_equal(lab_count(row->counter) - before, 1);
}

static const int families[] = {4, 6};

/* Run a row for all four pairs of families, every depth and every kind. */
static void run_all(struct row row)
{
	for (int i = 0; i < 60; i++) {
		row.outer = families[i & 1];
		row.inner = families[i >> 1 & 1];
		row.depth = (i >> 2) % 3;
		row.kind = (enum kind)((i >> 2) / 3);
		run_row(&row);
	}
}

static void test_opened(void **state)
{
	run_all((struct row){"a tunnelled packet for a VIP is opened", .counter = HPB_DECAPSULATED});
	run_all((struct row){"the frame's padding stays behind it", .flaw.padding = 9, .counter = HPB_DECAPSULATED});
	run_all((struct row){"an inner packet may be shorter than its room", .flaw.inner_length = -5,
			     .counter = HPB_DECAPSULATED});
}

/* RFC 6040, figure 4: rows are the inner field, columns the outer one; -1: dropped. All of the DSCP of either stays. */
static void test_ecn(void **state)
{
	static const int becomes[4][4] = {{0, 0, 0, -1}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};

	for (unsigned int i = 0; i < 4u * 4 * 4 * 3; i++) {
		struct row row = {.outer = families[i & 1], .inner = families[i >> 1 & 1], .kind = (enum kind)(i / 64)};
		uint32_t is = i >> 2 & 3, mark = i >> 4 & 3;
		int want = becomes[is][mark];
		uint64_t dropped = lab_count(HPB_CONGESTED);
		struct frame in, out;
		size_t inner;

		build(&row, &in, &inner);
		set_class(&in, 14, 10 << 2 | mark);
		set_class(&in, inner, 46 << 2 | is);
		assert_int_equal(lab_run(lab->progs.hp_decap, &in, &out), want < 0 ? XDP_DROP : XDP_PASS);
		assert_int_equal(lab_count(HPB_CONGESTED) - dropped, want < 0);
		if (want < 0)
			continue;
		set_class(&in, inner, 46 << 2 | (uint32_t)want);
		expect_opened(&row, &in, &out, inner);
	}
}

static void test_options(void **state)
{
	for (size_t options = 1; options <= 10; options++)
		for (int i = 0; i < 30; i++)
			run_row(&(struct row){"outer options go with their header", 4, families[i & 1], (i >> 1) % 3, options,
					      (enum kind)((i >> 1) / 3), .counter = HPB_DECAPSULATED});
}

/* What of GUE is not as our directors send it. */
static void test_other_gue(void **state)
{
	static const struct row rows[] = {
		{"another sender is refused", 4, 4, .kind = GUE, .flaw.sender = "10.2.0.11", .counter = HPB_REFUSED_SENDER},
		{"also with a second chance", 6, 6, .kind = CHANCE, .flaw.sender = "fd00:2::b", .counter = HPB_REFUSED_SENDER},
		{"another inner destination is the kernel's", 4, 4, .kind = GUE, .flaw.vip = "10.2.0.2",
		 .counter = HPB_OTHER_TUNNEL},
		{"a VIP that comes by ipip alone is not opened", 4, 4, .kind = GUE, .flaw.vip = "10.2.0.6",
		 .counter = HPB_OTHER_TUNNEL},
		{"nor one that comes by gue alone when it comes by ipip", 4, 4, .flaw.vip = "10.2.0.7",
		 .counter = HPB_OTHER_TUNNEL},
		{"which gue opens", 4, 4, .kind = GUE, .flaw.vip = "10.2.0.7", .counter = HPB_DECAPSULATED},
		{"a first fragment is the kernel's", 4, 4, .kind = GUE, .flaw.fragment = 0x2000, .counter = HPB_FRAGMENT},
		{"a later one names no port", 4, 4, .kind = GUE, .flaw.fragment = 0x0010, .counter = NOTHING},
		{"a wrong outer checksum is not believed", 4, 6, .kind = CHANCE, .flaw.bad_sum = true,
		 .counter = HPB_MALFORMED},
		{"a UDP checksum would not be looked at", 4, 4, .kind = GUE, .flaw.udp_check = 1, .counter = HPB_OTHER_GUE},
		{"version 1", 4, 4, .kind = GUE, .flaw.form = 0x40, .counter = HPB_OTHER_GUE},
		{"version 2", 6, 4, .kind = GUE, .flaw.form = 0x80, .counter = HPB_OTHER_GUE},
		{"a control packet", 6, 6, .kind = CHANCE, .flaw.form = 0x20, .counter = HPB_OTHER_GUE},
		{"a header that says less than it has", 4, 4, .kind = CHANCE, .flaw.form = 1, .counter = HPB_OTHER_GUE},
		{"a header that says more", 4, 4, .kind = CHANCE, .flaw.form = 2, .counter = HPB_OTHER_GUE},
		{"private data without its magic", 4, 4, .kind = CHANCE, .flaw.magic = 1, .counter = HPB_OTHER_GUE},
		{"of another version", 6, 6, .kind = CHANCE, .flaw.version = 3, .counter = HPB_OTHER_GUE},
		{"flags", 4, 4, .kind = GUE, .flaw.gue_flags = 0x8000, .counter = HPB_OTHER_GUE},
		{"another protocol within", 4, 4, .kind = GUE, .flaw.gue_protocol = 6, .counter = HPB_OTHER_GUE},
		{"a protocol that the packet within is not of", 4, 4, .kind = GUE, .flaw.gue_protocol = 41,
		 .counter = HPB_MALFORMED},
		{"a UDP length beyond the frame", 4, 4, .kind = GUE, .flaw.udp_length = 1, .counter = HPB_MALFORMED},
		{"below its headers", 4, 4, .kind = GUE, .flaw.udp_length = -(20 + PAYLOAD_BYTES + 1), .counter = HPB_MALFORMED},
		{"below the second chance", 6, 4, .kind = CHANCE, .flaw.udp_length = -(20 + PAYLOAD_BYTES + 1),
		 .counter = HPB_MALFORMED},
		{"that cuts the packet within", 6, 6, .kind = CHANCE, .flaw.udp_length = -1, .counter = HPB_MALFORMED},
		{"a frame that lost its last byte", 6, 4, .kind = CHANCE, .flaw.cut = 1, .counter = HPB_MALFORMED},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		run_row(&rows[i]);
}

/* What of GRE is not as our directors send it. */
static void test_other_gre(void **state)
{
	static const struct row rows[] = {
		{"another sender is refused", 4, 4, .kind = GRE, .flaw.sender = "10.2.0.11", .counter = HPB_REFUSED_SENDER},
		{"another inner destination is the kernel's", 6, 4, .kind = KEYED, .flaw.vip = "10.2.0.2",
		 .counter = HPB_OTHER_TUNNEL},
		{"a VIP that comes by ipip alone is not opened", 4, 4, .kind = GRE, .flaw.vip = "10.2.0.6",
		 .counter = HPB_OTHER_TUNNEL},
		{"a fragment is the kernel's", 4, 6, .kind = GRE, .flaw.fragment = 0x2000, .counter = HPB_FRAGMENT},
		{"a key where none is set up", 4, 4, .kind = GRE, .flaw.gre_flags = 0x2000, .counter = HPB_OTHER_GRE},
		{"none where one is", 6, 6, .kind = KEYED, .flaw.gre_flags = 0x2000, .counter = HPB_OTHER_GRE},
		{"another key", 4, 4, .kind = KEYED, .flaw.gre_key = 1, .counter = HPB_OTHER_GRE},
		{"another key, in its first byte", 6, 4, .kind = KEYED, .flaw.gre_key = 1u << 31, .counter = HPB_OTHER_GRE},
		{"a checksum", 4, 4, .kind = GRE, .flaw.gre_flags = 0x8000, .counter = HPB_OTHER_GRE},
		{"a sequence number", 6, 6, .kind = KEYED, .flaw.gre_flags = 0x1000, .counter = HPB_OTHER_GRE},
		{"version 1", 4, 6, .kind = GRE, .flaw.gre_flags = 1, .counter = HPB_OTHER_GRE},
		{"an Ethernet frame within", 4, 4, .kind = GRE, .flaw.gre_protocol = 0x0800 ^ 0x6558,
		 .counter = HPB_OTHER_GRE},
		{"a protocol that the packet within is not of", 4, 4, .kind = GRE, .flaw.gre_protocol = 0x0800 ^ 0x86dd,
		 .counter = HPB_MALFORMED},
		{"an outer length below the key", 4, 4, .kind = KEYED, .flaw.outer_length = -(20 + 8 + PAYLOAD_BYTES + 3),
		 .counter = HPB_MALFORMED},
		{"that cuts the packet within", 6, 6, .kind = GRE, .flaw.outer_length = -1, .counter = HPB_MALFORMED},
		{"a frame that lost its last byte", 6, 4, .kind = KEYED, .flaw.cut = 1, .counter = HPB_MALFORMED},
		{"GRE that nobody wants here", 4, 4, .kind = GRE, .settings = HPB_TAKES_GRE, .counter = NOTHING},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		run_row(&rows[i]);
}

/* A director asks whether anybody opens GUE here: silence says yes, and the kernel says no. */
static void test_question(void **state)
{
	static const struct {
		const char *sentence;
		struct row row;
		int action;
	} rows[] = {
		{"a director's question is dropped", {"", 6, 6, .kind = GUE, .counter = HPB_ASKED}, XDP_DROP},
		{"one with a checksum too", {"", 6, 6, 2, .kind = GUE, .flaw.udp_check = 1, .counter = HPB_ASKED}, XDP_DROP},
		{"and over IPv4", {"", 4, 4, 1, .kind = GUE, .flaw.udp_check = 1, .counter = HPB_ASKED}, XDP_DROP},
		{"a stranger's is the kernel's, which refuses",
		 {"", 6, 6, .kind = GUE, .flaw = {.sender = "fd00:2::b", .udp_check = 1}, .counter = HPB_OTHER_GUE}, XDP_PASS},
		{"one with flags is another message",
		 {"", 6, 6, .kind = GUE, .flaw = {.gue_flags = 1, .udp_check = 1}, .counter = HPB_OTHER_GUE}, XDP_PASS},
		{"one that is cut short is none", {"", 6, 6, .kind = GUE, .flaw.udp_length = -(40 + PAYLOAD_BYTES + 1),
						   .counter = HPB_MALFORMED}, XDP_PASS},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t before = lab_count(rows[i].row.counter);
		struct frame in, out;
		size_t inner;

		print_message("%s\n", rows[i].sentence);
		build(&rows[i].row, &in, &inner);
		in.byte[inner - 4] = 0x20;
		in.byte[inner - 3] = 0;
		assert_int_equal(lab_run(lab->progs.hp_decap, &in, &out), rows[i].action);
		expect_untouched(&in, &out);
		assert_int_equal(lab_count(rows[i].row.counter) - before, 1);
	}
}

/* Where no VIP comes by gue, UDP to its port is somebody's whom we do not know. */
static void test_gue_not_taken(void **state)
{
	struct row row = {"GUE that nobody wants here", 4, 4, .kind = GUE, .counter = NOTHING};

	row.settings = HPB_TAKES_GUE;
	run_row(&row);
	row.settings = 0;
	row.counter = HPB_DECAPSULATED;
	row.sentence = "and wants";
	run_row(&row);
}

static void test_left_alone(void **state)
{
	static const struct row rows[] = {
		{"another IPv4 sender is refused", 4, 4, .flaw.sender = "10.2.0.11", .counter = HPB_REFUSED_SENDER},
		{"another IPv6 sender is refused", 6, 6, .flaw.sender = "fd00:2::b", .counter = HPB_REFUSED_SENDER},
		{"the client itself is no sender", 4, 4, .flaw.sender = "192.168.1.1", .counter = HPB_REFUSED_SENDER},
		{"within a named prefix every address is a sender", 4, 4, .flaw.sender = "10.77.3.9",
		 .counter = HPB_DECAPSULATED},
		{"the address after the prefix is none", 4, 4, .flaw.sender = "10.78.0.0", .counter = HPB_REFUSED_SENDER},
		{"within a named IPv6 prefix as well", 6, 4, .flaw.sender = "fd77::9", .counter = HPB_DECAPSULATED},
		{"the address before that prefix is none", 6, 4, .flaw.sender = "fd76:ffff::", .counter = HPB_REFUSED_SENDER},
		{"another inner destination is the kernel's", 4, 4, .flaw.vip = "10.2.0.2", .counter = HPB_OTHER_TUNNEL},
		{"another inner IPv6 destination too", 4, 6, .flaw.vip = "fd00:2::2", .counter = HPB_OTHER_TUNNEL},
		{"a VIP that comes by l2 alone is not opened", 4, 4, .flaw.vip = "10.2.0.5", .counter = HPB_OTHER_TUNNEL},
		{"a first fragment is the kernel's", 4, 4, .flaw.fragment = 0x2000, .counter = HPB_FRAGMENT},
		{"so is a later one", 4, 4, .flaw.fragment = 0x0010, .counter = HPB_FRAGMENT},
		{"don't-fragment is no fragment", 4, 4, .flaw.fragment = 0x4000, .counter = HPB_DECAPSULATED},
		{"an outer header with a wrong checksum is not believed", 4, 4, .flaw.bad_sum = true, .counter = HPB_MALFORMED},
		{"nor one with options", 4, 6, .options = 3, .flaw.bad_sum = true, .counter = HPB_MALFORMED},
		{"an outer length below its header", 4, 4, .flaw.outer_length = -(20 + PAYLOAD_BYTES + 1),
		 .counter = HPB_MALFORMED},
		{"an outer length beyond the frame", 4, 4, .flaw.outer_length = 1, .counter = HPB_MALFORMED},
		{"an outer IPv6 length beyond the frame", 6, 6, .flaw.outer_length = 1, .counter = HPB_MALFORMED},
		{"a frame that lost its last byte", 6, 4, .flaw.cut = 1, .counter = HPB_MALFORMED},
		{"an inner packet longer than its room", 4, 4, .flaw.inner_length = 1, .counter = HPB_MALFORMED},
		{"an inner IPv6 packet longer than its room", 4, 6, .flaw.inner_length = 1, .counter = HPB_MALFORMED},
		{"an inner version that is not what the outer header says", 4, 4, .flaw.inner_version = 6,
		 .counter = HPB_MALFORMED},
		{"the other way round", 6, 6, .flaw.inner_version = 4, .counter = HPB_MALFORMED},
		{"an inner version that does not exist", 6, 4, .flaw.inner_version = 15, .counter = HPB_MALFORMED},
		{"UDP to another port is no tunnel", 4, 4, .kind = GUE, .flaw.port = 6081, .counter = NOTHING},
		{"UDP to another port is no tunnel", 6, 6, .kind = CHANCE, .flaw.port = 53, .counter = NOTHING},
		{"L2TP is no tunnel of ours", 6, 6, .flaw.protocol = 115, .counter = NOTHING},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		run_row(&rows[i]);
}

/* Cut at every byte, a frame is never opened, never dropped and never changed. */
static void test_truncated(void **state)
{
	for (int i = 0; i < 36; i++) {
		struct row row = {.outer = families[i & 1], .inner = families[i >> 1 & 1], .depth = (i >> 2) % 3,
				  .options = i & 1 ? 0 : 2, .kind = (enum kind)((i >> 2) / 3)};
		uint64_t opened = lab_count(HPB_DECAPSULATED);
		struct frame whole, out;
		size_t inner;

		build(&row, &whole, &inner);
		for (size_t bytes = 14; bytes < whole.bytes; bytes++) {
			struct frame cut = whole;

			cut.bytes = bytes;
			assert_int_equal(lab_run(lab->progs.hp_decap, &cut, &out), XDP_PASS);
			expect_untouched(&cut, &out);
		}
		assert_int_equal(lab_count(HPB_DECAPSULATED), opened);
	}
}

/* Three tags are more than we look behind. */
static void test_too_many_tags(void **state)
{
	struct row row = {.outer = 4, .inner = 4, .depth = 3};
	uint64_t all = lab_count_all();
	struct frame in, out;
	size_t inner;

	build(&row, &in, &inner);
	assert_int_equal(lab_run(lab->progs.hp_decap, &in, &out), XDP_PASS);
	expect_untouched(&in, &out);
	assert_int_equal(lab_count_all(), all);
}

static int open_lab(void **state)
{
	if (lab_open(state))
		return -1;
	lab_vip("10.2.0.1", HPB_VIP_TUNNELS);
	lab_vip("fd00:2::1", HPB_VIP_TUNNELS | HPB_VIP_L2);
	lab_vip("10.2.0.5", HPB_VIP_L2);
	lab_vip("10.2.0.6", HPB_VIP_IPIP);
	lab_vip("10.2.0.7", HPB_VIP_GUE);
	lab_settings(HPB_TAKES_GUE);
	lab_sender("10.2.0.10", 32);
	lab_sender("fd00:2::a", 128);
	lab_sender("10.77.0.0", 16);
	lab_sender("fd77::", 16);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opened),	  cmocka_unit_test(test_ecn),
		cmocka_unit_test(test_options),	  cmocka_unit_test(test_left_alone),
		cmocka_unit_test(test_truncated), cmocka_unit_test(test_too_many_tags), cmocka_unit_test(test_other_gue),
		cmocka_unit_test(test_other_gre), cmocka_unit_test(test_question),
		cmocka_unit_test(test_gue_not_taken),
	};

	return cmocka_run_group_tests(tests, open_lab, lab_close);
}
