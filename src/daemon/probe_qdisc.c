/* Qdiscs made for probes: see probe_qdisc.h. */
#include "daemon/probe_qdisc.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/dataplane.h"

#define FILE_NAME "probe-qdiscs"
#define PATH_BYTES 300

struct probe_qdisc {
	char path[PATH_BYTES];
	uint32_t *list; /* of ifindexes */
	size_t count;
};

static uint32_t *find(const struct probe_qdisc *qdiscs, uint32_t ifindex)
{
	for (size_t i = 0; i < qdiscs->count; i++)
		if (qdiscs->list[i] == ifindex)
			return &qdiscs->list[i];
	return NULL;
}

static bool add(struct probe_qdisc *qdiscs, uint32_t ifindex)
{
	uint32_t *grown;

	if (find(qdiscs, ifindex))
		return false;
	grown = realloc(qdiscs->list, (qdiscs->count + 1) * sizeof(*grown));
	if (!grown)
		return false;
	qdiscs->list = grown;
	grown[qdiscs->count++] = ifindex;
	return true;
}

static void save(const struct probe_qdisc *qdiscs)
{
	auto_fclose FILE *file = NULL;

	if (!qdiscs->count) {
		unlink(qdiscs->path);
		return;
	}
	file = fopen(qdiscs->path, "we");
	for (size_t i = 0; file && i < qdiscs->count; i++)
		fprintf(file, "%u\n", qdiscs->list[i]);
}

struct probe_qdisc *probe_qdisc_open(const char *folder, struct err *e)
{
	struct probe_qdisc *qdiscs = calloc(1, sizeof(*qdiscs));
	auto_fclose FILE *file = NULL;
	uint32_t ifindex;

	if (!qdiscs) {
		err_set(e, -ENOMEM, "%m");
		return NULL;
	}
	snprintf(qdiscs->path, sizeof(qdiscs->path), "%s/" FILE_NAME, folder);
	file = fopen(qdiscs->path, "re");
	while (file && fscanf(file, "%u", &ifindex) == 1)
		add(qdiscs, ifindex);
	return qdiscs;
}

void probe_qdisc_close(struct probe_qdisc *qdiscs)
{
	if (!qdiscs)
		return;
	free(qdiscs->list);
	free(qdiscs);
}

void probe_qdisc_made(struct probe_qdisc *qdiscs, uint32_t ifindex)
{
	if (add(qdiscs, ifindex))
		save(qdiscs);
}

void probe_qdisc_give_back(struct probe_qdisc *qdiscs, struct probe_netlink *netlink, uint32_t ifindex)
{
	uint32_t *row = find(qdiscs, ifindex);

	if (!row)
		return;
	if (!probe_netlink_has_filters(netlink, ifindex))
		dataplane_qdisc_remove(ifindex);
	*row = qdiscs->list[--qdiscs->count];
	save(qdiscs);
}

void probe_qdisc_forget(struct probe_qdisc *qdiscs)
{
	qdiscs->count = 0;
	save(qdiscs);
}
