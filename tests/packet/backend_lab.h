/* A bench for the backend's programs: the loaded object, its maps, and frames made byte by byte. Knows nothing of
 * tunnels or options, which are the tests' own. */
#ifndef HP_TEST_BACKEND_LAB_H
#define HP_TEST_BACKEND_LAB_H

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "backend.skel.h"
#include "backend_abi.h"

#define FRAME_MOST 2048

struct frame {
	uint8_t byte[FRAME_MOST];
	size_t bytes;
};

static struct backend_bpf *lab;

static inline int lab_open(void **state)
{
	lab = backend_bpf__open();
	if (!lab)
		return -1;
	lab->rodata->is_multi_buffer = 1;
	bpf_program__set_flags(lab->progs.hp_decap, BPF_F_XDP_HAS_FRAGS);
	return backend_bpf__load(lab);
}

static inline int lab_close(void **state)
{
	backend_bpf__destroy(lab);
	return 0;
}

/* The address in network order; 4 or 16 bytes. */
static inline size_t lab_address(const char *text, uint8_t out[static 16])
{
	if (inet_pton(AF_INET, text, out) == 1)
		return 4;
	assert_int_equal(inet_pton(AF_INET6, text, out), 1);
	return 16;
}

static inline void lab_vip(const char *text, uint32_t flags)
{
	uint8_t address[16];
	size_t bytes = lab_address(text, address);

	assert_false(bpf_map_update_elem(bpf_map__fd(bytes == 4 ? lab->maps.vips4 : lab->maps.vips6), address, &flags, BPF_ANY));
}

static inline void lab_sender(const char *text, uint32_t bits)
{
	struct {
		uint32_t bits;
		uint8_t address[16];
	} key = {.bits = bits};
	uint32_t yes = 1;
	size_t bytes = lab_address(text, key.address);

	assert_false(bpf_map_update_elem(bpf_map__fd(bytes == 4 ? lab->maps.senders4 : lab->maps.senders6), &key, &yes, BPF_ANY));
}

/* Settings without a bound for the MSS. */
#define LAB_GRE_KEY 0x0a0b0c0du

static inline void lab_settings(uint32_t flags)
{
	struct hpb_settings settings = {.flags = flags, .gre_key = htonl(LAB_GRE_KEY)};
	uint32_t zero = 0;

	assert_false(bpf_map_update_elem(bpf_map__fd(lab->maps.settings), &zero, &settings, BPF_ANY));
}

/* A counter, all CPUs together. */
static inline uint64_t lab_count(enum hpb_counter counter)
{
	uint64_t values[256] = {0}, sum = 0;
	uint32_t key = counter;

	assert_in_range(libbpf_num_possible_cpus(), 1, 256);
	assert_false(bpf_map_lookup_elem(bpf_map__fd(lab->maps.counters), &key, values));
	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
		sum += values[cpu];
	return sum;
}

static inline uint64_t lab_count_all(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < HPB_COUNTER_COUNT; i++)
		sum += lab_count(i);
	return sum;
}

/* Run a program once; what it left is in *out. Returns what it returned. */
static inline uint32_t lab_run(const struct bpf_program *program, const struct frame *in, struct frame *out)
{
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = in->byte, .data_size_in = (uint32_t)in->bytes,
		    .data_out = out->byte, .data_size_out = FRAME_MOST, .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(program), &options), 0);
	out->bytes = options.data_size_out;
	return options.retval;
}

static inline void put(struct frame *frame, const void *bytes, size_t count)
{
	assert_true(frame->bytes + count <= FRAME_MOST);
	memcpy(frame->byte + frame->bytes, bytes, count);
	frame->bytes += count;
}

static inline void put16(struct frame *frame, uint32_t value)
{
	uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};

	put(frame, bytes, sizeof(bytes));
}

static inline void put8(struct frame *frame, uint32_t value)
{
	uint8_t byte = (uint8_t)value;

	put(frame, &byte, 1);
}

static inline uint16_t get16(const struct frame *frame, size_t at)
{
	return (uint16_t)(frame->byte[at] << 8 | frame->byte[at + 1]);
}

static inline void set16(struct frame *frame, size_t at, uint32_t value)
{
	frame->byte[at] = (uint8_t)(value >> 8);
	frame->byte[at + 1] = (uint8_t)value;
}

/* MAC addresses, `depth` tags and the EtherType. */
static inline void put_link(struct frame *frame, int depth, uint32_t ethertype)
{
	static const uint8_t macs[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};

	put(frame, macs, sizeof(macs));
	for (int i = 0; i < depth; i++) {
		put16(frame, i == 0 && depth == 2 ? 0x88a8 : 0x8100);
		put16(frame, 0x2000u + (uint32_t)i + 7);
	}
	put16(frame, ethertype);
}

static inline void put_address(struct frame *frame, const char *text)
{
	uint8_t address[16];
	size_t bytes = lab_address(text, address);

	put(frame, address, bytes);
}

/* The Internet checksum of some bytes, over `sum` that comes before them (RFC 1071, byte by byte). */
static inline uint32_t sum_bytes(const uint8_t *byte, size_t count, uint32_t sum)
{
	for (size_t i = 0; i < count; i++)
		sum += i % 2 ? byte[i] : (uint32_t)byte[i] << 8;
	return sum;
}

static inline uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* An IPv4 header with `options` words of NOP, or an IPv6 header, for `payload` bytes. */
static inline void put_ip(struct frame *frame, const char *from, const char *to, uint32_t protocol, size_t options,
			  size_t payload)
{
	size_t begin = frame->bytes;

	if (strchr(from, ':')) {
		put16(frame, 0x6000);
		put16(frame, 0);
		put16(frame, (uint32_t)payload);
		put8(frame, protocol);
		put8(frame, 61);
	} else {
		put8(frame, (uint32_t)(0x45 + options));
		put8(frame, 0);
		put16(frame, (uint32_t)(20 + options * 4 + payload));
		put16(frame, 0x1234);
		put16(frame, 0);
		put8(frame, 61);
		put8(frame, protocol);
		put16(frame, 0);
	}
	put_address(frame, from);
	put_address(frame, to);
	if (strchr(from, ':'))
		return;
	for (size_t i = 0; i < options * 4; i++)
		put8(frame, 1);
	set16(frame, begin + 10, fold(sum_bytes(frame->byte + begin, 20 + options * 4, 0)));
}

#endif
