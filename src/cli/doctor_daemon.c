/* The doctor on what the daemon says: see doctor.h. */
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "cli/doctor.h"
#include "cli/reply.h"

/* ---- interfaces ----------------------------------------------------------------------------------------------------------- */

static void tell_down(const struct doctor *doctor, const char *name, const char *what)
{
	struct finding *item =
		findings_add(doctor->findings, FINDING_WRONG, CAUSE_INTERFACE_DOWN, "interface", "%s %s", name, what);

	finding_evidence(item, "as halfproxyd sees it");
	if (!strcmp(what, "is down"))
		finding_command(item, (const char *const[]){"if", name, NULL});
}

/* Attaching has failed: because another program is there, or because the driver does not want any. */
static void tell_failed(const struct doctor *doctor, const char *name, const char *reason)
{
	const struct look_link *link = look_link_named(&doctor->look, name);
	bool is_taken = link && link->xdp_program;
	struct finding *item;

	item = findings_add(doctor->findings, FINDING_WRONG, is_taken ? CAUSE_XDP_TAKEN : CAUSE_XDP_REFUSED, "interface",
			    is_taken ? "somebody else's XDP program is on %s" : "%s takes no XDP program", name);
	finding_evidence(item, "%s", reason);
	if (is_taken)
		finding_command(item, (const char *const[]){"if", name, NULL});
}

static void judge_interface(const struct doctor *doctor, const json_t *row)
{
	const char *name = reply_text(row, "name"), *state = reply_text(row, "state");
	const struct look_link *link = look_link_named(&doctor->look, name);
	struct judge_nic nic;

	if (!strcmp(state, "failed")) {
		tell_failed(doctor, name, reply_text(row, "reason"));
	} else if (!strcmp(state, "missing") || !link) {
		tell_down(doctor, name, "is not there");
	} else if (json_is_false(json_object_get(row, "up"))) {
		tell_down(doctor, name, link->flags & IFF_UP ? "has no carrier" : "is down");
	} else if (!strcmp(reply_text(row, "role"), "ingress")) {
		look_nic(link, &nic);
		judge_nic(&nic, doctor->findings);
	}
}

/* ---- services and backends ------------------------------------------------------------------------------------------------ */

/* Where no backend's own trouble says why. */
static void judge_service(const struct doctor *doctor, const json_t *row)
{
	const char *state = reply_text(row, "state"), *reason = reply_text(row, "reason");

	if (!strcmp(state, "up") || !strcmp(state, "starting"))
		return;
	finding_evidence(findings_add(doctor->findings, FINDING_WRONG, CAUSE_NO_BACKEND, "service", "%s serves nobody",
				      reply_text(row, "name")),
			 "it is %s%s%s", state, *reason ? ": " : "", reason);
}

/* A route that is missing is another cause than a neighbour that is silent. */
static enum cause cause_of(const char *reason)
{
	if (strstr(reason, "own segment"))
		return CAUSE_NOT_ON_SEGMENT;
	return strstr(reason, "does not answer") || !*reason ? CAUSE_NEXT_HOP_UNRESOLVED : CAUSE_NO_WAY;
}

/* A backend of many services is told once. Returns whether it gets nothing. */
static bool judge_backend(const struct doctor *doctor, const json_t *row)
{
	const char *state = reply_text(row, "state"), *reason = reply_text(row, "reason"), *address = reply_text(row, "address");

	if (!strcmp(state, "ready"))
		return false;
	if (json_object_get(doctor->told, address))
		return true;
	json_object_set_new(doctor->told, address, json_true());
	finding_evidence(findings_add(doctor->findings, !strcmp(state, "pending") ? FINDING_WARNING : FINDING_WRONG,
				      cause_of(reason), "backend", "backend %s gets nothing: it is %s", address, state),
			 "%s", *reason ? reason : "its way is still looked for");
	return true;
}

/* A path that is narrower than this host's end: what a router told. */
static void judge_path_mtu(const struct doctor *doctor, const json_t *row)
{
	const json_t *learned = json_object_get(row, "path_mtu");
	const char *address = reply_text(row, "address");
	char key[80];

	snprintf(key, sizeof(key), "path to %s", address);
	if (!json_is_object(learned) || json_object_get(doctor->told, key))
		return;
	json_object_set_new(doctor->told, key, json_true());
	finding_evidence(findings_add(doctor->findings, FINDING_WARNING, CAUSE_PATH_MTU, "backend",
				      "the path to backend %s takes packets of %.0f bytes, this host's end of %.0f", address,
				      reply_number(learned, "mtu"), reply_number(learned, "route_mtu")),
			 "%s said so by ICMP %.0f s ago; clients are told to send less", reply_text(learned, "from"),
			 reply_number(learned, "age_s"));
}

static void judge_services(const struct doctor *doctor)
{
	const json_t *services = json_object_get(doctor->status, "services"), *service, *backend;
	size_t i, j, told = doctor->findings->count;

	REPLY_EACH(services, i, service) {
		bool is_explained = false;

		REPLY_EACH(json_object_get(service, "backends"), j, backend) {
			is_explained |= judge_backend(doctor, backend);
			judge_path_mtu(doctor, backend);
			is_explained |= doctor_health(doctor, service, backend);
		}
		if (!is_explained)
			judge_service(doctor, service);
	}
	if (doctor->findings->count == told)
		findings_ok(doctor->findings, "services", "each of %zu has backends, and the way to all of them is known",
			    json_array_size(services));
}

/* ---- what grows ------------------------------------------------------------------------------------------------------------ */

/* Of a backend or a service. */
static json_int_t count_of(const json_t *row, const char *verdict)
{
	return json_integer_value(json_object_get(json_object_get(row, "verdicts"), verdict));
}

/* Senders that are told of what is too long are told for the service: which backend it was is not counted. */
static void judge_told(const struct doctor *doctor, const json_t *before, const json_t *after)
{
	json_int_t told = count_of(after, "TOO_BIG_TOLD") - count_of(before, "TOO_BIG_TOLD");

	if (told > 0)
		finding_evidence(findings_add(doctor->findings, FINDING_WARNING, CAUSE_PATH_MTU, "service",
					      "packets for service %s are longer than the path to a backend takes, and their "
					      "senders are told", reply_text(after, "name")),
				 "TOO_BIG_TOLD grew by %lld while the doctor looked", (long long)told);
}

static void judge_growth(const struct doctor *doctor, const json_t *before, const json_t *after)
{
	json_int_t looped = count_of(after, "LOOPED") - count_of(before, "LOOPED");
	json_int_t too_big = count_of(after, "TOO_BIG") - count_of(before, "TOO_BIG");
	const char *address = reply_text(after, "address");

	if (strcmp(address, reply_text(before, "address")) != 0)
		return;
	if (looped > 0)
		finding_evidence(findings_add(doctor->findings, FINDING_WRONG, CAUSE_VIP_MISSING, "backend",
					      "packets come back from backend %s: it lacks the VIP, and forwards", address),
				 "LOOPED grew by %lld while the doctor looked", (long long)looped);
	if (too_big > 0)
		finding_evidence(findings_add(doctor->findings, FINDING_WARNING, CAUSE_PATH_MTU, "backend",
					      "packets for backend %s are longer than its path takes, and are dropped", address),
				 "TOO_BIG grew by %lld while the doctor looked", (long long)too_big);
}

/* Totals tell of any time since the start, and what is mended would look wrong for ever. */
void doctor_growth(const struct doctor *doctor)
{
	const json_t *former = json_object_get(doctor->status, "services"), *service, *backend;
	struct err e;
	json_t *now = doctor->status ? doctor_ask(doctor->call, &e) : NULL;
	size_t i, j;

	REPLY_EACH(json_object_get(now, "services"), i, service) {
		const json_t *was = json_array_get(former, i);

		if (strcmp(reply_text(service, "name"), reply_text(was, "name")) != 0)
			continue;
		judge_told(doctor, was, service);
		REPLY_EACH(json_object_get(service, "backends"), j, backend)
			judge_growth(doctor, json_array_get(json_object_get(was, "backends"), j), backend);
	}
	json_decref(now);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------------- */

/* Where no daemon says what it found, a program of another name than ours on an interface is what it would find. */
static void judge_programs(const struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->look.link_count; i++) {
		const struct look_link *link = &doctor->look.links[i];
		struct finding *item;
		char name[16];

		if (!link->xdp_program)
			continue;
		look_program(link->xdp_program, name);
		if (!strcmp(name, "halfproxy") || !strcmp(name, "pass")) {
			findings_ok(doctor->findings, "interface", "%s runs halfproxy's program %s", link->name, name);
			continue;
		}
		item = findings_add(doctor->findings, FINDING_WARNING, CAUSE_XDP_TAKEN, "interface",
				    "somebody else's XDP program is on %s, where halfproxyd could not attach its own",
					link->name);
		finding_evidence(item, "program %u%s%s", link->xdp_program, *name ? ", " : "", name);
		finding_command(item, (const char *const[]){"if", link->name, NULL});
	}
}

void doctor_daemon(const struct doctor *doctor)
{
	const json_t *row;
	size_t i;

	if (!doctor->status) {
		judge_programs(doctor);
		return;
	}
	REPLY_EACH(json_object_get(doctor->status, "interfaces"), i, row)
		judge_interface(doctor, row);
	judge_services(doctor);
	if (json_is_true(json_object_get(json_object_get(json_object_get(doctor->status, "capacity"), "flows"), "full")))
		findings_add(doctor->findings, FINDING_WARNING, CAUSE_FLOWS_FULL, "flows",
			"the table of remembered flows is full");
}
