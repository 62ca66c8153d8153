/* Any bytes as the daemon's reply, shown in every way; and as what somebody types.
 *
 * Links: src/cli/[!m]*.c src/doctor/*.c */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/drain_wait.h"
#include "cli/show.h"

static void show_all(const json_t *body)
{
	auto_free char *text = NULL;
	char sentence[100];
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	show_status(out, body);
	show_trace(out, body);
	show_changes(out, body);
	show_override(out, body);
	show_flows(out, body);
	show_samples(out, body);
	show_drained(out, body);
	drain_progress(body, "10.3.0.1", sentence, sizeof(sentence));
	fclose(out);
}

static void check_typed(const char *text)
{
	char *address = malloc(64), *target = malloc(100);
	int port = -2;

	if (command_endpoint(text, address, &port) && (port < -1 || port > 65535 || !address[0] || strlen(address) > 63))
		abort();
	if (command_seconds(text, 86400) > 86400)
		abort();
	strcpy(target, "/v1/status?service=");
	client_encode(target, 100, text);
	if (strspn(target + 19, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%") != strlen(target + 19))
		abort();
	free(address);
	free(target);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = malloc(size + 1);
	struct client_reply reply;
	struct err e = {""};

	memcpy(text, data, size);
	text[size] = '\0';
	check_typed(text);
	if (client_read_reply(text, size, &reply, &e)) {
		if (!e.text[0])
			abort();
		return 0;
	}
	if (reply.status > 999)
		abort();
	show_all(reply.body);
	json_decref(reply.body);
	return 0;
}
