/* Forward: every method, family and VLAN depth, whole frames compared with frames composed apart. */
#include "packet/lab.h"

struct method_row {
	const char *says, *forward, *vip, *backend;
};

static const struct method_row methods[] = {
	{"l2 with IPv4", "l2", "10.2.0.1", "10.3.0.1"},
	{"l2 with IPv6", "l2", "fd00:2::1", "fd00:3::1"},
	{"IPv4 in IPv4", "ipip", "10.2.0.2", "10.3.0.2"},
	{"IPv6 in IPv4", "ipip", "fd00:2::2", "10.3.0.3"},
	{"IPv4 in IPv6", "ipip", "10.2.0.3", "fd00:3::2"},
	{"IPv6 in IPv6", "ipip", "fd00:2::3", "fd00:3::3"},
};

#define METHODS (sizeof(methods) / sizeof(methods[0]))

static const char *const depths[] = {"", "q", "aq"};

/* A service for TCP port 80 and one for any UDP port at each VIP of the table. */
static void apply_methods(struct lab *lab)
{
	char text[8192] = "services:\n";
	size_t at = strlen(text);

	for (size_t i = 0; i < METHODS; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
				       "  - {vip: \"%s\", port: 80, forward: %s, backends: [{address: \"%s\"}]}\n"
				       "  - {vip: \"%s\", port: any, protocol: udp, forward: %s, backends: [{address: \"%s\"}]}\n",
				       methods[i].vip, methods[i].forward, methods[i].backend, methods[i].vip,
				       methods[i].forward, methods[i].backend);
	lab_apply(lab, text);
	lab_resolve_all(lab);
}

static const char *client_of(const char *vip)
{
	return wire_is4(vip) ? CLIENT4 : CLIENT6;
}

/* The way that lab_facts describes. */
static struct wire_way way_of(const struct method_row *row, uint8_t mac[static 6], const char *tags)
{
	struct wire_way way = {.mac_to = mac, .mac_from = wire_mac_director, .tags = tags};

	lab_mac(row->backend, mac);
	if (!strcmp(row->forward, "ipip")) {
		way.outer_from = wire_is4(row->backend) ? DIRECTOR4 : DIRECTOR6;
		way.outer_to = row->backend;
	}
	return way;
}

static void keep(struct lab *lab, const struct lab_end *end, const struct wire_spec *in, const struct wire_way *way)
{
	char from[2][128] = {"", ""}, to[2][128] = {"", ""}, wanted[520];
	int inner = wire_is4(in->from) ? 0 : 1, outer;

	if (way->outer_to) {
		outer = wire_is4(way->outer_to) ? 0 : 1;
		snprintf(from[outer], sizeof(from[0]), "%s%s", way->outer_from, inner == outer ? "," : "");
		snprintf(to[outer], sizeof(to[0]), "%s%s", way->outer_to, inner == outer ? "," : "");
	}
	strcat(from[inner], in->from);
	strcat(to[inner], in->to);
	snprintf(wanted, sizeof(wanted), "%s\t%s\t%s\t%s", from[0], to[0], from[1], to[1]);
	lab_keep(lab, &end->frame, wanted);
}

/* Every method x depth of tags in x depth of tags out x TCP or UDP x with or without padding. */
static void every_method_at_every_depth(void **state)
{
	struct lab *lab = *state;
	int wrong = 0;

	apply_methods(lab);
	for (unsigned int n = 0; n < METHODS * 3 * 3 * 2 * 2; n++) {
		const struct method_row *row = &methods[n % METHODS];
		const char *tags_in = depths[n / METHODS % 3], *tags_out = depths[n / METHODS / 3 % 3];
		bool is_udp = n / METHODS / 9 % 2, is_padded = n / METHODS / 18;
		struct adjacency facts = lab_facts(lab, row->backend);
		struct wire_spec spec = {.from = client_of(row->vip), .to = row->vip, .from_port = 40000, .to_port = 80,
					 .protocol = is_udp ? IPPROTO_UDP : IPPROTO_TCP, .payload = is_padded ? 3 : 700,
					 .padding = is_padded ? 15 : 0, .tags = tags_in};
		struct wire in, out;
		struct lab_end end;
		uint8_t mac[6];
		char says[128];
		struct wire_way way = way_of(row, mac, tags_out);

		lab_tag(&facts, tags_out);
		lab_resolve(lab, row->backend, &facts);
		wire_make(&in, &spec);
		wire_forward(&out, &in, &way);
		snprintf(says, sizeof(says), "%s, %s, tags \"%s\" in and \"%s\" out%s", row->says, is_udp ? "UDP" : "TCP",
			 tags_in, tags_out, is_padded ? ", padded" : "");
		lab_run(lab, &in, &end);
		wrong += lab_judge(says, &end, &(struct lab_want){XDP_TX, HP_FORWARDED, &out});
		keep(lab, &end, &spec, &way);
	}
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_method_at_every_depth),
	};

	return cmocka_run_group_tests(tests, lab_open, lab_close);
}
