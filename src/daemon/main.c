/* halfproxyd: options, signals, the loop. What it does is in director.h. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <uv.h>

#include "base/log.h"
#include "base/options.h"
#include "daemon/api_routes.h"
#include "daemon/director.h"
#include "daemon/instance.h"

#define FILE_DEFAULT "/etc/halfproxy/halfproxy.yaml"

struct options {
	struct director_options director;
	bool is_unload;
};

struct process {
	struct director *director;
	struct api *api;
	uv_signal_t hangup, terminate, interrupt;
};

static const char usage[] =
	"usage: halfproxyd [-c FILE] [--before FILE] [--pins DIR] [--state DIR] [--log-level LEVEL]\n"
	"       halfproxyd --unload [--pins DIR] [--state DIR]\n"
	"\n"
	"Run the director of a Direct Server Return load balancer in the foreground.\n"
	"\n"
	"  -c, --config FILE    configuration, " FILE_DEFAULT " by default\n"
	"      --before FILE    a former configuration that flows may still be of, for a director without memory of them\n"
	"      --pins DIR       folder in a BPF file system, " DATAPLANE_PINS " by default\n"
	"      --state DIR      folder for what outlives the daemon, " STATE_FOLDER " by default\n"
	"      --log-level L    error, warning, notice, info or debug\n"
	"      --unload         take the data plane away: packets for VIPs are no longer forwarded\n"
	"  -V, --version        print the version\n"
	"  -h, --help           print this\n";

/* ---- options ---------------------------------------------------------------------------------------------------------- */

static bool set_level(const char *word)
{
	static const struct {
		const char *word;
		int level;
	} rows[] = {
		{"error", LOG_ERR}, {"warning", LOG_WARNING}, {"notice", LOG_NOTICE}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strcmp(word, rows[i].word)) {
			log_set_level(rows[i].level);
			return true;
		}
	fprintf(stderr, "halfproxyd: --log-level must be error, warning, notice, info or debug, not \"%s\"\n", word);
	return false;
}

/* Returns -1 to go on, or the exit status. */
static int read_options(int argc, char **argv, struct options *options)
{
	static const struct option rows[] = {{"config", required_argument, NULL, 'c'},
					     {"before", required_argument, NULL, 'b'},
					     {"pins", required_argument, NULL, 'p'},
					     {"state", required_argument, NULL, 's'},
					     {"log-level", required_argument, NULL, 'l'},
					     {"unload", no_argument, NULL, 'u'},
					     {"version", no_argument, NULL, 'V'},
					     {"help", no_argument, NULL, 'h'},
					     {NULL, 0, NULL, 0}};
	char mistake[512];
	int option;

	*options = (struct options){.director = {FILE_DEFAULT, NULL, DATAPLANE_PINS, STATE_FOLDER}};
	while ((option = getopt_long(argc, argv, ":c:Vh", rows, NULL)) != -1) {
		switch (option) {
		case 'c':
			options->director.file = optarg;
			break;
		case 'b':
			options->director.before = optarg;
			break;
		case 'p':
			options->director.pins = optarg;
			break;
		case 's':
			options->director.state = optarg;
			break;
		case 'l':
			if (!set_level(optarg))
				return 2;
			break;
		case 'u':
			options->is_unload = true;
			break;
		case 'V':
			puts("halfproxyd " HP_VERSION);
			return 0;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			options_mistake("halfproxyd", argv, rows, option, mistake, sizeof(mistake));
			fprintf(stderr, "%s\n", mistake);
			return 2;
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "halfproxyd: \"%s\" is no option; the configuration is given by -c FILE\n%s", argv[optind], usage);
	return 2;
}

/* ---- --unload ----------------------------------------------------------------------------------------------------------- */

static int unload(const struct options *options)
{
	struct err e;
	int claim = instance_claim(&e);
	int code = claim < 0 ? claim : dataplane_unload(options->director.pins, &e);

	if (code && code != -ENOENT && code != -ENOTEMPTY) {
		log_event(LOG_ERR, "unload_failed error=\"%s\"", e.text);
		return 1;
	}
	if (code == -ENOENT)
		log_event(LOG_NOTICE, "nothing_to_unload pins=%s", options->director.pins);
	if (code == -ENOTEMPTY) /* all that is ours is gone */
		log_event(LOG_WARNING, "pins_left error=\"%s\"", e.text);
	if (resolver_forget_vips(&e))
		log_event(LOG_WARNING, "routes_left error=\"%s\"", e.text);
	if (resolver_forget_neighbours(&e))
		log_event(LOG_WARNING, "neighbours_left error=\"%s\"", e.text);
	if (probe_way_remove(options->director.state, &e))
		log_event(LOG_WARNING, "probe_way_left error=\"%s\"", e.text);
	if (!strcmp(options->director.state, STATE_FOLDER))
		api_remove_stale(CONFIG_API_SOCKET); /* it lies there by default */
	vlan_offload_restore_all(options->director.state);
	state_remove(options->director.state);
	if (!code)
		log_event(LOG_NOTICE, "unloaded pins=%s", options->director.pins);
	return 0;
}

/* ---- mistakes in a file --------------------------------------------------------------------------------------------- */

/* Of a daemon that runs, or that starts in spite of them: one event each. */
static void log_problems(const char *file, const struct problems *problems)
{
	for (size_t i = 0; i < problems->count; i++) {
		const struct problem *row = &problems->list[i];

		if (!row->line)
			continue; /* about this host, and logged with the change */
		log_event(row->kind == PROBLEM_ERROR ? LOG_ERR : LOG_WARNING, "%s at=\"%s:%u:%u\" text=\"%s\"",
			  row->kind == PROBLEM_ERROR ? "mistake" : "doubtful", file, row->line, row->column, row->text);
	}
}

/* ---- running ------------------------------------------------------------------------------------------------------------ */

static void on_hangup(uv_signal_t *signal, int number)
{
	struct process *process = signal->data;
	struct director_result result = {0};
	struct err e;

	(void)number;
	sd_notify(0, "RELOADING=1");
	if (director_reload(process->director, &result, &e))
		log_event(LOG_ERR, "reload_refused error=\"%s\"", e.text);
	log_problems(process->director->options.file, &result.problems);
	director_result_free(&result);
	sd_notify(0, "READY=1");
}

static void on_end(uv_signal_t *signal, int number)
{
	struct process *process = signal->data;

	log_event(LOG_NOTICE, "ending signal=%d packets=\"flow on\"", number);
	sd_notify(0, "STOPPING=1");
	uv_close((uv_handle_t *)&process->hangup, NULL);
	uv_close((uv_handle_t *)&process->terminate, NULL);
	uv_close((uv_handle_t *)&process->interrupt, NULL);
	api_destroy(process->api);
	director_stop(process->director);
}

static void watch_signal(uv_loop_t *loop, struct process *process, uv_signal_t *signal, int number, uv_signal_cb callback)
{
	uv_signal_init(loop, signal);
	signal->data = process;
	uv_signal_start(signal, callback, number);
}

static int start(uv_loop_t *loop, const struct options *options, struct process *process)
{
	struct director_result result = {0};
	struct err e, warning;
	int code = director_start(loop, &options->director, &process->director, &result, &e);
	const char *file = result.file ? result.file : options->director.file;

	/* A refused file is shown to whoever started this, as `halfproxy check` would. */
	if (result.is_invalid)
		problems_print(stderr, file, result.text.bytes, result.text.count, &result.problems);
	else
		log_problems(file, &result.problems);
	director_result_free(&result);
	if (code) {
		log_event(LOG_ERR, "start_failed error=\"%s\"", e.text);
		return 1;
	}
	process->api = api_create(loop, process->director->running->api_socket, process->director->running->api_group,
				  api_routes_handle, process->director, &warning, &e);
	if (!process->api) {
		log_event(LOG_ERR, "start_failed error=\"%s\"", e.text);
		director_abandon(process->director);
		process->director = NULL;
		return 1;
	}
	if (warning.text[0])
		log_event(LOG_NOTICE, "api_group text=\"%s\"", warning.text);
	return 0;
}

int main(int argc, char **argv)
{
	struct process process = {0};
	struct options options;
	uv_loop_t loop;
	int code = read_options(argc, argv, &options);

	if (code >= 0)
		return code;
	if (options.is_unload)
		return unload(&options);
	signal(SIGPIPE, SIG_IGN); /* who asked may have gone, and so may the log's reader */
	uv_loop_init(&loop);
	code = start(&loop, &options, &process);
	if (!code) {
		watch_signal(&loop, &process, &process.hangup, SIGHUP, on_hangup);
		watch_signal(&loop, &process, &process.terminate, SIGTERM, on_end);
		watch_signal(&loop, &process, &process.interrupt, SIGINT, on_end);
		uv_run(&loop, UV_RUN_DEFAULT);
	}
	director_free(process.director);
	uv_loop_close(&loop);
	return code;
}
