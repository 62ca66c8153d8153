/* Settings: see settings.h. */
#include "backend/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/agent.h"
#include "backend/host.h"
#include "base/cleanup.h"

#define RP_OFF 0
#define RP_STRICT 1
#define RP_LOOSE 2

struct rule {
	const char *name, *harm;
	long target; /* what we write */
	bool (*is_right)(long value); /* NULL: it depends on the interface */
};

/* 3 spares addresses of scope host only, and what the kernel has no meaning for answers like 0. */
static bool is_ignore_right(long value)
{
	return value == 1 || value == 2 || value == 8;
}

/* Anything but 1 and 2 counts as 0 in the kernel. */
static bool is_announce_right(long value)
{
	return value == 2;
}

static const struct rule rules[SETTINGS_RULE_COUNT] = {
	[SETTINGS_ARP_IGNORE] = {"arp_ignore", "this host answers ARP for the VIP", 1, is_ignore_right},
	[SETTINGS_ARP_ANNOUNCE] = {"arp_announce", "its own ARP requests give the VIP away", 2, is_announce_right},
	[SETTINGS_RP_FILTER] = {"rp_filter", "strict, which drops clients that are routed by another interface", RP_LOOSE,
				NULL},
};

const char *settings_name(enum settings_rule rule)
{
	return rules[rule].name;
}

const char *settings_harm(enum settings_rule rule)
{
	return rules[rule].harm;
}

static const char *path_of(enum settings_rule rule, const char *interface, char path[static 128])
{
	snprintf(path, 128, "net/ipv4/conf/%s/%s", interface, rules[rule].name);
	return path;
}

static bool has_address4(const char *interface)
{
	auto_free struct host_addresses *addresses = malloc(sizeof(*addresses));

	if (!addresses || host_read_addresses(addresses, NULL))
		return true;
	for (size_t i = 0; i < addresses->count; i++)
		if (ip_is4(&addresses->list[i].ip) && !strcmp(addresses->list[i].interface, interface))
			return true;
	return false;
}

/* Where an interface has no IPv4 address the kernel knows no source to answer from, and drops when loose as well. */
static void find_rp(struct settings_finding *out)
{
	bool has_address = has_address4(out->interface);

	out->target = has_address ? RP_LOOSE : RP_OFF;
	out->is_right = out->counts != RP_STRICT && (out->counts != RP_LOOSE || has_address);
	out->is_mended_by_all = !has_address && out->all != RP_OFF;
	if (out->counts == RP_LOOSE && !has_address)
		out->harm = "loose on an interface without an IPv4 address, which drops clients that are routed by another";
}

void settings_find(enum settings_rule rule, const char *interface, struct settings_finding *out)
{
	char path[128];

	snprintf(out->interface, sizeof(out->interface), "%s", interface);
	out->all = host_sysctl_number(path_of(rule, "all", path));
	out->own = host_sysctl_number(path_of(rule, interface, path));
	out->counts = out->all > out->own ? out->all : out->own;
	out->target = rules[rule].target;
	out->harm = rules[rule].harm;
	out->is_mended_by_all = false;
	if (rules[rule].is_right)
		out->is_right = rules[rule].is_right(out->counts);
	else
		find_rp(out);
}

void settings_judge(const struct setup *setup, enum settings_rule rule, struct settings_finding *out)
{
	char names[HOST_INTERFACES_MOST][16];
	size_t count = rule == SETTINGS_RP_FILTER ? 0 : host_read_interfaces(names);

	settings_find(rule, setup->interface, out);
	for (size_t i = 0; i < count && out->is_right; i++) {
		struct settings_finding other = {0};

		settings_find(rule, names[i], &other);
		if (!other.is_right)
			*out = other;
	}
}

/* Change a setting and remember what it was. A second change keeps the first memory. */
static int change(struct setup *setup, const char *path, long value, struct err *e)
{
	struct setup_sysctl *row = NULL;
	int code;

	for (size_t i = 0; i < setup->sysctl_count; i++)
		if (!strcmp(setup->sysctls[i].path, path))
			row = &setup->sysctls[i];
	if (!row) {
		if (setup->sysctl_count == SETUP_LIST_MOST)
			return err_set(e, -ENOSPC, "too many settings to remember");
		row = &setup->sysctls[setup->sysctl_count];
		snprintf(row->path, sizeof(row->path), "%s", path);
		code = host_read_sysctl(path, row->was, sizeof(row->was), e);
		if (code)
			return code;
		setup->sysctl_count++;
	}
	snprintf(row->set, sizeof(row->set), "%ld", value);
	code = agent_save(setup, e);
	if (!code)
		code = host_write_sysctl(path, row->set, e);
	if (!code)
		printf("%s = %s (was %s)\n", path, row->set, row->was);
	return code;
}

/* `all` silences every interface, also those to come; an interface of its own mind is told itself. */
static int quieten(struct setup *setup, enum settings_rule rule, struct err *e)
{
	struct settings_finding found = {0};
	char path[128];
	int code = 0;

	if (!rules[rule].is_right(host_sysctl_number(path_of(rule, "all", path))))
		code = change(setup, path, rules[rule].target, e);
	for (int i = 0; !code && i < HOST_INTERFACES_MOST; i++) {
		settings_judge(setup, rule, &found);
		if (found.is_right)
			break;
		code = change(setup, path_of(rule, found.interface, path), rules[rule].target, e);
	}
	return code;
}

/* `all` is others' as well: it is left alone here. */
static int loosen(struct setup *setup, struct err *e)
{
	struct settings_finding found = {0};
	char path[128];
	int code = 0;

	settings_judge(setup, SETTINGS_RP_FILTER, &found);
	if (found.is_right)
		return 0;
	if (found.own != found.target)
		code = change(setup, path_of(SETTINGS_RP_FILTER, setup->interface, path), found.target, e);
	if (!code && found.is_mended_by_all)
		fprintf(stderr,
			"halfproxy-backend: %s has no IPv4 address, and net/ipv4/conf/all/rp_filter is %ld, which counts for it: "
			"clients whose route leads by another interface are dropped (`sysctl -w net.ipv4.conf.all.rp_filter=0` "
			"mends it, for others as well)\n",
			setup->interface, found.all);
	return code;
}

int settings_apply(struct setup *setup, struct err *e)
{
	int code = 0;

	if (setup_has_family(setup, 4)) {
		code = quieten(setup, SETTINGS_ARP_IGNORE, e);
		if (!code)
			code = quieten(setup, SETTINGS_ARP_ANNOUNCE, e);
		if (!code)
			code = loosen(setup, e);
	}
	/* IPv6 is often switched off on lo of containers, where no VIP could stand. */
	if (!code && setup_has_family(setup, 6) && host_sysctl_number("net/ipv6/conf/lo/disable_ipv6") != 0)
		code = change(setup, "net/ipv6/conf/lo/disable_ipv6", 0, e);
	return code;
}

static int restore(const struct setup_sysctl *row, struct err *e)
{
	char now[32];

	if (host_read_sysctl(row->path, now, sizeof(now), NULL)) {
		printf("%s is gone\n", row->path);
		return 0;
	}
	if (strcmp(now, row->set) != 0) {
		if (strcmp(now, row->was) != 0)
			printf("%s is %s now, which was changed since: left as it is (before up it was %s)\n", row->path, now,
			       row->was);
		return 0;
	}
	printf("%s = %s again\n", row->path, row->was);
	return host_write_sysctl(row->path, row->was, e);
}

int settings_restore(struct setup *setup, size_t keep, struct err *e)
{
	while (setup->sysctl_count > keep) {
		int code = restore(&setup->sysctls[setup->sysctl_count - 1], e);

		if (code)
			return code;
		setup->sysctl_count--;
	}
	return 0;
}

void settings_forget(struct setup *setup, const char *interface)
{
	char part[32];
	size_t kept = 0;

	snprintf(part, sizeof(part), "/conf/%s/", interface);
	for (size_t i = 0; i < setup->sysctl_count; i++)
		if (!strstr(setup->sysctls[i].path, part))
			setup->sysctls[kept++] = setup->sysctls[i];
	setup->sysctl_count = kept;
}
