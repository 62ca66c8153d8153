/* doctor: looks at all that Direct Server Return needs of a backend: see agent.h and doctor.h. */
#include "backend/doctor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/agent.h"
#include "backend/host.h"
#include "base/cleanup.h"
#include "doctor/mend.h"

#define STATUS_UNKNOWN 3

void doctor_by_up(const struct doctor *doctor, struct finding *item)
{
	const char *words[] = {"up", doctor->up, NULL};

	finding_command(item, words);
	if (doctor->can_up)
		finding_fix(item, FINDING_FIX_UP, NULL, NULL);
}

/* ---- what is meant to be here --------------------------------------------------------------------------------------------- */

static void put_word(char *out, const char *before, const char *word)
{
	size_t at = strlen(out);

	snprintf(out + at, DOCTOR_UP_BYTES - at, "%s%s", before, word);
}

/* What `up` has to be told of VIPs that it does not remember. */
static void put_up(struct doctor *doctor, const struct agent_request *request)
{
	char text[PREFIX_TEXT_BYTES];

	put_word(doctor->up, " --vip", "");
	for (size_t i = 0; i < request->vip_count; i++)
		put_word(doctor->up, " ", ip_format(&request->vips[i], text));
	for (size_t i = 0; i < SETUP_METHODS; i++)
		if (request->methods & 1u << i)
			put_word(doctor->up, " --forward ", setup_method_name(i));
	/* `up` wants them named with every tunnel. */
	for (size_t i = 0; request->methods & SETUP_TUNNELS && i < doctor->setup.sender_count; i++)
		put_word(doctor->up, " --from ", doctor->setup.senders[i].bits ? prefix_format(&doctor->setup.senders[i], text)
									       : "any");
	if (request->methods & SETUP_TUNNELS && !doctor->setup.sender_count) {
		put_word(doctor->up, " --from DIRECTOR", "");
		doctor->can_up = false;
	}
	if (request->interface)
		put_word(doctor->up, " --interface ", request->interface);
	/* Cut off in its middle it would be another order. */
	if (strlen(doctor->up) == DOCTOR_UP_BYTES - 1) {
		doctor->up[0] = '\0';
		doctor->can_up = false;
	}
}

/* The VIPs that the command line names are looked at as if they were set up. */
static int add_request(struct doctor *doctor, const struct agent_request *request, struct err *e)
{
	struct ip far = {{[10] = 0xff, [11] = 0xff, [12] = 198, [13] = 51, [14] = 100, [15] = 1}};
	struct setup *setup = &doctor->setup;
	bool is_new = false;

	for (size_t i = 0; i < request->sender_count && setup->sender_count < SETUP_LIST_MOST; i++) {
		setup->senders[setup->sender_count++] = request->senders[i];
		is_new = true;
	}
	for (size_t i = 0; i < request->vip_count; i++) {
		struct setup_vip *vip = (struct setup_vip *)setup_find_vip(setup, &request->vips[i]);

		if (!vip && setup->vip_count == SETUP_LIST_MOST)
			return err_set(e, -ENOSPC, "more than %d VIPs", SETUP_LIST_MOST);
		if (!vip) {
			vip = &setup->vips[setup->vip_count++];
			*vip = (struct setup_vip){.address = request->vips[i]};
		}
		is_new |= (vip->methods | request->methods) != vip->methods;
		vip->methods |= request->methods;
	}
	if (request->interface)
		snprintf(setup->interface, sizeof(setup->interface), "%s", request->interface);
	if (!setup->interface[0] && request->vip_count && !host_route_interface(&far, setup->interface, NULL))
		return err_set(e, -ENETUNREACH, "there is no default route, so the interface where packets arrive must be named: "
						"--interface IF");
	if (is_new || (request->interface && !setup->ifindex)) {
		put_up(doctor, request);
		setup->ifindex = setup->ifindex ? setup->ifindex : host_ifindex(setup->interface);
	}
	return 0;
}

/* ---- the examination ------------------------------------------------------------------------------------------------------ */

static void examine_filters(struct doctor *doctor)
{
	struct ip vips[SETUP_LIST_MOST];
	struct judge_filter what = {.vips = vips, .vip_count = doctor->setup.vip_count};

	for (size_t i = 0; i < doctor->setup.vip_count; i++)
		vips[i] = doctor->setup.vips[i].address;
	look_filters(&what, doctor->findings);
}

static int examine(const struct agent_request *request, struct findings *findings, struct err *e)
{
	auto_free struct doctor *doctor = calloc(1, sizeof(*doctor));
	struct judge_host host;
	int code;

	if (!doctor)
		return err_set(e, -ENOMEM, "%m");
	doctor->findings = findings;
	doctor->can_up = true;
	code = agent_load(&doctor->setup, e);
	if (!code)
		code = add_request(doctor, request, e);
	if (!code)
		code = look_at(&doctor->look, e);
	if (code)
		return code;
	if (!doctor->setup.vip_count) {
		finding_command(findings_add(findings, FINDING_WRONG, CAUSE_VIP_MISSING, "setup",
					    "no VIP is set up here, and none was named by --vip"), NULL);
	} else {
		doctor_way(doctor);
		doctor_tunnels(doctor);
		doctor_vips(doctor);
		doctor_silence(doctor);
		doctor_services(doctor);
		examine_filters(doctor);
	}
	look_host(&host, 0);
	judge_host(&host, findings);
	look_free(&doctor->look);
	return 0;
}

/* ---- mending -------------------------------------------------------------------------------------------------------------- */

static void tell(json_t *fixed, bool is_json, const char *text)
{
	json_array_append_new(fixed, json_string(text));
	if (!is_json)
		printf("fixed    %s\n", text);
}

/* The address of a finding off lo. */
static int remove_address(const struct finding *item, char *done, size_t room, struct err *e)
{
	struct host_address row = {.bits = (uint8_t)strtoul(item->value, NULL, 10)};
	int code;

	if (!ip_parse(&row.ip, item->path))
		return err_set(e, -EINVAL, "\"%s\" is no address", item->path);
	snprintf(row.interface, sizeof(row.interface), "lo");
	code = host_remove_address(&row, e);
	snprintf(done, room, "%s/%s is off lo", item->path, item->value);
	return code ? code : 1;
}

/* Its own words are for people: with JSON they go where errors go. */
static int run_up(const struct agent_request *request, struct err *e)
{
	struct agent_request again = *request;
	int code, kept = -1;

	if (!again.methods)
		again.methods = SETUP_L2;
	fflush(stdout);
	if (request->is_json) {
		kept = dup(1);
		dup2(2, 1);
	}
	code = agent_up(&again, e);
	fflush(stdout);
	if (kept >= 0) {
		dup2(kept, 1);
		close(kept);
	}
	return code;
}

/* Addresses before `up`, which refuses a VIP that stands in a wrong place. */
static void mend(const struct agent_request *request, const struct findings *findings, json_t *fixed)
{
	bool needs_up = false;
	char done[256];
	struct err e;

	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *item = &findings->items[i];
		int code = item->fix == FINDING_FIX_ADDRESS ? remove_address(item, done, sizeof(done), &e)
							   : mend_item(item, done, sizeof(done), &e);

		needs_up |= item->fix == FINDING_FIX_UP || (item->fix == FINDING_FIX_ADDRESS && code > 0);
		if (code > 0)
			tell(fixed, request->is_json, done);
		else if (code < 0)
			fprintf(stderr, "halfproxy-backend: %s: %s\n", cause_text(item->cause)->name, e.text);
	}
	if (!needs_up)
		return;
	if (run_up(request, &e) < 0)
		fprintf(stderr, "halfproxy-backend: up: %s\n", e.text);
	else
		tell(fixed, request->is_json, "`halfproxy-backend up` was run");
}

int agent_doctor(const struct agent_request *request, struct err *e)
{
	struct findings findings = {0};
	json_t *fixed, *body;
	int code;

	if (geteuid() != 0)
		return err_set(e, -EPERM, "only root can see all that the doctor looks at");
	fixed = json_array();
	code = examine(request, &findings, e);
	if (!code && request->is_fixing) {
		mend(request, &findings, fixed);
		findings_free(&findings);
		code = examine(request, &findings, e);
	}
	if (code) {
		json_decref(fixed);
	} else if (request->is_json) {
		body = findings_json(&findings, fixed);
		json_dumpf(body, stdout, JSON_INDENT(1));
		puts("");
		json_decref(body);
	} else {
		json_decref(fixed);
		findings_print(&findings, stdout);
	}
	if (!code)
		code = findings_status(&findings);
	findings_free(&findings);
	return code;
}
