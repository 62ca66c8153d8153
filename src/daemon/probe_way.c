/* Keeping the way of probes open: see probe_way.h. */
#include "daemon/probe_way.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/probe_netlink.h"
#include "daemon/probe_qdisc.h"

#define RULE_PRIORITY 48 /* behind the table `local`, before whatever hosts usually have */
#define REASON_BYTES 320
#define READ_TRIES 5

/* Gateways that nobody is: a dummy address (RFC 7600) and one of the link's. Their MAC address is put over by the program,
 * and is nobody's should it be taken away. */
static const struct ip gateways[2] = {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 0, 8}},
				      {{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x48, 0x48, 0x48, 0x48}}};
static const uint8_t gateway_mac[6] = {0x02, 'h', 'p', 'w', 'a', 'y'};
static const int families[2] = {AF_INET, AF_INET6};
static const char *const family_names[2] = {"IPv4", "IPv6"};

struct way_family {
	struct ip source; /* zeros: none */
	char reason[REASON_BYTES]; /* empty: open */
	bool is_told;		   /* the log has it */
};

struct probe_way {
	struct dataplane *plane;	 /* borrowed */
	const struct resolver *resolver; /* borrowed */
	struct probe_netlink *netlink;
	struct probe_qdisc *qdiscs;
	struct config_probes probes;
	char (*names)[IF_NAMESIZE]; /* of the configured interfaces, in their order */
	size_t name_count;
	bool is_configured;
	struct resolver_link link; /* where probes leave; ifindex 0: none */
	struct way_family family[2];
	char warning[REASON_BYTES];
};

static int family_of(const struct ip *address)
{
	return ip_is4(address) ? 0 : 1;
}

/* ---- rules ------------------------------------------------------------------------------------------------------- */

static bool is_ours(const struct probe_rule *rule)
{
	return rule->protocol == RESOLVER_PROTOCOL && rule->priority == RULE_PRIORITY && rule->mask;
}

static struct probe_rule wanted_rule(const struct probe_way *way, size_t f)
{
	return (struct probe_rule){.family = families[f], .priority = RULE_PRIORITY, .mark = way->probes.mark,
				   .mask = way->probes.mask, .table = way->probes.table, .protocol = RESOLVER_PROTOCOL};
}

static bool same_rule(const struct probe_rule *a, const struct probe_rule *b)
{
	return a->mark == b->mark && a->mask == b->mask && a->table == b->table;
}

#define RULES_MOST 16

struct rules {
	struct probe_way *way;
	struct probe_rule stale[RULES_MOST]; /* of ours, and not what is wanted */
	size_t stale_count;
	struct probe_rule wanted;
	bool is_there;
};

/* A rule of somebody else's that takes probes, or anything into the table that is theirs. */
static void dispute(struct probe_way *way, const struct probe_rule *rule)
{
	const struct config_probes *probes = &way->probes;
	const char *family = rule->family == AF_INET ? "-4" : "-6";
	bool overlaps = rule->mask && !((rule->mark ^ probes->mark) & rule->mask & probes->mask);

	if (rule->table == probes->table)
		snprintf(way->warning, sizeof(way->warning),
			 "another rule leads to the table of probes, %u: `ip %s rule show prio %u`; give probes.table a number "
			 "that nobody uses",
			 probes->table, family, rule->priority);
	else if (overlaps && (rule->priority <= RULE_PRIORITY || rule->mark == probes->mark))
		snprintf(way->warning, sizeof(way->warning),
			 "another rule is for marks that probes have (0x%08x/0x%08x, and 0x%x/0x%x): `ip %s rule show prio %u`; "
			 "choose another probes.mark or probes.mask",
			 probes->mark, probes->mask, rule->mark, rule->mask, family, rule->priority);
}

static void see_rule(void *context, const struct probe_rule *rule)
{
	struct rules *rules = context;

	if (!is_ours(rule))
		dispute(rules->way, rule);
	else if (same_rule(rule, &rules->wanted) && !rules->is_there)
		rules->is_there = true;
	else if (rules->stale_count < RULES_MOST)
		rules->stale[rules->stale_count++] = *rule;
}

/* The rule of a family is there, or is not, and no other of ours. */
static int keep_rule(struct probe_way *way, size_t f, bool is_wanted)
{
	struct rules rules = {.way = way, .wanted = wanted_rule(way, f)};
	int code = probe_netlink_rules(way->netlink, families[f], see_rule, &rules);

	if (!code && is_wanted && !rules.is_there)
		code = probe_netlink_rule_make(way->netlink, &rules.wanted);
	if (!code && !is_wanted && rules.is_there)
		code = probe_netlink_rule_remove(way->netlink, &rules.wanted);
	for (size_t i = 0; i < rules.stale_count; i++)
		probe_netlink_rule_remove(way->netlink, &rules.stale[i]);
	return code;
}

/* ---- routes ------------------------------------------------------------------------------------------------------ */

struct routes {
	struct probe_way *way;
	size_t f;
	struct probe_route wanted, stale;
	bool is_there, is_another_there;
};

static bool is_our_route(const struct probe_route *route)
{
	return route->protocol == RESOLVER_PROTOCOL &&
	       ip_equal(&route->gateway, &gateways[route->family == AF_INET ? 0 : 1]);
}

static void see_route(void *context, const struct probe_route *route)
{
	struct routes *routes = context;

	if (!is_our_route(route))
		snprintf(routes->way->warning, sizeof(routes->way->warning),
			 "the table of probes, %u, holds routes of somebody else's: `ip %s route show table %u`; give "
			 "probes.table a number that nobody uses",
			 route->table, route->family == AF_INET ? "-4" : "-6", route->table);
	else if (route->ifindex == routes->wanted.ifindex && ip_equal(&route->source, &routes->wanted.source))
		routes->is_there = true;
	else {
		routes->is_another_there = true;
		routes->stale = *route;
	}
}

static int keep_route(struct probe_way *way, size_t f)
{
	struct routes routes = {.way = way, .f = f};
	int code;

	routes.wanted = (struct probe_route){.family = families[f], .table = way->probes.table, .ifindex = way->link.ifindex,
					     .gateway = gateways[f], .source = way->family[f].source,
					     .protocol = RESOLVER_PROTOCOL};
	code = probe_netlink_routes(way->netlink, families[f], way->probes.table, see_route, &routes);
	if (!code && !routes.is_there)
		code = probe_netlink_route_make(way->netlink, &routes.wanted);
	if (!code && routes.is_there && routes.is_another_there)
		code = probe_netlink_route_remove(way->netlink, &routes.stale);
	return code;
}

struct leftovers {
	struct probe_way *way; /* NULL: nothing is to stay */
	struct probe_route *list;
	struct probe_neighbour *neighbours;
	size_t count, neighbour_count;
};

static void collect_route(void *context, const struct probe_route *route)
{
	struct leftovers *left = context;
	struct probe_route *grown;

	if (!is_our_route(route) || (left->way && route->table == left->way->probes.table))
		return;
	grown = realloc(left->list, (left->count + 1) * sizeof(*grown));
	if (!grown)
		return;
	left->list = grown;
	grown[left->count++] = *route;
}

static void collect_neighbour(void *context, const struct probe_neighbour *neighbour)
{
	struct leftovers *left = context;
	struct probe_neighbour *grown;

	if (!neighbour->is_permanent || !ip_equal(&neighbour->address, &gateways[family_of(&neighbour->address)]) ||
	    (left->way && neighbour->ifindex == left->way->link.ifindex))
		return;
	grown = realloc(left->neighbours, (left->neighbour_count + 1) * sizeof(*grown));
	if (!grown)
		return;
	left->neighbours = grown;
	grown[left->neighbour_count++] = *neighbour;
}

/* Remove routes and neighbours of ours that are of another table or interface than now. */
static int sweep(struct probe_netlink *netlink, struct probe_way *way)
{
	int code = 0, failed;

	for (size_t f = 0; f < 2; f++) {
		struct leftovers left = {.way = way};

		failed = probe_netlink_routes(netlink, families[f], 0, collect_route, &left);
		for (size_t i = 0; i < left.count; i++)
			probe_netlink_route_remove(netlink, &left.list[i]);
		if (!failed)
			failed = probe_netlink_neighbours(netlink, families[f], collect_neighbour, &left);
		for (size_t i = 0; i < left.neighbour_count; i++)
			probe_netlink_neighbour_remove(netlink, &left.neighbours[i]);
		free(left.list);
		free(left.neighbours);
		code = failed ? failed : code;
	}
	return code;
}

/* ---- the host's own address ------------------------------------------------------------------------------------------ */

struct choice {
	const struct probe_way *way;
	struct ip best;
	int worth; /* of the best: 0 there is none */
};

static bool is_vip(const struct probe_way *way, const struct ip *address)
{
	return keys_find(ip_is4(address) ? &way->plane->keys4 : &way->plane->keys6, address, HP_WHAT_VIP);
}

/* One of the interface that probes leave by, best; else any other that packets find their way to. */
static void weigh(void *context, const struct probe_address *address)
{
	struct choice *choice = context;
	int worth = 1 + address->is_lasting + 2 * (address->ifindex == choice->way->link.ifindex);

	if (!address->is_global || !address->is_ready || ip_is_loopback(&address->address) ||
	    ip_is_unspecified(&address->address) || is_vip(choice->way, &address->address))
		return;
	if (worth <= choice->worth)
		return;
	choice->worth = worth;
	choice->best = address->address;
}

static int choose_source(struct probe_way *way, size_t f)
{
	struct choice choice = {.way = way};
	int code = probe_netlink_addresses(way->netlink, families[f], way->link.ifindex, weigh, &choice);

	if (!code && !choice.worth)
		code = probe_netlink_addresses(way->netlink, families[f], 0, weigh, &choice);
	way->family[f].source = choice.best;
	return code ? code : choice.worth ? 0 : -EADDRNOTAVAIL;
}

/* ---- all of it --------------------------------------------------------------------------------------------------------- */

static int keep_neighbour(struct probe_way *way, size_t f)
{
	struct probe_neighbour wanted = {.address = gateways[f], .ifindex = way->link.ifindex}, found = wanted;
	int code = probe_netlink_neighbour_read(way->netlink, &found);

	if (!code && found.is_permanent && !memcmp(found.mac, gateway_mac, sizeof(gateway_mac)))
		return 0;
	memcpy(wanted.mac, gateway_mac, sizeof(wanted.mac));
	return probe_netlink_neighbour_make(way->netlink, &wanted);
}

static void close_family(struct probe_way *way, size_t f, const char *reason)
{
	struct way_family *family = &way->family[f];

	keep_rule(way, f, false);
	memset(&family->source, 0, sizeof(family->source));
	if (strcmp(family->reason, reason) != 0 || !family->is_told)
		log_event(LOG_NOTICE, "probe_way_closed family=%s reason=\"%s\"", family_names[f], reason);
	family->is_told = true;
	snprintf(family->reason, sizeof(family->reason), "%s", reason);
}

static void fail_family(struct probe_way *way, size_t f, const char *what, int code)
{
	char reason[REASON_BYTES];

	if (code == -EADDRNOTAVAIL)
		snprintf(reason, sizeof(reason),
			 "this host has no %s address of its own that answers from VIPs could come back to: give %s a global one",
			 family_names[f], way->link.name);
	else
		snprintf(reason, sizeof(reason), "%s of %s for probes cannot be had: %s", what, family_names[f], strerror(-code));
	close_family(way, f, reason);
}

/* The rule comes last: what it leads to is there. *what: what failed. */
static int keep_family(struct probe_way *way, size_t f, const char **what)
{
	int code = choose_source(way, f);

	*what = "addresses";
	if (!code) {
		*what = "the gateway's neighbour entry";
		code = keep_neighbour(way, f);
	}
	if (!code) {
		*what = "the route";
		code = keep_route(way, f);
	}
	if (!code) {
		*what = "the rule";
		code = keep_rule(way, f, true);
	}
	return code;
}

static void open_family(struct probe_way *way, size_t f)
{
	struct way_family *family = &way->family[f];
	struct ip former = family->source;
	const char *what;
	char text[IP_TEXT_BYTES];
	int code = -EINTR;

	for (int i = 0; i < READ_TRIES && code == -EINTR; i++) /* it changes while it is read */
		code = keep_family(way, f, &what);
	if (code) {
		fail_family(way, f, what, code);
		return;
	}
	if (family->reason[0] || !family->is_told || !ip_equal(&former, &family->source))
		log_event(LOG_INFO, "probe_way_open family=%s interface=%s source=%s mark=0x%08x/0x%08x table=%u",
			  family_names[f], way->link.name, ip_format(&family->source, text), way->probes.mark, way->probes.mask,
			  way->probes.table);
	family->is_told = true;
	family->reason[0] = '\0';
}

/* The first of the configured interfaces that is up. */
static bool choose_link(const struct probe_way *way, struct resolver_link *out)
{
	for (size_t i = 0; i < way->name_count; i++)
		if (resolver_link_named(way->resolver, way->names[i], out) && out->up)
			return true;
	memset(out, 0, sizeof(*out));
	return false;
}

/* Probes leave by another interface from now on, or by none. Rules and routes follow. */
static void change_link(struct probe_way *way, const struct resolver_link *next)
{
	uint32_t former = way->link.ifindex;

	way->link = *next;
	if (!former || former == next->ifindex)
		return;
	dataplane_probe_detach(former);
	probe_qdisc_give_back(way->qdiscs, way->netlink, former);
	sweep(way->netlink, way);
}

static int attach(struct probe_way *way, struct err *e)
{
	bool made_qdisc = false;
	int code = dataplane_probe_attach(way->plane, way->link.name, way->link.ifindex, &made_qdisc, e);

	if (made_qdisc)
		probe_qdisc_made(way->qdiscs, way->link.ifindex);
	return code;
}

void probe_way_check(struct probe_way *way)
{
	char former_warning[REASON_BYTES];
	struct resolver_link link;
	struct err e;
	int code;

	if (!way->is_configured)
		return;
	memcpy(former_warning, way->warning, sizeof(former_warning));
	way->warning[0] = '\0';
	choose_link(way, &link);
	change_link(way, &link);
	code = link.ifindex ? attach(way, &e) : err_set(&e, -ENODEV, "none of the interfaces that packets come in by is up");
	for (size_t f = 0; f < 2; f++) {
		if (code)
			close_family(way, f, e.text);
		else
			open_family(way, f);
	}
	if (way->warning[0] && strcmp(way->warning, former_warning) != 0)
		log_event(LOG_WARNING, "probe_way_disputed reason=\"%s\"", way->warning);
}

/* ---- configuration --------------------------------------------------------------------------------------------------- */

static bool take_names(struct probe_way *way, const struct config *config)
{
	char(*names)[IF_NAMESIZE] = calloc(config->interface_count + 1, sizeof(*names));

	for (size_t i = 0; names && i < config->interface_count; i++)
		snprintf(names[i], sizeof(names[i]), "%s", config->interfaces[i].name);
	if (!names)
		return false;
	free(way->names);
	way->names = names;
	way->name_count = config->interface_count;
	return true;
}

/* What a daemon before this one has left at other interfaces. */
static void detach_elsewhere(struct probe_way *way)
{
	struct if_nameindex *list = if_nameindex();

	for (struct if_nameindex *row = list; row && row->if_index; row++)
		if (row->if_index != way->link.ifindex && dataplane_probe_detach(row->if_index))
			probe_qdisc_give_back(way->qdiscs, way->netlink, row->if_index);
	if (list)
		if_freenameindex(list);
}

void probe_way_configure(struct probe_way *way, const struct config *config)
{
	bool is_first = !way->is_configured;
	bool is_new = memcmp(&way->probes, &config->probes, sizeof(way->probes)) != 0;

	if (!take_names(way, config))
		return;
	way->probes = config->probes;
	way->is_configured = true;
	dataplane_probe_marks(way->plane, &way->probes);
	probe_way_check(way);
	if (is_first)
		detach_elsewhere(way);
	if (is_first || is_new)
		sweep(way->netlink, way);
}

/* ---- life, and questions --------------------------------------------------------------------------------------------- */

struct probe_way *probe_way_open(struct dataplane *plane, const struct resolver *resolver, const char *folder, struct err *e)
{
	struct probe_way *way = calloc(1, sizeof(*way));

	if (!way) {
		err_set(e, -ENOMEM, "%m");
		return NULL;
	}
	way->plane = plane;
	way->resolver = resolver;
	way->netlink = probe_netlink_open(e);
	way->qdiscs = way->netlink ? probe_qdisc_open(folder, e) : NULL;
	if (way->qdiscs)
		return way;
	probe_way_close(way);
	return NULL;
}

void probe_way_close(struct probe_way *way)
{
	if (!way)
		return;
	probe_netlink_close(way->netlink);
	probe_qdisc_close(way->qdiscs);
	free(way->names);
	free(way);
}

uint32_t probe_way_mark(const struct probe_way *way, uint32_t backend_number)
{
	if (!way->is_configured || !backend_number || (backend_number & way->probes.mask))
		return 0;
	return way->probes.mark | backend_number;
}

const char *probe_way_reason(const struct probe_way *way, const struct ip *vip)
{
	const struct way_family *family = &way->family[family_of(vip)];

	if (!way->is_configured)
		return "no configuration has been applied yet";
	return family->reason[0] ? family->reason : NULL;
}

void probe_way_facts(const struct probe_way *way, struct probe_way_facts *out)
{
	memset(out, 0, sizeof(*out));
	out->interface = way->link.name;
	out->probes = way->probes;
	out->warning = way->warning;
	for (size_t f = 0; f < 2; f++) {
		out->source[f] = way->family[f].source;
		out->reason[f] = probe_way_reason(way, &gateways[f]);
	}
	dataplane_probe_counts(way->plane, out->packets);
}

/* ---- --unload --------------------------------------------------------------------------------------------------------- */

static void collect_rule(void *context, const struct probe_rule *rule)
{
	struct rules *rules = context;

	if (is_ours(rule) && rules->stale_count < RULES_MOST)
		rules->stale[rules->stale_count++] = *rule;
}

static int remove_rules(struct probe_netlink *netlink)
{
	int code = 0;

	for (size_t f = 0; !code && f < 2; f++) {
		struct rules rules = {0};

		code = probe_netlink_rules(netlink, families[f], collect_rule, &rules);
		for (size_t i = 0; i < rules.stale_count; i++)
			probe_netlink_rule_remove(netlink, &rules.stale[i]);
	}
	return code;
}

static void detach_all(struct probe_netlink *netlink, const char *folder)
{
	struct probe_qdisc *qdiscs = probe_qdisc_open(folder, NULL);
	struct if_nameindex *list = if_nameindex();

	for (struct if_nameindex *row = list; row && row->if_index; row++) {
		dataplane_probe_detach(row->if_index);
		if (qdiscs)
			probe_qdisc_give_back(qdiscs, netlink, row->if_index);
	}
	if (list)
		if_freenameindex(list);
	if (qdiscs)
		probe_qdisc_forget(qdiscs);
	probe_qdisc_close(qdiscs);
}

int probe_way_remove(const char *folder, struct err *e)
{
	struct probe_netlink *netlink = probe_netlink_open(e);
	int code;

	if (!netlink)
		return -EIO;
	code = remove_rules(netlink);
	if (!code)
		code = sweep(netlink, NULL);
	detach_all(netlink, folder);
	probe_netlink_close(netlink);
	if (code == -EAFNOSUPPORT || code == -EOPNOTSUPP) /* a kernel without IPv6 */
		code = 0;
	return code ? err_set(e, code, "removing the way of probes: %s", strerror(-code)) : 0;
}
