/* Waiting for the end of a drain: see drain_wait.h. */
#include "cli/drain_wait.h"

#include <string.h>
#include <unistd.h>

#include "base/ip.h"
#include "cli/client.h"
#include "cli/reply.h"
#include "cli/show.h"
#include "cli/wait.h"

static const json_t *find(const json_t *list, const char *key, const char *value)
{
	const json_t *row;
	size_t i;

	REPLY_EACH(list, i, row)
		if (!strcmp(reply_text(row, key), value))
			return row;
	return NULL;
}

/* What has to pass until it is over, apart from the flows themselves. */
static void say_time(const json_t *drain, const json_t *motion, char *text, size_t room)
{
	const json_t *deadline = json_object_get(drain, "deadline_left_s");
	char time[SHOW_TIME_BYTES], left[SHOW_LEFT_BYTES];

	text[0] = '\0';
	if (json_is_integer(deadline))
		snprintf(text, room, "; cut in %s", show_time(reply_seconds(drain, "deadline_left_s"), time));
	else if (!strcmp(reply_text(motion, "state"), "moving"))
		snprintf(text, room, "; silent ones may be left %s", show_left(motion, left));
}

/* Why it ended otherwise. row: the backend's in the service; NULL: it is not in it any more. */
static void say_end(const json_t *service, const json_t *row, const char *backend, char *text, size_t room)
{
	const json_t *removed = find(json_object_get(service, "removed"), "address", backend);
	json_int_t flows = json_integer_value(json_object_get(removed, "flows"));
	char time[SHOW_TIME_BYTES];

	if (row)
		snprintf(text, room, "it was undrained");
	else if (!removed)
		snprintf(text, room, "it is not in the service any more");
	else
		snprintf(text, room, "it was removed from the service; %lld flow%s left, cut in %s", (long long)flows,
			 flows == 1 ? "" : "s", show_time(reply_seconds(removed, "deadline_left_s"), time));
}

enum drain_progress drain_progress(const json_t *status, const char *backend, char *sentence, size_t room)
{
	const json_t *service = json_array_get(json_object_get(status, "services"), 0);
	const json_t *row = find(json_object_get(service, "backends"), "address", backend);
	const json_t *drain = json_object_get(row, "drain");
	const char *state = reply_text(drain, "state"), *name = reply_text(service, "name");
	const json_t *counted = json_object_get(drain, "flows");
	json_int_t flows = json_integer_value(counted);
	char time[112];

	if (!row || !*state) {
		say_end(service, row, backend, time, sizeof(time));
		snprintf(sentence, room, "%s %s: %s", name, backend, time);
		return DRAIN_ENDED;
	}
	if (strcmp(state, "draining") != 0) {
		snprintf(sentence, room, "%s %s: drained; %s", name, backend,
			 strcmp(state, "cut") ? "no flow is left" : "its deadline has cut the flows that were left");
		return DRAIN_OVER;
	}
	say_time(drain, json_object_get(service, "motion"), time, sizeof(time));
	if (!json_is_integer(counted))
		snprintf(sentence, room, "%s %s: its flows are being counted%s", name, backend, time);
	else
		snprintf(sentence, room, "%s %s: %lld flow%s left%s", name, backend, (long long)flows, flows == 1 ? "" : "s",
			 time);
	return DRAIN_GOES_ON;
}

/* ---- one look ------------------------------------------------------------------------------------------------------- */

struct waiting {
	const struct command_call *call;
	FILE *out;
	char backend[IP_TEXT_BYTES]; /* as the report writes it */
	bool is_tty;
	char told[256]; /* without a terminal: what was said last */
};

/* Times pass all the while: without a terminal only a change of what stands before them is told. */
static void tell(struct waiting *waiting, const char *sentence)
{
	size_t length = strcspn(sentence, ";");

	if (waiting->is_tty) {
		fprintf(waiting->out, "\r\033[K%s", sentence);
	} else if (strlen(waiting->told) != length || strncmp(waiting->told, sentence, length) != 0) {
		fprintf(waiting->out, "%s\n", sentence);
		snprintf(waiting->told, sizeof(waiting->told), "%.*s", (int)length, sentence);
	}
	fflush(waiting->out);
}

/* The line that was being redrawn is left as it is. */
static void complain(const struct waiting *waiting, const char *sentence)
{
	fprintf(stderr, "%shalfproxy: %s\n", waiting->is_tty ? "\n" : "", sentence);
}

static void print_state(const struct waiting *waiting, const json_t *status)
{
	json_t *service = json_array_get(json_object_get(status, "services"), 0);
	const json_t *row = find(json_object_get(service, "backends"), "address", waiting->backend);
	json_t *state = json_pack("{s:s, s:s, s:O?, s:O?}", "service", waiting->call->argv[0], "backend", waiting->backend,
				  "drain", json_object_get(row, "drain"), "motion", json_object_get(service, "motion"));

	show_json(waiting->out, state);
	json_decref(state);
}

/* Returns the exit status, or -1 while it goes on. */
static int judge(struct waiting *waiting, const json_t *status)
{
	char sentence[256];

	switch (drain_progress(status, waiting->backend, sentence, sizeof(sentence))) {
	case DRAIN_ENDED:
		complain(waiting, sentence);
		return 1;
	case DRAIN_OVER:
		if (waiting->call->is_json)
			print_state(waiting, status);
		else
			tell(waiting, sentence);
		if (waiting->is_tty)
			fputc('\n', waiting->out);
		return 0;
	case DRAIN_GOES_ON:
		break;
	}
	if (!waiting->call->is_json)
		tell(waiting, sentence);
	return -1;
}

/* ---- and all of them --------------------------------------------------------------------------------------------- */

/* Ask for the service's report. Returns the exit status, or -1 while it goes on; of a daemon that does not answer
 * WAIT_UNASKED, with *e written. */
static int look(void *context, struct err *e)
{
	struct waiting *waiting = context;
	struct client_reply reply = {0};
	char target[512] = "/v1/status?service=";
	int code;

	client_encode(target, sizeof(target), waiting->call->argv[0]);
	if (client_ask(waiting->call->socket, "GET", target, "", 0, &reply, e))
		return WAIT_UNASKED;
	if (reply.status == 200) {
		code = judge(waiting, reply.body);
	} else {
		complain(waiting, reply_text(reply.body, "error"));
		code = 1;
	}
	json_decref(reply.body);
	return code;
}

int drain_wait(const struct command_call *call, FILE *out)
{
	struct waiting waiting = {.call = call, .out = out, .is_tty = !call->is_json && isatty(fileno(out))};
	struct ip address;
	struct err e;
	int code;

	ip_parse(&address, call->argv[1]);
	ip_format(&address, waiting.backend);
	code = wait_for(look, &waiting, &e);
	if (code == WAIT_INTERRUPTED)
		fprintf(stderr, "%shalfproxy: no longer waiting; %s stays drained: `halfproxy undrain %s %s` ends it\n",
			waiting.is_tty ? "\n" : "", waiting.backend, call->argv[0], waiting.backend);
	else if (code == WAIT_UNASKED)
		complain(&waiting, e.text);
	return code;
}
