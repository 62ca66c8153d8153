/* The doctor on mapped ports: the programs that find their servers, and the servers: see doctor.h. */
#include <stdlib.h>

#include "backend/doctor.h"
#include "backend/portmap.h"
#include "backend/tunnel.h"
#include "base/cleanup.h"

void doctor_judge_maps(const struct setup *setup, const struct listener *list, size_t count, struct findings *findings)
{
	char text[PORTMAP_TEXT_BYTES], vip[IP_TEXT_BYTES];

	for (size_t i = 0; i < setup->map_count; i++) {
		const struct setup_map *map = &setup->maps[i];
		size_t without = 0;

		portmap_format(map, text);
		for (size_t j = 0; j < setup->vip_count; j++) {
			const struct ip *address = &setup->vips[j].address;

			if (listeners_serve(list, count, map, address))
				continue;
			finding_evidence(findings_add(findings, FINDING_WARNING, CAUSE_MAP_UNSERVED, "map",
						     "%s: no server listens on port %u for %s", text, map->server,
						     ip_format(address, vip)),
					"no socket on %s port %u or on a wildcard of its family", vip, map->server);
			without++;
		}
		if (!without)
			findings_ok(findings, "map", "%s: its server listens", text);
	}
}

void doctor_ports(struct doctor *doctor, const struct tunnel_state *state)
{
	auto_free struct listener *list = malloc(LISTENERS_MOST * sizeof(*list));
	size_t count;

	if (!state->is_mapping || (doctor->setup.map_count && !state->is_filled))
		doctor_by_up(doctor, findings_add(doctor->findings, FINDING_WRONG, CAUSE_MAP_BROKEN, "map",
						  "the programs that find the servers of mapped ports on %s, or their maps, are "
						  "not what was set up", doctor->setup.interface));
	if (list && !listeners_read(list, &count))
		doctor_judge_maps(&doctor->setup, list, count, doctor->findings);
}
