/* Probes: what the host sends to a VIP with a backend's mark leaves as the director would have sent it, and nothing else of the
 * host's is touched. By BPF_PROG_RUN, and through a real filter on a real cable. */
#include "packet/lab.h"

#include <bpf/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/cleanup.h"

#define MARK 0x48000000u
#define NEXT -1
#define DROP 2
#define REDIRECT 7
#define OWN4 DIRECTOR4
#define OWN6 DIRECTOR6

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
	{"GUE, IPv4 in IPv4", "gue", "10.2.0.4", "10.3.0.4"},
	{"GUE, IPv6 in IPv4", "gue", "fd00:2::4", "10.3.0.5"},
	{"GUE, IPv4 in IPv6", "gue", "10.2.0.5", "fd00:3::4"},
	{"GUE, IPv6 in IPv6", "gue", "fd00:2::5", "fd00:3::5"},
	{"GRE, IPv4 in IPv4", "gre", "10.2.0.6", "10.3.0.6"},
	{"GRE, IPv6 in IPv4", "gre", "fd00:2::6", "10.3.0.7"},
	{"GRE, IPv4 in IPv6", "gre", "10.2.0.7", "fd00:3::6"},
	{"GRE, IPv6 in IPv6", "gre", "fd00:2::7", "fd00:3::7"},
};

#define METHODS (sizeof(methods) / sizeof(methods[0]))

static const char *const depths[] = {"", "q", "aq"};

/* ---- the lab ---------------------------------------------------------------------------------------------------- */

static int open_marked(void **state)
{
	const struct config_probes probes = {MARK, 0xff000000, 4848, 1};
	int failed = lab_open(state);

	if (!failed)
		dataplane_probe_marks(&((struct lab *)*state)->plane, &probes);
	return failed;
}

/* more: the rest of the configuration */
static void apply_methods(struct lab *lab, const char *more)
{
	char text[8192];
	size_t at = (size_t)snprintf(text, sizeof(text), "%sservices:\n", more);

	for (size_t i = 0; i < METHODS; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
				       "  - {vip: \"%s\", port: 80, forward: %s, backends: [{address: \"%s\"}, "
				       "{address: \"%s\"}]}\n",
				       methods[i].vip, methods[i].forward, methods[i].backend,
				       wire_is4(methods[i].backend) ? "10.3.0.200" : "fd00:3::c8");
	lab_apply(lab, text);
	lab_resolve_all(lab);
}

/* The number of a backend by this method. */
static uint32_t number_of(const struct lab *lab, const struct method_row *row)
{
	enum config_forward forward = !strcmp(row->forward, "l2") ? CONFIG_FORWARD_L2 :
				      !strcmp(row->forward, "ipip") ? CONFIG_FORWARD_IPIP :
				      !strcmp(row->forward, "gue") ? CONFIG_FORWARD_GUE : CONFIG_FORWARD_GRE;
	struct ip address = lab_ip(row->backend);

	for (uint32_t number = 1; number < lab->plane.limits.backends; number++) {
		const struct hp_identity *identity = &lab->plane.identities[number];

		if (identity->method && !memcmp(identity->address, address.byte, sizeof(identity->address)) &&
		    adjacency_forward(identity->method) == forward)
			return number;
	}
	fail_msg("no number for %s", row->backend);
	return 0;
}

static const char *own_of(const char *vip)
{
	return wire_is4(vip) ? OWN4 : OWN6;
}

static struct wire_way way_of(const struct method_row *row, uint8_t mac[static 6], const char *tags)
{
	struct wire_way way = {.mac_to = mac, .mac_from = wire_mac_director, .tags = tags};

	lab_mac(row->backend, mac);
	way.is_gue = !strcmp(row->forward, "gue");
	way.is_gre = !strcmp(row->forward, "gre");
	if (strcmp(row->forward, "l2") != 0) {
		way.outer_from = wire_is4(row->backend) ? DIRECTOR4 : DIRECTOR6;
		way.outer_to = row->backend;
	}
	return way;
}

/* As the host's stack sends it, by the made-up gateway */
static void make(struct wire *out, const struct method_row *row, struct wire_spec more)
{
	static const uint8_t gateway[6] = {2, 0x68, 0x70, 0, 0, 1};

	more.from = more.from ? more.from : own_of(row->vip);
	more.to = more.to ? more.to : row->vip;
	more.from_port = more.from_port ? more.from_port : 40000;
	more.to_port = 80;
	more.mac_to = gateway;
	more.mac_from = wire_mac_director;
	wire_make(out, &more);
}

/* sent: the same as it is to leave, to be forwarded no more. */
static void make_both(struct wire *out, struct wire *sent, const struct method_row *row, struct wire_spec more)
{
	make(out, row, more);
	more.ttl = 1;
	make(sent, row, more);
}

/* ---- by BPF_PROG_RUN ---------------------------------------------------------------------------------------------- */

struct end {
	int action;
	enum hp_probe_event event; /* HP_PROBE_EVENT_COUNT: none */
	struct wire frame;
};

static enum hp_probe_event counted(struct lab *lab, const uint64_t before[static HP_PROBE_EVENT_COUNT])
{
	uint64_t after[HP_PROBE_EVENT_COUNT], sum = 0;
	enum hp_probe_event event = HP_PROBE_EVENT_COUNT;

	dataplane_probe_counts(&lab->plane, after);
	for (unsigned int i = 0; i < HP_PROBE_EVENT_COUNT; i++) {
		sum += after[i] - before[i];
		if (after[i] != before[i])
			event = i;
	}
	assert_true(sum <= 1);
	return event;
}

/* skb: mark, ingress_ifindex, gso_size, gso_segs. It leaves by the port in0. */
static void run(struct lab *lab, const struct wire *in, struct __sk_buff skb, struct end *end)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = in->byte, .data_size_in = in->bytes, .data_out = end->frame.byte,
		    .data_size_out = sizeof(end->frame.byte), .ctx_in = &skb, .ctx_size_in = sizeof(skb), .repeat = 1);
	uint64_t before[HP_PROBE_EVENT_COUNT];
	int code;

	memset(end, 0, sizeof(*end));
	run.data_out = end->frame.byte;
	skb.ifindex = lab->in;
	dataplane_probe_counts(&lab->plane, before);
	code = bpf_prog_test_run_opts(dataplane_probe_program(&lab->plane), &run);
	if (code)
		fail_msg("running the program: %s", strerror(-code));
	end->action = (int)run.retval;
	end->frame.bytes = run.data_size_out;
	end->event = counted(lab, before);
}

static const char *event_name(enum hp_probe_event event)
{
#define NAME(name, text) #name,
	static const char *const names[] = {HP_PROBE_EVENTS(NAME)};
#undef NAME
	return event < HP_PROBE_EVENT_COUNT ? names[event] : "none";
}

/* want: NULL where nobody cares what becomes of the frame. */
static int judge(const char *says, const struct end *end, int action, enum hp_probe_event event, const struct wire *want)
{
	bool same = !want || lab_same(want, &end->frame);

	if (end->action == action && end->event == event && same)
		return 0;
	print_error("    WRONG: %s: action %d, %s; wanted %d, %s\n", says, end->action, event_name(end->event), action,
		    event_name(event));
	if (!same) {
		lab_print("wanted", want);
		lab_print("became", &end->frame);
	}
	return 1;
}

/* The outermost tag is not in the frame yet: the driver puts it there. */
static void take_outermost(struct wire *frame, const char *tags)
{
	if (!*tags)
		return;
	memmove(frame->byte + 12, frame->byte + 16, frame->bytes - 16);
	frame->bytes -= 4;
}

static void every_method_gets_the_directors_headers(void **state)
{
	struct lab *lab = *state;
	int wrong = 0;

	apply_methods(lab, "");
	for (unsigned int n = 0; n < METHODS * 3 * 2 * 2; n++) {
		const struct method_row *row = &methods[n % METHODS];
		const char *tags = depths[n / METHODS % 3];
		bool is_udp = n / METHODS / 3 % 2, leaves_elsewhere = n / METHODS / 6;
		struct adjacency facts = lab_facts(lab, row->backend);
		uint8_t mac[6];
		struct wire_way way = way_of(row, mac, tags);
		struct wire in, sent, out;
		struct end end;
		char says[160];

		lab_tag(&facts, tags);
		facts.ifindex = leaves_elsewhere ? lab->out : lab->in;
		lab_resolve(lab, row->backend, &facts);
		make_both(&in, &sent, row, (struct wire_spec){.protocol = is_udp ? IPPROTO_UDP : IPPROTO_TCP, .payload = 500});
		run(lab, &in, (struct __sk_buff){.mark = MARK | number_of(lab, row)}, &end);
		way.tags = *tags ? tags + 1 : tags;
		wire_expect(&out, &sent, &way, &end.frame);
		way.tags = tags;
		wire_forward(&out, &sent, &way);
		take_outermost(&out, tags);
		snprintf(says, sizeof(says), "%s, %s, tags \"%s\", %s port", row->says, is_udp ? "UDP" : "TCP", tags,
			 leaves_elsewhere ? "another" : "the same");
		wrong += judge(says, &end, leaves_elsewhere ? REDIRECT : NEXT, HP_PROBE_SENT, &out);
	}
	assert_int_equal(wrong, 0);
}

static void the_outer_source_is_the_hosts_own_where_it_would_vary(void **state)
{
	struct lab *lab = *state;
	int wrong = 0;

	apply_methods(lab, "tunnel: {source4: 10.9.0.0/16, source6: \"fd00:9::/96\"}\n");
	for (unsigned int i = 2; i < METHODS; i++) {
		uint8_t mac[6];
		struct wire_way way = way_of(&methods[i], mac, "");
		struct wire in, sent, out;
		struct end end;

		make_both(&in, &sent, &methods[i], (struct wire_spec){.payload = 33});
		run(lab, &in, (struct __sk_buff){.mark = MARK | number_of(lab, &methods[i])}, &end);
		wire_expect(&out, &sent, &way, &end.frame);
		wrong += judge(methods[i].says, &end, NEXT, HP_PROBE_SENT, &out);
	}
	apply_methods(lab, "tunnel: {source4: 192.0.2.7, source6: \"fd00:9::7\"}\n");
	for (unsigned int i = 2; i < METHODS; i++) {
		uint8_t mac[6];
		struct wire_way way = way_of(&methods[i], mac, "");
		struct wire in, sent, out;
		struct end end;

		way.outer_from = wire_is4(methods[i].backend) ? "192.0.2.7" : "fd00:9::7";
		make_both(&in, &sent, &methods[i], (struct wire_spec){.payload = 33});
		run(lab, &in, (struct __sk_buff){.mark = MARK | number_of(lab, &methods[i])}, &end);
		wire_expect(&out, &sent, &way, &end.frame);
		wrong += judge(methods[i].says, &end, NEXT, HP_PROBE_SENT, &out);
	}
	assert_int_equal(wrong, 0);
}

/* One word out of the table of methods: the row that most rows below take. */
#define L2 0
#define IPIP 2
#define GUE6 9
#define ANOTHER "10.77.0.1" /* no VIP */
#define ANOTHER6 "fd00:77::1"

struct row {
	const char *says;
	unsigned int method;
	struct wire_spec spec;
	uint32_t mark;	   /* 0: none; else or-ed to the backend's number where has_number */
	bool has_number;
	bool comes_in, comes_elsewhere; /* forwarded: by the port that it leaves by; by another one */
	uint32_t gso_size;
	int action;
	enum hp_probe_event event;
};

static const struct row rows[] = {
	{"the host's packet to a VIP without a mark is dropped", L2, {0}, .action = DROP, .event = HP_PROBE_UNMARKED},
	{"of IPv6 too", GUE6, {0}, .action = DROP, .event = HP_PROBE_UNMARKED},
	{"with somebody else's mark too", L2, {0}, .mark = 0x47000001, .action = DROP, .event = HP_PROBE_UNMARKED},
	{"a ping without a mark as well", L2, {.protocol = IPPROTO_ICMP, .type = 8}, .action = DROP, .event = HP_PROBE_UNMARKED},
	{"one that would go back the way it came loops", L2, {.from = CLIENT4}, .comes_in = true, .action = DROP,
	 .event = HP_PROBE_LOOPED},
	{"one that came in elsewhere is the kernel's business", L2, {.from = CLIENT4}, .comes_elsewhere = true, .action = NEXT,
	 .event = HP_PROBE_EVENT_COUNT},
	{"the host's packet to anybody else is not touched", L2, {.to = ANOTHER}, .action = NEXT, .event = HP_PROBE_EVENT_COUNT},
	{"of IPv6 too", GUE6, {.to = ANOTHER6}, .action = NEXT, .event = HP_PROBE_EVENT_COUNT},
	{"with a mark that is no probe's neither", L2, {.to = ANOTHER}, .mark = 0x148, .action = NEXT,
	 .event = HP_PROBE_EVENT_COUNT},
	{"a probe's mark leads nowhere else than to VIPs", L2, {.to = ANOTHER}, .mark = MARK, .has_number = true, .action = DROP,
	 .event = HP_PROBE_NOT_VIP},
	{"a mark without a number is no backend's", L2, {0}, .mark = MARK, .action = DROP, .event = HP_PROBE_UNRESOLVED},
	{"a number of nobody's", L2, {0}, .mark = MARK | 200, .action = DROP, .event = HP_PROBE_UNRESOLVED},
	{"a number beyond the table", L2, {0}, .mark = MARK | 0xffffff, .action = DROP, .event = HP_PROBE_UNRESOLVED},
	{"a port that no service has goes out as well", L2, {.protocol = IPPROTO_ICMP, .type = 8}, .mark = MARK,
	 .has_number = true, .action = NEXT, .event = HP_PROBE_SENT},
	{"l2: as long as the path takes", L2, {.payload = 1460}, .mark = MARK, .has_number = true, .action = NEXT,
	 .event = HP_PROBE_SENT},
	{"ipip: as long as the path takes", IPIP, {.payload = 1440}, .mark = MARK, .has_number = true, .action = NEXT,
	 .event = HP_PROBE_SENT},
	{"ipip: a byte longer", IPIP, {.payload = 1441}, .mark = MARK, .has_number = true, .action = DROP,
	 .event = HP_PROBE_TOO_BIG},
	{"gue, IPv6: as long as the path takes", GUE6, {.payload = 1388}, .mark = MARK, .has_number = true, .action = NEXT,
	 .event = HP_PROBE_SENT},
	{"gue, IPv6: a byte longer", GUE6, {.payload = 1389}, .mark = MARK, .has_number = true, .action = DROP,
	 .event = HP_PROBE_TOO_BIG},
	{"what is yet to be cut into segments that fit", L2, {.payload = 3000}, .mark = MARK, .has_number = true,
	 .gso_size = 1460, .action = NEXT, .event = HP_PROBE_SENT},
	{"into segments a byte too long", L2, {.payload = 3000}, .mark = MARK, .has_number = true, .gso_size = 1461,
	 .action = DROP, .event = HP_PROBE_TOO_BIG},
};

static void the_rest_is_dropped_by_name_or_passed_untouched(void **state)
{
	struct lab *lab = *state;
	int wrong = 0;

	apply_methods(lab, "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		const struct method_row *method = &methods[row->method];
		struct __sk_buff skb = {.mark = row->mark | (row->has_number ? number_of(lab, method) : 0),
					.ingress_ifindex = row->comes_in ? lab->in : row->comes_elsewhere ? lab->out : 0,
					.gso_size = row->gso_size};
		struct wire in;
		struct end end;

		make(&in, method, row->spec);
		run(lab, &in, skb, &end);
		wrong += judge(row->says, &end, row->action, row->event,
			       row->action == NEXT && row->event == HP_PROBE_EVENT_COUNT ? &in : NULL);
	}
	assert_int_equal(wrong, 0);
}

static void a_backend_that_is_lost_gets_no_probe(void **state)
{
	struct lab *lab = *state;
	struct wire in;
	struct end end;

	apply_methods(lab, "");
	make(&in, &methods[IPIP], (struct wire_spec){0});
	lab_resolve(lab, methods[IPIP].backend, NULL);
	run(lab, &in, (struct __sk_buff){.mark = MARK | number_of(lab, &methods[IPIP])}, &end);
	assert_int_equal(judge("no way to it", &end, DROP, HP_PROBE_UNRESOLVED, NULL), 0);
}

/* No probe is a client's packet: it is not counted for a service or a backend, and nothing is remembered of it. */
static void probes_leave_no_trace_in_what_clients_do(void **state)
{
	struct lab *lab = *state;
	uint64_t before[HP_BACKEND_CELLS], after[HP_BACKEND_CELLS];
	uint32_t number;
	struct wire in;
	struct end end;

	lab->keeps_moving = true;
	apply_methods(lab, "");
	lab_apply(lab, "services:\n  - {vip: 10.2.0.1, port: 80, backends: [10.3.0.1, 10.3.0.9]}\n");
	lab_resolve_all(lab);
	number = number_of(lab, &methods[L2]);
	lab_forget_all(lab);
	dataplane_backend_sum(&lab->plane, number, before);
	lab_count(lab);
	for (uint16_t i = 0; i < 100; i++) {
		make(&in, &methods[L2], (struct wire_spec){.from_port = (uint16_t)(40000 + i)});
		run(lab, &in, (struct __sk_buff){.mark = MARK | number}, &end);
		assert_int_equal(judge("in mid-change", &end, NEXT, HP_PROBE_SENT, NULL), 0);
	}
	dataplane_backend_sum(&lab->plane, number, after);
	assert_memory_equal(before, after, sizeof(before));
	assert_int_equal(lab_forget_all(lab), 0);
	for (uint32_t row = 0; row < lab->rows; row++) {
		uint64_t cell[HP_SERVICE_CELLS];

		dataplane_service_sum(&lab->plane, row, cell);
		assert_memory_equal(cell, lab->cell[row], sizeof(cell));
	}
	lab->keeps_moving = false;
	lab_rest(lab);
}

/* ---- on a cable ----------------------------------------------------------------------------------------------------- */

/* A socket that takes all that arrives there, or, with a mark, one that sends packets of that ethertype. */
static int tap(const char *name, uint32_t mark, uint16_t ethertype)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
				 .sll_ifindex = (int)if_nametoindex(name)};
	struct timeval patience = {.tv_sec = 2};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, mark ? 0 : htons(ETH_P_ALL)), on = 1;

	assert_true(fd >= 0);
	if (mark) {
		at.sll_protocol = htons(ethertype);
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), 0);
	}
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)), 0);
	return fd;
}

/* The next frame that was sent to a unicast address, with the tag that was taken off it. */
static void receive(int fd, struct wire *out)
{
	struct sockaddr_ll from;
	char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	struct iovec vector = {out->byte, sizeof(out->byte)};
	struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &vector, .msg_iovlen = 1,
				 .msg_control = control, .msg_controllen = sizeof(control)};
	struct tpacket_auxdata aux = {0};
	ssize_t got;

	do {
		message.msg_controllen = sizeof(control);
		message.msg_namelen = sizeof(from);
		got = recvmsg(fd, &message, 0);
		if (got < 0)
			fail_msg("no frame came: %s", strerror(errno));
	} while (from.sll_pkttype == PACKET_OUTGOING || out->byte[0] & 1);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
		if (c->cmsg_type == PACKET_AUXDATA)
			memcpy(&aux, CMSG_DATA(c), sizeof(aux));
	out->bytes = (uint32_t)got;
	if (!(aux.tp_status & TP_STATUS_VLAN_VALID))
		return;
	memmove(out->byte + 16, out->byte + 12, out->bytes - 12);
	wire_put16(out->byte + 12, aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid : 0x8100);
	wire_put16(out->byte + 14, aux.tp_vlan_tci);
	out->bytes += 4;
}

static void the_filter_sends_whole_frames_by_the_right_port(void **state)
{
	struct lab *lab = *state;
	auto_close int near = -1, far = -1, sender = -1;
	bool made_qdisc = false;
	int wrong = 0;
	struct err e;

	apply_methods(lab, "");
	assert_int_equal(system("for i in in0 in1 out0 out1; do ip link set $i up; done"), 0);
	assert_int_equal(dataplane_probe_attach(&lab->plane, "in0", lab->in, &made_qdisc, &e), 0);
	assert_true(made_qdisc);
	made_qdisc = false;
	assert_int_equal(dataplane_probe_attach(&lab->plane, "in0", lab->in, &made_qdisc, &e), 0);
	assert_false(made_qdisc);
	near = tap("in1", 0, 0);
	far = tap("out1", 0, 0);
	for (unsigned int n = 0; n < METHODS * 3 * 2; n++) {
		const struct method_row *row = &methods[n % METHODS];
		const char *tags = depths[n / METHODS % 3];
		bool leaves_elsewhere = n / METHODS / 3;
		struct adjacency facts = lab_facts(lab, row->backend);
		struct lab_end end = {.action = XDP_TX, .verdict = HP_FORWARDED};
		uint8_t mac[6];
		struct wire_way way = way_of(row, mac, tags);
		struct wire in, sent, out;
		char says[160];
		uint32_t mark;

		lab_tag(&facts, tags);
		facts.ifindex = leaves_elsewhere ? lab->out : lab->in;
		lab_resolve(lab, row->backend, &facts);
		make_both(&in, &sent, row, (struct wire_spec){.payload = 500});
		mark = MARK | number_of(lab, row);
		sender = tap("in0", mark, wire_is4(row->vip) ? ETH_P_IP : ETH_P_IPV6);
		assert_int_equal(send(sender, in.byte, in.bytes, 0), in.bytes);
		close(sender);
		sender = -1;
		receive(leaves_elsewhere ? far : near, &end.frame);
		wire_expect(&out, &sent, &way, &end.frame);
		snprintf(says, sizeof(says), "%s, tags \"%s\", %s port", row->says, tags,
			 leaves_elsewhere ? "another" : "the same");
		wrong += lab_judge(says, &end, &(struct lab_want){XDP_TX, HP_FORWARDED, &out});
	}
	assert_int_equal(wrong, 0);
	assert_true(dataplane_probe_detach(lab->in));
	assert_false(dataplane_probe_detach(lab->in));
	dataplane_qdisc_remove(lab->in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_method_gets_the_directors_headers),
		cmocka_unit_test(the_outer_source_is_the_hosts_own_where_it_would_vary),
		cmocka_unit_test(the_rest_is_dropped_by_name_or_passed_untouched),
		cmocka_unit_test(a_backend_that_is_lost_gets_no_probe),
		cmocka_unit_test(probes_leave_no_trace_in_what_clients_do),
		cmocka_unit_test(the_filter_sends_whole_frames_by_the_right_port),
	};

	return cmocka_run_group_tests(tests, open_marked, lab_close);
}
