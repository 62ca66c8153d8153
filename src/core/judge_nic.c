/* Network cards: see judge_nic.h. */
#include "core/judge_nic.h"

#include <stdio.h>
#include <string.h>

/* What merges received packets, as the kernel and as `ethtool -K` call it. */
static const struct merger {
	const char *feature, *option, *what;
	bool is_software; /* behind the driver, so that native XDP comes before it */
} mergers[] = {
	{"rx-lro", "lro", "large receive offload (LRO)", false},
	{"rx-gro-hw", "rx-gro-hw", "hardware GRO", false},
	{"rx-gro", "gro", "GRO, which runs before generic XDP", true},
};

static const struct judge_feature *find(const struct judge_nic *nic, const char *name)
{
	for (size_t i = 0; i < nic->feature_count; i++)
		if (!strcmp(nic->features[i].name, name))
			return &nic->features[i];
	return NULL;
}

static bool is_on(const struct judge_nic *nic, const char *name)
{
	const struct judge_feature *feature = find(nic, name);

	return feature && feature->is_on;
}

/* A merged packet is longer than the path's MTU and cannot be taken apart again by XDP. */
static size_t judge_merging(const struct judge_nic *nic, struct findings *findings)
{
	size_t found = 0;

	for (size_t i = 0; i < sizeof(mergers) / sizeof(mergers[0]); i++) {
		const struct judge_feature *feature = find(nic, mergers[i].feature);
		struct finding *item;

		if (!feature || !feature->is_on || (mergers[i].is_software && nic->xdp != JUDGE_XDP_GENERIC))
			continue;
		item = findings_add(findings, nic->xdp == JUDGE_XDP_GENERIC && !mergers[i].is_software ? FINDING_WRONG
												     : FINDING_WARNING,
				    CAUSE_RECEIVE_MERGED, nic->name, "%s merges packets before the program sees them",
				    mergers[i].what);
		finding_evidence(item, "%s on%s, driver %s", mergers[i].feature, feature->is_fixed ? " [fixed]" : "",
				*nic->driver ? nic->driver : "unknown");
		if (!feature->is_fixed)
			finding_command(item, (const char *const[]){"if", nic->name, "value", mergers[i].option, NULL});
		found++;
	}
	return found;
}

void judge_nic(const struct judge_nic *nic, struct findings *findings)
{
	static const char *const modes[] = {
		[JUDGE_XDP_NONE] = "no XDP", [JUDGE_XDP_NATIVE] = "native XDP", [JUDGE_XDP_GENERIC] = "generic XDP"};
	size_t found = judge_merging(nic, findings);
	struct finding *item;

	if (nic->xdp == JUDGE_XDP_GENERIC) {
		item = findings_add(findings, FINDING_WARNING, CAUSE_XDP_GENERIC, nic->name,
				    "the program runs in generic mode, behind the driver, which costs several times as much");
		finding_evidence(item, "driver %s, MTU %u%s", *nic->driver ? nic->driver : "unknown", nic->mtu,
				is_on(nic, "rx-lro") ? ", LRO on" : "");
		found++;
	}
	if (!found)
		findings_ok(findings, nic->name, "%s, driver %s, MTU %u; nothing merges received packets before the program%s",
			  modes[nic->xdp], *nic->driver ? nic->driver : "unknown", nic->mtu,
			  is_on(nic, "tx-tcp-segmentation") ? "; TSO is on, which concerns this host's own packets alone" : "");
}
