/* Waiting until routers lead packets elsewhere, or here again: see announce.h. */
#include "cli/announce.h"

#include <string.h>
#include <time.h>

#include "cli/client.h"
#include "cli/reply.h"
#include "cli/show.h"
#include "cli/wait.h"

static json_int_t packets_of(const json_t *status)
{
	const json_t *row;
	json_int_t sum = 0;
	size_t i;

	REPLY_EACH(json_object_get(status, "services"), i, row)
		sum += json_integer_value(json_object_get(row, "packets"));
	return sum;
}

static bool is_silent(struct announce_watch *watch, json_int_t packets, uint64_t now_ms, char *sentence, size_t room)
{
	bool is_same = watch->has_looked && packets == watch->packets;

	if (!is_same)
		watch->silent_since_ms = now_ms;
	watch->packets = packets;
	watch->has_looked = true;
	if (is_same && now_ms - watch->silent_since_ms >= ANNOUNCE_SILENT_MS) {
		snprintf(sentence, room, "no packets come any more");
		return true;
	}
	snprintf(sentence, room, "waiting until no packets for VIPs come");
	return false;
}

bool announce_is_over(struct announce_watch *watch, const json_t *status, uint64_t now_ms, char *sentence, size_t room)
{
	const json_t *announce = json_object_get(status, "announce"), *routes = json_object_get(announce, "routes");
	json_int_t wanted = json_integer_value(json_object_get(routes, "wanted"));
	json_int_t there = json_integer_value(json_object_get(routes, "there"));
	json_int_t up = json_integer_value(json_object_get(announce, "up"));

	if (watch->is_on)
		return is_silent(watch, packets_of(status), now_ms, sentence, room);
	snprintf(sentence, room, "%lld of %lld VIPs are announced", (long long)there, (long long)up);
	return wanted == there && wanted == up;
}

/* Returns the exit status, or -1 while it goes on. */
static int judge(const struct command_call *call, struct announce_watch *watch, const json_t *status, FILE *out)
{
	const json_t *announce = json_object_get(status, "announce");
	bool has_table = json_is_integer(json_object_get(announce, "table"));
	struct timespec now;
	char sentence[160];
	bool is_over;

	if (json_is_true(json_object_get(announce, "maintenance")) != watch->is_on) {
		fprintf(stderr, "halfproxy: maintenance was switched %s meanwhile\n", watch->is_on ? "off" : "on");
		return 1;
	}
	if (!watch->is_on && (strcmp(reply_text(announce, "role"), "active") != 0 || !has_table)) {
		fprintf(stderr, "halfproxy: no routes are kept %s: nothing to wait for\n",
			has_table ? "on standby" : "(announce.table is none)");
		return 1;
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	is_over = announce_is_over(watch, status, (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000, sentence,
				   sizeof(sentence));
	if (!is_over)
		return -1;
	if (call->is_json)
		show_json(out, announce);
	else
		fprintf(out, "%s\n", sentence);
	return 0;
}

struct waiting {
	const struct command_call *call;
	struct announce_watch watch;
	FILE *out;
};

static int look(void *context, struct err *e)
{
	struct waiting *waiting = context;
	struct client_reply reply = {0};
	int code;

	if (client_ask(waiting->call->socket, "GET", "/v1/status", "", 0, &reply, e))
		return WAIT_UNASKED;
	code = judge(waiting->call, &waiting->watch, reply.body, waiting->out);
	json_decref(reply.body);
	return code;
}

int announce_wait(const struct command_call *call, bool is_on, FILE *out)
{
	struct waiting waiting = {.call = call, .watch = {.is_on = is_on}, .out = out};
	struct err e;
	int code = wait_for(look, &waiting, &e);

	if (code == WAIT_INTERRUPTED)
		fprintf(stderr, "halfproxy: no longer waiting; maintenance stays %s\n", is_on ? "on" : "off");
	else if (code == WAIT_UNASKED)
		fprintf(stderr, "halfproxy: %s\n", e.text);
	return code;
}
