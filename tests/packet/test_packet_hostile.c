/* Hostile frames: 400,000 mutated and random ones, from a fixed seed, through the live program.
 *
 * Whatever comes, the program ends well: what is not for a VIP, or is not whole, passes as it came. */
#include "packet/lab.h"

#define FRAMES 200000 /* in each of the two tests */
#define SEED 0x9e3779b97f4a7c15u

static const char *const vips[] = {"10.2.0.1",  "10.2.0.2",  "10.2.0.3",  "10.2.0.4",
				   "fd00:2::1", "fd00:2::2", "fd00:2::3", "fd00:2::4"};

static const char services[] =
	"services:\n"
	"  - {vip: 10.2.0.1, port: 80, backends: [{address: 10.3.0.1}, {address: 10.3.0.2}]}\n"
	"  - {vip: 10.2.0.1, port: any, protocol: udp, hash: source, backends: [{address: 10.3.0.1}]}\n"
	"  - {vip: 10.2.0.2, port: any, forward: ipip, backends: [{address: 10.3.0.3}, {address: \"fd00:3::3\"}]}\n"
	"  - {vip: 10.2.0.3, port: 80, backends: [{address: 10.3.0.9, weight: 0}]}\n"
	"  - {vip: 10.2.0.4, port: any, forward: gue, backends: [{address: 10.3.0.3}, {address: \"fd00:3::3\"}]}\n"
	"  - {vip: \"fd00:2::1\", port: 80, backends: [{address: \"fd00:3::1\"}, {address: \"fd00:3::2\"}]}\n"
	"  - {vip: \"fd00:2::1\", port: any, protocol: udp, hash: source, backends: [{address: \"fd00:3::1\"}]}\n"
	"  - {vip: \"fd00:2::2\", port: any, forward: ipip, backends: [{address: 10.3.0.3}, {address: \"fd00:3::3\"}]}\n"
	"  - {vip: \"fd00:2::4\", port: any, forward: gue, backends: [{address: 10.3.0.3}, {address: \"fd00:3::3\"}]}\n"
	"  - {vip: \"fd00:2::3\", port: 80, backends: [{address: \"fd00:3::9\", weight: 0}]}\n";

/* Xorshift (Marsaglia, 2003): the same frames at every run. */
static uint32_t draw(uint64_t *random, uint32_t below)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return (uint32_t)((*random >> 32) * below >> 32);
}

/* ---- frames to begin with ------------------------------------------------------------------------------------------ */

static void make_solicitation(struct wire *out, const struct wire_spec *common, const char *target)
{
	static const uint8_t group[6] = {0x33, 0x33, 0xff, 0, 0, 1};
	struct wire_spec spec = *common;
	uint8_t body[24] = {[16] = 1, [17] = 1};

	wire_put_address(body, target);
	spec.protocol = IPPROTO_ICMPV6;
	spec.type = 135;
	spec.ttl = 255;
	spec.to = "ff02::1:ff00:1";
	spec.mac_to = group;
	spec.quote = body;
	spec.payload = sizeof(body);
	wire_make(out, &spec);
}

static void make_error(struct wire *out, const struct wire_spec *common, uint32_t bytes)
{
	bool is4 = wire_is4(common->to);
	struct wire_spec quote = {.from = common->to, .to = common->from, .from_port = 80, .to_port = 4000, .payload = 200};
	struct wire_spec error = *common;
	struct wire quoted;

	wire_make(&quoted, &quote);
	error.protocol = is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	error.type = is4 ? 3 : 2;
	error.quote = quoted.byte + quoted.l3;
	error.payload = bytes;
	wire_make(out, &error);
}

static void make_arp(struct wire *out, const char *target, const char *tags)
{
	static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};

	wire_make_arp(out, &(struct wire_arp){.operation = 1, .sender = CLIENT4, .target = target, .mac_to = broadcast,
					      .mac_from = wire_mac_router, .mac_sender = wire_mac_router, .tags = tags});
}

/* A good frame of one of many kinds. */
static void make_good(struct wire *out, uint64_t *random, const char *vip)
{
	static const char *const tags[] = {"", "", "", "q", "aq"}, *const chains[] = {"", "", "h", "f", "hdra", "hdraDd"};
	bool is4 = wire_is4(vip);
	struct wire_spec spec = {.from = is4 ? CLIENT4 : CLIENT6, .to = vip, .from_port = (uint16_t)draw(random, 65536),
				 .to_port = 80, .payload = draw(random, 60), .tags = tags[draw(random, 5)],
				 .padding = draw(random, 4) ? 0 : draw(random, 20)};

	if (is4)
		spec.options = draw(random, 3) ? 0 : draw(random, 11) * 4;
	else
		spec.chain = chains[draw(random, 6)];
	if (!draw(random, 8))
		spec.fragment = draw(random, 2) ? WIRE_IP4_MORE : 3;
	switch (draw(random, 6)) {
	case 0:
		spec.protocol = is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
		spec.type = is4 ? 8 : 128;
		break;
	case 1:
		spec.protocol = IPPROTO_UDP;
		break;
	case 2:
		make_error(out, &spec, 20 + draw(random, 100));
		return;
	case 3:
		if (is4)
			make_arp(out, vip, spec.tags);
		else
			make_solicitation(out, &spec, vip);
		return;
	}
	wire_make(out, &spec);
}

/* ---- spoiling them --------------------------------------------------------------------------------------------------- */

static void spoil_once(struct wire *frame, uint64_t *random)
{
	static const uint8_t odd[] = {0x00, 0x01, 0x3a, 0x2c, 0x3c, 0x40, 0x45, 0x4f, 0x60, 0x7f, 0x80, 0x81, 0x86, 0xdd, 0xff};
	uint32_t at = draw(random, frame->bytes), bytes;

	switch (draw(random, 6)) {
	case 0:
		frame->byte[at] ^= (uint8_t)(1u << draw(random, 8));
		break;
	case 1:
		frame->byte[at] = odd[draw(random, sizeof(odd))];
		break;
	case 2: /* in the headers, where it matters most */
		frame->byte[12 + draw(random, frame->bytes < 80 ? frame->bytes - 12 : 68)] = (uint8_t)draw(random, 256);
		break;
	case 3:
		frame->bytes = 14 + draw(random, frame->bytes - 13);
		break;
	case 4: /* more behind it, and a longer packet said */
		bytes = draw(random, 200);
		memset(frame->byte + frame->bytes, (int)draw(random, 256), bytes);
		frame->bytes += bytes;
		break;
	case 5: /* a piece of it at another place */
		bytes = draw(random, frame->bytes - at + 1);
		memmove(frame->byte + draw(random, frame->bytes - bytes + 1), frame->byte + at, bytes);
		break;
	}
}

static void make_hostile(struct wire *out, uint64_t *random, const char *vip)
{
	uint32_t times = draw(random, 5);

	make_good(out, random, vip);
	if (!draw(random, 20))
		for (uint32_t i = draw(random, 40); i < out->bytes; i++)
			out->byte[i] = (uint8_t)draw(random, 256);
	while (times--)
		spoil_once(out, random);
}

/* ---- judging what comes of it ------------------------------------------------------------------------------------------ */

static bool is_vip(const uint8_t *at, bool is4)
{
	for (size_t i = 0; i < sizeof(vips) / sizeof(vips[0]); i++) {
		uint8_t vip[16];
		uint32_t bytes = wire_put_address(vip, vips[i]);

		if ((bytes == 4) == is4 && !memcmp(vip, at, bytes))
			return true;
	}
	return false;
}

/* Whether a frame names a VIP where it is asked for: as destination, or as target of ARP or ND. */
static bool names_vip(const struct wire *frame)
{
	uint32_t at = 12;
	uint16_t type;

	for (int tags = 0; tags < 2 && (wire_get16(frame->byte + at) == 0x8100 || wire_get16(frame->byte + at) == 0x88a8);
	     tags++)
		at += 4;
	type = wire_get16(frame->byte + at);
	at += 2;
	switch (type) {
	case 0x0800:
		return is_vip(frame->byte + at + 16, true);
	case 0x0806:
		return is_vip(frame->byte + at + 24, true);
	case 0x86dd:
		return is_vip(frame->byte + at + 24, false) || is_vip(frame->byte + at + 48, false);
	default:
		return false;
	}
}

static bool is_forwarded(enum hp_verdict verdict)
{
	return verdict == HP_FORWARDED || verdict == HP_ICMP_FORWARDED;
}

static bool is_answer(enum hp_verdict verdict)
{
	return verdict == HP_ANSWERED_ARP || verdict == HP_ANSWERED_ND || verdict == HP_ANSWERED_ECHO;
}

/* What is wrong with an end, or NULL. */
static const char *judge(const struct wire *in, const struct lab_end *end)
{
	if (end->action != lab_verdict_action(end->verdict))
		return "the action is not that of the verdict";
	if (end->action == XDP_ABORTED || end->action == XDP_REDIRECT)
		return "an action that nothing here may have";
	if (end->action == XDP_PASS && !lab_same(in, &end->frame))
		return "it passed, changed";
	if (end->action != XDP_PASS && !names_vip(in))
		return "it did not pass, and is not for a VIP";
	if ((end->action == XDP_TX) != (is_forwarded(end->verdict) || is_answer(end->verdict)))
		return "it was sent for no reason";
	if (!end->service && !is_answer(end->verdict) && end->verdict != HP_FRAGMENT && end->verdict != HP_FRAGMENT_TINY &&
	    end->action != XDP_PASS)
		return "it was dropped before it was known to be a service's";
	if (end->service && end->action == XDP_PASS)
		return "a service's packet was passed to the kernel";
	return NULL;
}

/* Run many frames; note which verdicts came, for packets of no service and of a service. */
static void run_many(struct lab *lab, bool is_seen[2][HP_VERDICT_COUNT])
{
	uint64_t random = SEED;
	int wrong = 0;

	for (unsigned int n = 0; n < FRAMES && wrong < 10; n++) {
		struct lab_end end;
		const char *what;
		struct wire in;

		make_hostile(&in, &random, vips[n % (sizeof(vips) / sizeof(vips[0]))]);
		lab_run(lab, &in, &end);
		is_seen[end.service != 0][end.verdict] = true;
		what = judge(&in, &end);
		if (!what)
			continue;
		print_error("    WRONG: frame %u: %s (action %d, %s)\n", n, what, end.action, lab_verdict_name(end.verdict));
		lab_print("came", &in);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* Only a packet of ours may be dropped. Without a VIP nothing gets beyond the service step, so whatever verdict there
 * is before it comes up here, and none may do anything but pass. */
static void every_verdict_before_the_service_step_passes(void **state)
{
	bool is_seen[2][HP_VERDICT_COUNT] = {{false}};
	struct lab *lab = *state;

	lab_apply(lab, "services: []\n");
	run_many(lab, is_seen);
	for (unsigned int verdict = 0; verdict < HP_VERDICT_COUNT; verdict++) {
		assert_false(is_seen[1][verdict]);
		if (is_seen[0][verdict])
			assert_int_equal(lab_verdict_action(verdict), XDP_PASS);
	}
	assert_true(is_seen[0][HP_MALFORMED] && is_seen[0][HP_NOT_IP] && is_seen[0][HP_NOT_VIP]);
}

/* With VIPs up and down: the same frames, each judged. */
static void frames_at_vips_do_no_harm(void **state)
{
	static const enum hp_verdict of_none[] = {HP_MALFORMED, HP_NOT_IP, HP_NOT_VIP, HP_VIP_OTHER, HP_VIP_SILENT, HP_FRAGMENT,
						  HP_FRAGMENT_TINY, HP_ANSWERED_ARP, HP_ANSWERED_ND, HP_ANSWERED_ECHO};
	static const enum hp_verdict of_service[] = {HP_FORWARDED, HP_ICMP_FORWARDED, HP_NO_BACKEND, HP_FRAGMENT,
						     HP_FRAGMENT_CLASH};
	bool is_seen[2][HP_VERDICT_COUNT] = {{false}};
	struct lab *lab = *state;

	lab_apply(lab, services);
	lab_resolve_all(lab);
	run_many(lab, is_seen);
	for (size_t i = 0; i < sizeof(of_none) / sizeof(of_none[0]); i++)
		assert_true(is_seen[0][of_none[i]]);
	for (size_t i = 0; i < sizeof(of_service) / sizeof(of_service[0]); i++)
		assert_true(is_seen[1][of_service[i]]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_verdict_before_the_service_step_passes),
		cmocka_unit_test(frames_at_vips_do_no_harm),
	};

	return cmocka_run_group_tests(tests, lab_open, lab_close);
}
