/* Which interfaces packets can leave and come in by, judged from the messages in which the kernel tells of links:
 * VLANs become their physical port and its tags, whatever XDP cannot send by is refused with the reason. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/resolver_internal.h"

#define LINKS_MOST 5
#define UP (IFF_UP | IFF_LOWER_UP)
#define ELSEWHERE 0x80000000u /* in .lower: of another network namespace */

struct told {
	uint32_t ifindex;
	const char *name, *kind;
	uint32_t lower;
	uint32_t flags, mtu;
	uint16_t id, protocol; /* of a VLAN; protocol 0: not told, which means 802.1Q */
	uint16_t type;	       /* 0: Ethernet */
};

/* The message of a link, as the kernel writes it. MAC addresses end with the interface's number. */
static struct nlmsghdr *put_link(char *buffer, uint16_t type, const struct told *told)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	uint8_t mac[6] = {2, 0, 0, 0, 0, (uint8_t)told->ifindex};

	message->nlmsg_type = type;
	info->ifi_index = (int)told->ifindex;
	info->ifi_flags = told->flags;
	info->ifi_type = told->type ? told->type : ARPHRD_ETHER;
	mnl_attr_put_strz(message, IFLA_IFNAME, told->name);
	mnl_attr_put(message, IFLA_ADDRESS, sizeof(mac), mac);
	mnl_attr_put_u32(message, IFLA_MTU, told->mtu ? told->mtu : 1500);
	if (told->lower)
		mnl_attr_put_u32(message, IFLA_LINK, told->lower & ~ELSEWHERE);
	if (told->lower & ELSEWHERE)
		mnl_attr_put_u32(message, IFLA_LINK_NETNSID, 0);
	if (told->kind) {
		struct nlattr *outer = mnl_attr_nest_start(message, IFLA_LINKINFO);

		mnl_attr_put_strz(message, IFLA_INFO_KIND, told->kind);
		if (!strcmp(told->kind, "vlan")) {
			struct nlattr *data = mnl_attr_nest_start(message, IFLA_INFO_DATA);

			mnl_attr_put_u16(message, IFLA_VLAN_ID, told->id);
			if (told->protocol)
				mnl_attr_put_u16(message, IFLA_VLAN_PROTOCOL, htons(told->protocol));
			mnl_attr_nest_end(message, data);
		}
		mnl_attr_nest_end(message, outer);
	}
	return message;
}

/* A resolver that hears nothing but what it is told. */
static struct resolver *resolver_make(void)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));

	assert_non_null(resolver);
	resolver->loop = uv_default_loop();
	resolver->is_closing = true;
	return resolver;
}

static void resolver_free(struct resolver *resolver)
{
	link_table_free(resolver);
	free(resolver);
}

static void tell_links(struct resolver *resolver, const struct told *links)
{
	char buffer[1024];

	for (size_t i = 0; i < LINKS_MOST && links[i].ifindex; i++)
		link_take(resolver, put_link(buffer, RTM_NEWLINK, &links[i]));
}

static const struct {
	const char *sentence;
	struct told links[LINKS_MOST]; /* the way leads out by the first */
	const char *reason;	       /* NULL: resolved, to what follows */
	uint32_t ifindex, mtu;
	uint8_t tags;
	uint16_t protocol[2], id[2];
} ways[] = {
	{"a port is itself", {{2, "eth0", .flags = UP}}, .ifindex = 2, .mtu = 1500},
	{"a jumbo port has its MTU", {{2, "eth0", .flags = UP, .mtu = 9000}}, .ifindex = 2, .mtu = 9000},
	{"a veth is a port, though it has a far end here",
	 {{2, "v0", "veth", 3, .flags = UP}, {3, "v1", "veth", 2, .flags = UP}}, .ifindex = 2,
	 .mtu = 1500},
	{"a VLAN is its port and a tag",
	 {{5, "eth0.100", "vlan", 2, UP, .id = 100, .protocol = 0x8100}, {2, "eth0", .flags = UP}},
	 .ifindex = 2, .mtu = 1500, .tags = 1, .protocol = {0x8100}, .id = {100}},
	{"a VLAN that tells no protocol is 802.1Q",
	 {{5, "eth0.7", "vlan", 2, UP, .id = 7}, {2, "eth0", .flags = UP}},
	 .ifindex = 2, .mtu = 1500, .tags = 1, .protocol = {0x8100}, .id = {7}},
	{"a VLAN's smaller MTU counts",
	 {{5, "eth0.7", "vlan", 2, UP, 1400, .id = 7}, {2, "eth0", .flags = UP}},
	 .ifindex = 2, .mtu = 1400, .tags = 1, .protocol = {0x8100}, .id = {7}},
	{"a port's smaller MTU counts",
	 {{5, "eth0.7", "vlan", 2, UP, 9000, .id = 7}, {2, "eth0", .flags = UP}},
	 .ifindex = 2, .mtu = 1500, .tags = 1, .protocol = {0x8100}, .id = {7}},
	{"of QinQ the outer tag comes first, and the second is taken off the MTU",
	 {{6, "eth0.5.100", "vlan", 5, UP, .id = 100, .protocol = 0x8100},
	  {5, "eth0.5", "vlan", 2, UP, .id = 5, .protocol = 0x88a8},
	  {2, "eth0", .flags = UP}},
	 .ifindex = 2, .mtu = 1496, .tags = 2, .protocol = {0x88a8, 0x8100}, .id = {5, 100}},
	{"three tags are one too many, and the uppermost is named",
	 {{7, "deep", "vlan", 6, UP, .id = 3}, {6, "b", "vlan", 5, UP, .id = 2}, {5, "a", "vlan", 2, UP, .id = 1},
	  {2, "eth0", .flags = UP}},
	 .reason = "interface deep has more than two VLAN tags"},
	{"a VLAN on a port of another network namespace",
	 {{5, "eth0.7", "vlan", 2 | ELSEWHERE, UP, .id = 7}, {2, "eth0", .flags = UP}},
	 .reason = "interface eth0.7 stands on an interface of another network namespace"},
	{"a VLAN whose port is not known",
	 {{5, "eth0.7", "vlan", 2, UP, .id = 7}},
	 .reason = "interface eth0.7 stands on an interface of another network namespace"},
	{"a VLAN that is down, on a port that is up",
	 {{5, "eth0.7", "vlan", 2, .id = 7}, {2, "eth0", .flags = UP}}, .reason = "interface eth0.7 is down"},
	{"a VLAN on a port that is down",
	 {{5, "eth0.7", "vlan", 2, UP, .id = 7}, {2, "eth0", .flags = 0}}, .reason = "interface eth0 is down"},
	{"a port that is down", {{2, "eth0", .flags = 0}}, .reason = "interface eth0 is down"},
	{"a port without carrier", {{2, "eth0", .flags = IFF_UP}}, .reason = "interface eth0 has no carrier"},
	{"a bond", {{2, "bond0", "bond", .flags = UP}}, .reason = "interface bond0 is a bond"},
	{"a VLAN on a bond, named by the bond",
	 {{5, "bond0.7", "vlan", 2, UP, .id = 7}, {2, "bond0", "bond", .flags = UP}}, .reason = "interface bond0 is a bond"},
	{"a team", {{2, "team0", "team", .flags = UP}}, .reason = "interface team0 is a team"},
	{"a bridge", {{2, "br0", "bridge", .flags = UP}}, .reason = "interface br0 is a bridge"},
	{"a macvlan", {{3, "mv0", "macvlan", 2, .flags = UP}, {2, "eth0", .flags = UP}}, .reason = "interface mv0 is a macvlan"},
	{"an ipvlan", {{3, "iv0", "ipvlan", 2, .flags = UP}, {2, "eth0", .flags = UP}}, .reason = "interface iv0 is an ipvlan"},
	{"a vxlan", {{3, "vx0", "vxlan", .flags = UP}}, .reason = "interface vx0 is a vxlan"},
	{"a geneve", {{3, "gnv0", "geneve", .flags = UP}}, .reason = "interface gnv0 is a geneve"},
	{"a VRF", {{3, "blue", "vrf", .flags = UP}}, .reason = "interface blue is a VRF"},
	{"a wireguard",
	 {{3, "wg0", "wireguard", .flags = UP, .type = ARPHRD_NONE}}, .reason = "interface wg0 is a wireguard"},
	{"a tunnel of the kernel's",
	 {{3, "tun0", "tun", .flags = UP, .type = ARPHRD_NONE}}, .reason = "carries no Ethernet frames"},
	{"a tap is a port", {{3, "tap0", "tun", .flags = UP}}, .ifindex = 3, .mtu = 1500},
	{"the loopback",
	 {{1, "lo", .flags = UP | IFF_LOOPBACK, .type = ARPHRD_LOOPBACK}}, .reason = "interface lo is the loopback"},
};

static void check_way(size_t i)
{
	struct resolver *resolver = resolver_make();
	struct adjacency facts = {0};
	char reason[RESOLVER_REASON_BYTES] = "";
	uint32_t mtu = 0;
	bool is_fine;

	tell_links(resolver, ways[i].links);
	is_fine = link_resolve(resolver, link_find(resolver, ways[i].links[0].ifindex), &facts, &mtu, reason);
	if (is_fine != !ways[i].reason || (ways[i].reason && !strstr(reason, ways[i].reason)))
		fail_msg("%s: wanted \"%s\", got \"%s\"", ways[i].sentence, ways[i].reason ? ways[i].reason : "", reason);
	if (is_fine && (facts.ifindex != ways[i].ifindex || mtu != ways[i].mtu || facts.tag_count != ways[i].tags ||
			facts.mac_source[5] != ways[i].links[0].ifindex))
		fail_msg("%s: port %u, MTU %u, %u tags, MAC :%02x", ways[i].sentence, facts.ifindex, mtu, facts.tag_count,
			 facts.mac_source[5]);
	for (uint8_t tag = 0; is_fine && tag < ways[i].tags; tag++)
		if (facts.tag[tag].id != ways[i].id[tag] || facts.tag[tag].protocol != ways[i].protocol[tag])
			fail_msg("%s: tag %u is %04x %u", ways[i].sentence, tag, facts.tag[tag].protocol, facts.tag[tag].id);
	resolver_free(resolver);
}

static void test_ways_out(void **state)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		check_way(i);
}

/* As a way in, an interface is named in the configuration. */
static void test_ways_in(void **state)
{
	static const struct told links[LINKS_MOST] = {
		{2, "eth0", .flags = UP},
		{3, "down0", .flags = 0},
		{4, "br0", "bridge", .flags = UP},
		{5, "eth0.100", "vlan", 2, UP, .id = 100},
		{6, "far.7", "vlan", 2 | ELSEWHERE, UP, .id = 7},
	};
	static const struct told far[LINKS_MOST] = {{6, "far.7", "vlan", 2 | ELSEWHERE, UP, .id = 7}};
	static const struct {
		const char *name, *reason;
	} rows[] = {
		{"eth0", NULL},
		{"down0", NULL}, /* it may come up */
		{"eth9", "there is no interface eth9"},
		{"br0", "interface br0 is a bridge"},
		{"eth0.100", "name eth0 instead"},
		{"far.7", "name that instead"},
	};
	struct resolver *resolver = resolver_make();

	tell_links(resolver, links);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err e = {""};
		bool is_usable = resolver_link_usable(resolver, rows[i].name, &e);

		if (is_usable != !rows[i].reason || (rows[i].reason && !strstr(e.text, rows[i].reason)))
			fail_msg("%s: \"%s\"", rows[i].name, e.text);
	}
	assert_true(resolver_link_has_vlans(resolver, 2));
	assert_false(resolver_link_has_vlans(resolver, 3));
	resolver_free(resolver);
	resolver = resolver_make();
	tell_links(resolver, far);
	assert_false(resolver_link_has_vlans(resolver, 2)); /* that one's port is number 2 elsewhere */
	resolver_free(resolver);
}

/* ---- what is told of changes -------------------------------------------------------------------------------- */

static char heard[256];

static void hear(void *context, const struct resolver_link *link)
{
	size_t at = strlen(heard);

	(void)context;
	if (link->ifindex)
		snprintf(heard + at, sizeof(heard) - at, "%s=%u ", link->name, link->ifindex);
	else
		snprintf(heard + at, sizeof(heard) - at, "%s gone ", link->name);
}

static void expect_heard(const char *sentence, const char *wanted)
{
	if (strcmp(heard, wanted) != 0)
		fail_msg("%s: wanted \"%s\", heard \"%s\"", sentence, wanted, heard);
	heard[0] = '\0';
}

static void test_changes_are_told(void **state)
{
	struct resolver *resolver = resolver_make();
	struct told port = {2, "eth0", .flags = UP}, vlan = {5, "eth0.7", "vlan", 2, UP, .id = 7};
	char buffer[1024];

	resolver->events.link_changed = hear;
	link_take(resolver, put_link(buffer, RTM_NEWLINK, &port));
	expect_heard("a new link", "eth0=2 ");
	link_take(resolver, put_link(buffer, RTM_NEWLINK, &port));
	expect_heard("nothing new of it", "");
	port.mtu = 1400;
	link_take(resolver, put_link(buffer, RTM_NEWLINK, &port));
	expect_heard("its MTU", "eth0=2 ");
	port.flags = IFF_UP;
	link_take(resolver, put_link(buffer, RTM_NEWLINK, &port));
	expect_heard("its carrier", "eth0=2 ");
	port.flags = 0;
	link_take(resolver, put_link(buffer, RTM_NEWLINK, &port));
	expect_heard("down, after the carrier went", "eth0=2 ");
	port.name = "wan0";
	link_take(resolver, put_link(buffer, RTM_NEWLINK, &port));
	expect_heard("another name", "eth0 gone wan0=2 ");
	link_take(resolver, put_link(buffer, RTM_NEWLINK, &vlan));
	expect_heard("a VLAN", "eth0.7=5 ");
	vlan.protocol = 0x88a8;
	link_take(resolver, put_link(buffer, RTM_NEWLINK, &vlan));
	expect_heard("the VLAN's protocol", "eth0.7=5 ");
	link_take(resolver, put_link(buffer, RTM_DELLINK, &port));
	expect_heard("the end", "wan0 gone ");
	resolver_free(resolver);
}

/* After notifications were lost, the tables are read again: what the reading does not find is gone. */
static void test_a_reading_finds_what_went(void **state)
{
	static const struct told links[LINKS_MOST] = {{2, "eth0", .flags = UP}, {3, "eth1", .flags = UP}};
	struct resolver *resolver = resolver_make();
	struct resolver_link found;
	char buffer[1024];

	tell_links(resolver, links);
	resolver->events.link_changed = hear;
	resolver->reading++;
	link_take(resolver, put_link(buffer, RTM_NEWLINK, &links[0]));
	link_sweep(resolver);
	expect_heard("the one that was not found", "eth1 gone ");
	assert_true(resolver_link_named(resolver, "eth0", &found));
	assert_false(resolver_link_named(resolver, "eth1", &found));
	resolver_free(resolver);
}

static struct nlmsghdr *put_address(char *buffer, uint16_t type, uint32_t ifindex, const char *text)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct ifaddrmsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	struct ip address;

	assert_true(ip_parse(&address, text));
	message->nlmsg_type = type;
	info->ifa_family = ip_is4(&address) ? AF_INET : AF_INET6;
	info->ifa_index = ifindex;
	if (ip_is4(&address))
		mnl_attr_put(message, IFA_LOCAL, 4, ip_bytes4(&address));
	else
		mnl_attr_put(message, IFA_ADDRESS, 16, address.byte);
	return message;
}

static bool has_address(const struct resolver *resolver, const char *text)
{
	struct ip address;

	return ip_parse(&address, text) && resolver_is_local(resolver, &address);
}

static void test_own_addresses(void **state)
{
	struct resolver *resolver = resolver_make();
	char buffer[256];

	local_take(resolver, put_address(buffer, RTM_NEWADDR, 2, "10.2.0.10"));
	local_take(resolver, put_address(buffer, RTM_NEWADDR, 3, "10.2.0.10"));
	local_take(resolver, put_address(buffer, RTM_NEWADDR, 2, "fd00:2::a"));
	local_take(resolver, put_address(buffer, RTM_DELADDR, 2, "10.2.0.10"));
	assert_true(has_address(resolver, "10.2.0.10")); /* still on the other interface */
	assert_true(has_address(resolver, "fd00:2::a"));
	resolver->reading++;
	local_take(resolver, put_address(buffer, RTM_NEWADDR, 2, "fd00:2::a"));
	local_sweep(resolver);
	assert_false(has_address(resolver, "10.2.0.10"));
	assert_true(has_address(resolver, "fd00:2::a"));
	resolver_free(resolver);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ways_out),
		cmocka_unit_test(test_ways_in),
		cmocka_unit_test(test_changes_are_told),
		cmocka_unit_test(test_a_reading_finds_what_went),
		cmocka_unit_test(test_own_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
