/* Paths: see judge_path.h. */
#include "core/judge_path.h"

#include <stdio.h>

#define NEAR_ENOUGH 1

uint32_t judge_path_next(uint32_t arrives, uint32_t lost)
{
	return lost > arrives + NEAR_ENOUGH ? arrives + (lost - arrives) / 2 : 0;
}

void judge_path(const struct judge_path *path, struct findings *findings)
{
	char text[IP_TEXT_BYTES], mtu[16];
	struct finding *item;

	ip_format(&path->backend, text);
	snprintf(mtu, sizeof(mtu), "%u", path->largest);
	if (!path->answers) {
		findings_ok(findings, "path", "%s answers no ping, so the path's MTU was not measured", text);
		return;
	}
	if (path->largest >= path->mtu) {
		findings_ok(findings, "path", "packets of %u bytes reach %s", path->mtu, text);
		return;
	}
	/* Backends that were told a smaller MTU make clients send less, which does not help what is no TCP. */
	item = findings_add(findings, FINDING_WARNING, CAUSE_PATH_MTU, "path",
			    "packets of %u bytes, the MTU of this host's end, do not reach %s", path->mtu, text);
	finding_evidence(item, "with DF set, %u bytes are answered and %u are not%s%s%s", path->largest, path->largest + 1,
			 path->is_tunnelled ? "; there, `halfproxy-backend up --mtu " : "", path->is_tunnelled ? mtu : "",
			 path->is_tunnelled ? "` makes clients send less" : "");
}
