/* halfproxy-backend: the command line. What it does is in agent.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/agent.h"
#include "base/options.h"

static const char usage[] =
	"usage: halfproxy-backend up --vip VIP... [--forward l2|ipip|gue] [--from PREFIX...] [--interface IF]\n"
	"                            [--mtu BYTES] [--second-chance on|off]\n"
	"       halfproxy-backend up\n"
	"       halfproxy-backend down [--vip VIP...]\n"
	"       halfproxy-backend status [--json]\n"
	"\n"
	"Make this host a backend of a Direct Server Return load balancer, or take it back. up alone puts right\n"
	"what was set up before.\n"
	"\n"
	"  --vip VIP          virtual address to answer for; may be given several times\n"
	"  --forward METHOD   how directors send: l2 (default), ipip or gue\n"
	"  --from PREFIX      directors whose tunnels are opened; `any` opens them for all\n"
	"  --interface IF     where packets arrive; by default where the routes lead\n"
	"  --mtu BYTES        MTU of the path from the directors, if it is smaller than the interface's\n"
	"  --second-chance on|off\n"
	"                     whether packets that come by gue, with another backend's address and for a connection that\n"
	"                     is not here, are passed on to that backend; on by default\n"
	"  --json             print JSON\n"
	"  --version, --help\n";

static int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int fail(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "halfproxy-backend: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	return 2;
}

static int take_vip(struct agent_request *request, const char *text)
{
	if (request->vip_count == SETUP_LIST_MOST)
		return fail("--vip \"%s\": there are more than %d", text, SETUP_LIST_MOST);
	if (!ip_parse(&request->vips[request->vip_count], text))
		return fail("--vip \"%s\" must be one address, without a prefix length", text);
	request->vip_count++;
	return -1;
}

/* All senders are named by `any` alone: a slip of the hand in a prefix must not open tunnels for everybody. */
static int take_prefix(struct agent_request *request, const char *text)
{
	struct prefix prefix;

	if (request->sender_count + 2 > SETUP_LIST_MOST)
		return fail("--from \"%s\": there are more than %d", text, SETUP_LIST_MOST - 2);
	if (!strcmp(text, "any")) {
		prefix_parse(&request->senders[request->sender_count++], "0.0.0.0/0");
		prefix_parse(&request->senders[request->sender_count++], "::/0");
		return -1;
	}
	if (!prefix_parse(&prefix, text))
		return fail("--from \"%s\" must be an address, a prefix without host bits, or any", text);
	if (!prefix.bits)
		return fail("--from \"%s\" would open tunnels for all senders: say --from any if that is meant", text);
	request->senders[request->sender_count++] = prefix;
	return -1;
}

static int take_mtu(struct agent_request *request, const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*end || end == text || value < 1 || value > UINT16_MAX)
		return fail("--mtu \"%s\" must be a number of bytes up to %d", text, UINT16_MAX);
	request->mtu = (uint32_t)value;
	return -1;
}

static int take_forward(struct agent_request *request, const char *text)
{
	if (!strcmp(text, "l2"))
		request->methods |= SETUP_L2;
	else if (!strcmp(text, "ipip"))
		request->methods |= SETUP_IPIP;
	else if (!strcmp(text, "gue"))
		request->methods |= SETUP_GUE;
	else
		return fail("--forward must be l2, ipip or gue, not \"%s\"", text);
	return -1;
}

static int take_second_chance(struct agent_request *request, const char *text)
{
	bool is_on = !strcmp(text, "on");

	if (!is_on && strcmp(text, "off") != 0)
		return fail("--second-chance must be on or off, not \"%s\"", text);
	request->second_chance = is_on ? AGENT_CHANCE_ON : AGENT_CHANCE_OFF;
	return -1;
}

/* Returns -1 to go on, or the exit status. */
static int take_option(int option, const char *text, struct agent_request *request)
{
	switch (option) {
	case 'v':
		return take_vip(request, text);
	case 'f':
		return take_forward(request, text);
	case 'r':
		return take_prefix(request, text);
	case 'm':
		return take_mtu(request, text);
	case 'c':
		return take_second_chance(request, text);
	case 'i':
		request->interface = text;
		return strlen(text) < 16 ? -1 : fail("--interface \"%s\" is longer than 15 characters", text);
	case 'j':
		request->is_json = true;
		return -1;
	case 'V':
		puts("halfproxy-backend " HP_VERSION);
		return 0;
	case 'h':
		fputs(usage, stdout);
		return 0;
	default:
		return 2;
	}
}

/* up alone puts right what is set up already, so the rest may only come with a VIP. */
static int check_up(struct agent_request *request)
{
	bool has_tunnel, is_gue = request->methods & SETUP_GUE;

	if (!request->vip_count && (request->methods || request->sender_count))
		return fail("up needs --vip VIP");
	if (!request->methods)
		request->methods = SETUP_L2;
	has_tunnel = request->methods & SETUP_TUNNELS;
	if (has_tunnel && !request->sender_count)
		return fail("--forward %s needs --from DIRECTOR, the address or prefix that tunnels come from; --from any "
			    "opens them for all senders", is_gue ? "gue" : "ipip");
	if (!has_tunnel && request->sender_count)
		return fail("--from belongs to --forward ipip and gue");
	if (!has_tunnel && request->mtu && request->vip_count)
		return fail("--mtu belongs to --forward ipip and gue");
	if (!is_gue && request->second_chance && request->vip_count)
		return fail("--second-chance belongs to --forward gue");
	return -1;
}

static int check_others(const char *command, const struct agent_request *request)
{
	if (request->methods || request->sender_count || request->interface || request->mtu || request->second_chance)
		return fail("--forward, --from, --interface, --mtu and --second-chance belong to up, not to %s", command);
	if (!strcmp(command, "status") && request->vip_count)
		return fail("--vip belongs to up and down: status shows all");
	return -1;
}

static int run(const char *command, struct agent_request *request)
{
	struct err e = {""};
	int code;

	code = strcmp(command, "up") ? check_others(command, request) : check_up(request);
	if (code >= 0)
		return code;
	if (!strcmp(command, "up")) {
		code = agent_up(request, &e);
	} else if (!strcmp(command, "down")) {
		code = agent_down(request, &e);
	} else if (!strcmp(command, "status")) {
		code = agent_status(request, &e);
	} else {
		return fail("there is no command \"%s\": up, down or status", command);
	}
	if (code >= 0)
		return code;
	fail("%s", e.text);
	if (geteuid() != 0)
		fail("%s", "this was not run as root, which changing addresses and settings needs");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option rows[] = {{"vip", required_argument, NULL, 'v'},
					     {"forward", required_argument, NULL, 'f'},
					     {"from", required_argument, NULL, 'r'},
					     {"interface", required_argument, NULL, 'i'},
					     {"mtu", required_argument, NULL, 'm'},
					     {"second-chance", required_argument, NULL, 'c'},
					     {"json", no_argument, NULL, 'j'},
					     {"version", no_argument, NULL, 'V'},
					     {"help", no_argument, NULL, 'h'},
					     {NULL, 0, NULL, 0}};
	static struct agent_request request;
	const char *command = NULL;
	char mistake[512];
	int option, list = 0, code;

	while ((option = getopt_long(argc, argv, "-:Vh", rows, NULL)) != -1) {
		if (option == '?' || option == ':') {
			options_mistake("halfproxy-backend", argv, rows, option, mistake, sizeof(mistake));
			fprintf(stderr, "%s\n", mistake);
			return 2;
		}
		if (option == 1 && !command) {
			command = optarg;
			continue;
		}
		/* `--vip A B` and `--from A B`: a bare word goes on with the last list. */
		if (option == 1 && !list)
			return fail("\"%s\" is no option", optarg);
		list = option == 1 ? list : option == 'v' || option == 'r' ? option : 0;
		code = take_option(option == 1 ? list : option, optarg, &request);
		if (code >= 0)
			return code;
	}
	if (!command) {
		fputs(usage, stderr);
		return 2;
	}
	return run(command, &request);
}
