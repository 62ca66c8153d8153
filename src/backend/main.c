/* halfproxy-backend: the command line. What it does is in agent.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/agent.h"
#include "backend/portmap.h"
#include "base/options.h"

#define MSS_LEAST 88 /* less is no use: the kernel's own bound (tcp_min_snd_mss) is 48 and options may take 40 */

static const char usage[] =
	"usage: halfproxy-backend up --vip VIP... [--forward l2|ipip|gue|gre] [--from PREFIX...] [--interface IF]\n"
	"                            [--mtu BYTES] [--gre-key KEY|none] [--mss BYTES|auto] [--second-chance on|off]\n"
	"                            [--map [tcp/|udp/]PORT:SERVER...]\n"
	"       halfproxy-backend up\n"
	"       halfproxy-backend down [--vip VIP...]\n"
	"       halfproxy-backend status [--json]\n"
	"       halfproxy-backend doctor [--vip VIP...] [--forward METHOD] [--from PREFIX...] [--interface IF]\n"
	"                                [--fix] [--json]\n"
	"\n"
	"Make this host a backend of a Direct Server Return load balancer, or take it back. up alone puts right\n"
	"what was set up before. doctor says what else is in the way, and what mends it.\n"
	"\n"
	"  --vip VIP          virtual address to answer for; may be given several times\n"
	"  --forward METHOD   how directors send: l2 (default), ipip, gue or gre\n"
	"  --from PREFIX      directors whose tunnels are opened; `any` opens them for all\n"
	"  --interface IF     where packets arrive; by default where the routes lead\n"
	"  --mtu BYTES        MTU of the path from the directors, if it is smaller than the interface's\n"
	"  --gre-key KEY      the key that directors write into headers of gre, 0 to 4294967295; none by default\n"
	"  --mss BYTES|auto   MSS that VIPs advertise at most; auto, the default, bounds those of tunnels by what the MTU\n"
	"                     leaves\n"
	"  --map PORT:SERVER  what clients ask PORT of a VIP, the server on port SERVER answers, from PORT; tcp/ or udp/\n"
	"                     before it names one of both; may be given several times, and takes the place of those\n"
	"                     before; `none` ends it\n"
	"  --second-chance on|off\n"
	"                     whether packets that come by gue, with another backend's address and for a connection that\n"
	"                     is not here, are passed on to that backend; on by default\n"
	"  --fix              mend what is safe to mend\n"
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

static int take_mss(struct agent_request *request, const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);
	bool is_auto = !strcmp(text, "auto");

	if (!is_auto && (*end || end == text || value < MSS_LEAST || value > UINT16_MAX))
		return fail("--mss \"%s\" must be auto or a number of bytes from %d to %d", text, MSS_LEAST, UINT16_MAX);
	request->mss = is_auto ? 0 : (uint32_t)value;
	request->is_bounding = true;
	return -1;
}

static int take_map(struct agent_request *request, const char *text)
{
	bool was_none = request->is_mapping && !request->map_count, is_none = !strcmp(text, "none");

	if (was_none || (is_none && request->map_count))
		return fail("--map none says that no port is mapped: it stands alone");
	request->is_mapping = true;
	if (is_none)
		return -1;
	if (request->map_count == SETUP_MAPS_MOST)
		return fail("--map \"%s\": there are more than %d", text, SETUP_MAPS_MOST);
	if (!portmap_parse(&request->maps[request->map_count], text))
		return fail("--map \"%s\" must be PORT:SERVER, two different ports, tcp/PORT:SERVER, udp/PORT:SERVER or none",
			    text);
	request->map_count++;
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
	else if (!strcmp(text, "gre"))
		request->methods |= SETUP_GRE;
	else
		return fail("--forward must be l2, ipip, gue or gre, not \"%s\"", text);
	return -1;
}

static int take_gre_key(struct agent_request *request, const char *text)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	request->gre_key_said = AGENT_KEY_NONE;
	if (!strcmp(text, "none"))
		return -1;
	if (*text < '0' || *text > '9' || *end || value > UINT32_MAX)
		return fail("--gre-key \"%s\" must be a number up to %u, or none", text, UINT32_MAX);
	request->gre_key_said = AGENT_KEY_SET;
	request->gre_key = (uint32_t)value;
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
	case 'k':
		return take_gre_key(request, text);
	case 's':
		return take_mss(request, text);
	case 'p':
		return take_map(request, text);
	case 'c':
		return take_second_chance(request, text);
	case 'i':
		request->interface = text;
		return strlen(text) < 16 ? -1 : fail("--interface \"%s\" is longer than 15 characters", text);
	case 'j':
		request->is_json = true;
		return -1;
	case 'x':
		request->is_fixing = true;
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

/* The tunnel's method that is asked for; of several the last. */
static const char *tunnel_asked(const struct agent_request *request)
{
	return setup_tunnel_name(&(struct setup_vip){.methods = request->methods});
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
			    "opens them for all senders", tunnel_asked(request));
	if (!has_tunnel && request->sender_count)
		return fail("--from belongs to --forward ipip, gue and gre");
	if (!has_tunnel && request->mtu && request->vip_count)
		return fail("--mtu belongs to --forward ipip, gue and gre");
	if (!(request->methods & SETUP_GRE) && request->gre_key_said && request->vip_count)
		return fail("--gre-key belongs to --forward gre");
	if (!is_gue && request->second_chance && request->vip_count)
		return fail("--second-chance belongs to --forward gue");
	return -1;
}

static int check_others(const char *command, const struct agent_request *request)
{
	if (request->methods || request->sender_count || request->interface || request->mtu || request->gre_key_said ||
	    request->second_chance)
		return fail("--forward, --from, --interface, --mtu, --gre-key and --second-chance belong to up, not to %s",
			    command);
	if (request->is_bounding || request->is_mapping)
		return fail("--mss and --map belong to up, not to %s", command);
	return -1;
}

static int check_down(struct agent_request *request)
{
	return check_others("down", request);
}

static int check_status(struct agent_request *request)
{
	int code = check_others("status", request);

	return code < 0 && request->vip_count ? fail("--vip belongs to up and down: status shows all") : code;
}

/* What doctor is told is what `up` would be told, to look at without changing. */
static int check_doctor(struct agent_request *request)
{
	if (!request->vip_count && (request->methods || request->sender_count || request->interface))
		return fail("--forward, --from and --interface belong to --vip: without it doctor looks at what is set up");
	if (request->mtu || request->gre_key_said || request->second_chance)
		return fail("--mtu, --gre-key and --second-chance belong to up, not to doctor");
	if (request->is_bounding || request->is_mapping)
		return fail("--mss and --map belong to up, not to doctor");
	if (request->vip_count && !request->methods)
		request->methods = SETUP_L2;
	if (request->vip_count && request->sender_count && !(request->methods & SETUP_TUNNELS))
		return fail("--from belongs to --forward ipip, gue and gre");
	return -1;
}

static const struct {
	const char *name;
	int (*check)(struct agent_request *request);
	int (*run)(const struct agent_request *request, struct err *e);
	int failed; /* the exit status when it cannot be done */
} commands[] = {
	{"up", check_up, agent_up, 2},
	{"down", check_down, agent_down, 2},
	{"status", check_status, agent_status, 2},
	{"doctor", check_doctor, agent_doctor, 3},
};

static int run(const char *name, struct agent_request *request)
{
	struct err e = {""};
	size_t i = 0;
	int code;

	while (i < sizeof(commands) / sizeof(commands[0]) && strcmp(commands[i].name, name) != 0)
		i++;
	if (i == sizeof(commands) / sizeof(commands[0]))
		return fail("there is no command \"%s\": up, down, status or doctor", name);
	if (request->is_fixing && strcmp(name, "doctor") != 0)
		return fail("--fix belongs to doctor, not to %s", name);
	code = commands[i].check(request);
	if (code < 0)
		code = commands[i].run(request, &e);
	if (code >= 0)
		return code;
	fail("%s", e.text);
	if (geteuid() != 0)
		fail("%s", "this was not run as root, which changing addresses and settings needs");
	return commands[i].failed;
}

int main(int argc, char **argv)
{
	static const struct option rows[] = {{"vip", required_argument, NULL, 'v'},
					     {"forward", required_argument, NULL, 'f'},
					     {"from", required_argument, NULL, 'r'},
					     {"interface", required_argument, NULL, 'i'},
					     {"mtu", required_argument, NULL, 'm'},
					     {"gre-key", required_argument, NULL, 'k'},
					     {"mss", required_argument, NULL, 's'},
					     {"map", required_argument, NULL, 'p'},
					     {"second-chance", required_argument, NULL, 'c'},
					     {"json", no_argument, NULL, 'j'},
					     {"fix", no_argument, NULL, 'x'},
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
		/* `--vip A B`, `--from A B` and `--map A B`: a bare word goes on with the last list. */
		if (option == 1 && !list)
			return fail("\"%s\" is no option", optarg);
		list = option == 1 ? list : option == 'v' || option == 'r' || option == 'p' ? option : 0;
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
