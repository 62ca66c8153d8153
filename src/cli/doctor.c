/* doctor: what is wrong on this director and around it: see doctor.h. */
#include "cli/doctor.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/command.h"
#include "cli/reply.h"
#include "cli/show.h"
#include "doctor/mend.h"

#define STATUS_UNKNOWN 3

/* ---- what is known -------------------------------------------------------------------------------------------------------- */

static void read_vips(struct doctor *doctor)
{
	const json_t *services = json_object_get(doctor->status, "services"), *service, *vip;
	json_t *seen = json_object();
	size_t i, j, room = 0;

	REPLY_EACH(services, i, service)
		room += json_array_size(json_object_get(service, "vips"));
	doctor->vips = calloc(room + 1, sizeof(*doctor->vips));
	REPLY_EACH(services, i, service)
		REPLY_EACH(json_object_get(service, "vips"), j, vip) {
			const char *text = json_string_value(vip);

			if (!doctor->vips || !text || json_object_get(seen, text) ||
			    !ip_parse(&doctor->vips[doctor->vip_count], text))
				continue;
			json_object_set_new(seen, text, json_true());
			doctor->vip_count++;
		}
	json_decref(seen);
}

json_t *doctor_ask(const struct command_call *call, struct err *e)
{
	struct client_reply reply = {0};

	if (client_ask(call->socket, "GET", "/v1/status", "", 0, &reply, e))
		return NULL;
	if (reply.status == 200)
		return reply.body;
	json_decref(reply.body);
	err_set(e, -EPROTO, "it answered %u, and not with a status", reply.status);
	return NULL;
}

static void ask_daemon(struct doctor *doctor)
{
	struct err e;

	doctor->status = doctor_ask(doctor->call, &e);
	if (doctor->status) {
		read_vips(doctor);
		findings_ok(doctor->findings, "daemon", "halfproxyd %s answers, process %.0f",
			    reply_text(doctor->status, "version"), reply_number(doctor->status, "pid"));
		return;
	}
	finding_evidence(findings_add(doctor->findings, FINDING_WARNING, CAUSE_DAEMON_SILENT, "daemon",
				      "halfproxyd does not answer: VIPs and backends are not known, and this host alone is "
					"looked at"),
			 "%s", e.text);
}

bool doctor_uses(const struct doctor *doctor, const struct look_link *link)
{
	const json_t *row;
	size_t i;

	if (link->flags & IFF_LOOPBACK)
		return false;
	REPLY_EACH(json_object_get(doctor->status, "interfaces"), i, row)
		if (!strcmp(reply_text(row, "name"), link->name))
			return true;
	return !doctor->status;
}

/* ---- the examination ------------------------------------------------------------------------------------------------------ */

static int examine(const struct command_call *call, struct findings *findings, struct err *e)
{
	struct doctor doctor = {.call = call, .findings = findings};
	struct judge_host host;
	int code = look_at(&doctor.look, e);

	if (code)
		return code;
	doctor.told = json_object();
	ask_daemon(&doctor);
	doctor_daemon(&doctor);
	doctor_director_host(&doctor);
	doctor_neighbours(&doctor);
	doctor_growth(&doctor);
	look_host(&host, (int)reply_number(doctor.status, "pid"));
	/* The VIPs' connections wait elsewhere. */
	host.somaxconn = -1;
	judge_host(&host, findings);
	json_decref(doctor.status);
	json_decref(doctor.told);
	free(doctor.vips);
	look_free(&doctor.look);
	return 0;
}

static void mend(const struct command_call *call, const struct findings *findings, json_t *fixed)
{
	char done[256];
	struct err e;

	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *item = &findings->items[i];
		int code = mend_item(item, done, sizeof(done), &e);

		if (code < 0)
			fprintf(stderr, "halfproxy: %s: %s\n", cause_text(item->cause)->name, e.text);
		if (code <= 0)
			continue;
		json_array_append_new(fixed, json_string(done));
		if (!call->is_json)
			printf("fixed    %s\n", done);
	}
}

static int tell(const struct command_call *call, const struct findings *findings, json_t *fixed)
{
	json_t *body;

	if (call->is_json) {
		body = findings_json(findings, json_incref(fixed));
		show_json(stdout, body);
		json_decref(body);
	} else {
		findings_print(findings, stdout);
	}
	return findings_status(findings);
}

int doctor_run(const struct command_call *call)
{
	struct findings findings = {0};
	json_t *fixed = json_array();
	struct err e;
	int code;

	if (geteuid() != 0) {
		fprintf(stderr, "halfproxy: doctor: only root can see all that it looks at\n");
		json_decref(fixed);
		return STATUS_UNKNOWN;
	}
	code = examine(call, &findings, &e);
	if (!code && call->is_fixing) {
		mend(call, &findings, fixed);
		findings_free(&findings);
		code = examine(call, &findings, &e);
	}
	if (code)
		fprintf(stderr, "halfproxy: %s\n", e.text);
	code = code ? STATUS_UNKNOWN : tell(call, &findings, fixed);
	json_decref(fixed);
	findings_free(&findings);
	return code;
}
