/* The kind script: a command of the operator's, without a shell. Exit status 0 is good; anything else is told in the
 * last line that it wrote.
 *
 * It gets a session of its own, an environment that says what to ask, nothing to read, and no descriptor but the pipe
 * that takes its output. It is waited for by a descriptor (pidfd), so that no signal has to be shared with other code,
 * and its process group is killed before it is reaped, while the number is still its own. */
#include "daemon/probe_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

#define READS_A_TURN 16 /* of a flood; others want the loop as well */
#define LINE_BYTES   100
#define REAP_MS	     10
#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct script {
	struct probe probe;
	uv_poll_t ended, output;
	uv_timer_t again; /* until it can be reaped, where no descriptor tells */
	int ended_fd, output_fd;
	pid_t pid;
	bool is_line_over; /* the next character begins another */
	size_t line_bytes;
	char line[LINE_BYTES];
};

/* What belongs to one start alone. */
struct environment {
	char address[32 + IP_TEXT_BYTES], backend[32 + IP_TEXT_BYTES], port[40], mark[40], path[1024];
	char *list[6];
};

/* ---- output ------------------------------------------------------------------------------------------------------------- */

/* Keep the last line that is not empty, or what of it has room. */
static void keep_line(struct script *script, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (bytes[i] == '\n' || bytes[i] == '\r') {
			script->is_line_over = true;
			continue;
		}
		if (script->is_line_over)
			script->line_bytes = 0;
		script->is_line_over = false;
		if (script->line_bytes < LINE_BYTES)
			script->line[script->line_bytes++] = bytes[i];
	}
}

/* Returns false when there will be no more. */
static bool read_output(struct script *script)
{
	char bytes[4096];
	ssize_t got = 1;

	for (int i = 0; i < READS_A_TURN && got > 0; i++) {
		got = read(script->output_fd, bytes, sizeof(bytes));
		if (got > 0)
			keep_line(script, bytes, (size_t)got);
	}
	return got > 0 || (got < 0 && errno == EAGAIN);
}

static void output_ready(uv_poll_t *poll, int status, int events)
{
	struct script *script = poll->data;

	(void)events;
	if (!read_output(script) || status < 0)
		uv_poll_stop(poll);
}

/* ---- the end ------------------------------------------------------------------------------------------------------------ */

/* Reap it if it is dead. */
static bool reap(struct script *script)
{
	siginfo_t info = {0};

	if (!waitid(P_PID, (id_t)script->pid, &info, WEXITED | WNOHANG) && !info.si_pid)
		return false;
	script->pid = 0;
	return true;
}

static void let_go_of_end(struct script *script)
{
	if (script->ended.data)
		probe_close(&script->probe, (uv_handle_t *)&script->ended);
	if (script->ended_fd >= 0)
		close(script->ended_fd);
}

static void killed(uv_poll_t *poll, int status, int events)
{
	struct script *script = poll->data;

	(void)status;
	(void)events;
	if (reap(script))
		let_go_of_end(script);
}

static void look_again(uv_timer_t *timer)
{
	struct script *script = timer->data;

	if (!reap(script))
		return;
	probe_close(&script->probe, (uv_handle_t *)&script->again);
	let_go_of_end(script);
}

/* Who was just killed may take a while to die, and stays until then. */
static void release(struct probe *probe)
{
	struct script *script = (struct script *)probe;

	if (script->output.data)
		probe_close(probe, (uv_handle_t *)&script->output);
	if (script->output_fd >= 0)
		close(script->output_fd);
	if (script->pid > 0)
		kill(-script->pid, SIGKILL);
	if (script->pid <= 0 || reap(script)) {
		let_go_of_end(script);
	} else if (script->ended.data) {
		uv_poll_start(&script->ended, UV_READABLE, killed);
	} else {
		probe_time(probe, &script->again);
		uv_timer_start(&script->again, look_again, REAP_MS, REAP_MS);
	}
}

/* It runs, so something answers here; what it found of the backend nobody knows. */
static void late(struct probe *probe)
{
	char allowed[PROBE_TIME_BYTES];

	probe_say(probe, HEALTH_SLOW, "the command did not end within %s", probe_allowed(probe, allowed));
}

static const struct probe_deeds deeds = {.late = late, .release = release};

static void judge(struct script *script, const siginfo_t *info)
{
	struct probe *probe = &script->probe;

	if (info->si_code != CLD_EXITED)
		probe_say(probe, HEALTH_WRONG, "the command was killed by signal %d (%s)", info->si_status,
			  strsignal(info->si_status));
	else if (!info->si_status)
		probe_say(probe, HEALTH_GOOD, "%s", "");
	else if (script->line_bytes)
		probe_say(probe, HEALTH_WRONG, "%.*s", (int)script->line_bytes, script->line);
	else
		probe_say(probe, HEALTH_WRONG, "the command ended with status %d", info->si_status);
}

static void ended(uv_poll_t *poll, int status, int events)
{
	struct script *script = poll->data;
	siginfo_t info = {0};

	(void)status;
	(void)events;
	if (waitid(P_PIDFD, (id_t)script->ended_fd, &info, WEXITED | WNOWAIT | WNOHANG) < 0) {
		probe_say(&script->probe, HEALTH_LOCAL, "how the command ended is not known: %s", strerror(errno));
	} else if (!info.si_pid) {
		return;
	} else {
		read_output(script);
		judge(script, &info);
	}
	probe_finish(&script->probe);
}

/* ---- the beginning ------------------------------------------------------------------------------------------------------ */

static void describe(struct environment *environment, const struct probe_target *target)
{
	char text[IP_TEXT_BYTES];
	const char *path = getenv("PATH");

	snprintf(environment->address, sizeof(environment->address), "HALFPROXY_ADDRESS=%s",
		 ip_format(&target->address, text));
	snprintf(environment->backend, sizeof(environment->backend), "HALFPROXY_BACKEND=%s",
		 ip_format(&target->backend, text));
	snprintf(environment->port, sizeof(environment->port), "HALFPROXY_PORT=%u", target->port);
	snprintf(environment->mark, sizeof(environment->mark), "HALFPROXY_MARK=%u", target->mark);
	snprintf(environment->path, sizeof(environment->path), "PATH=%s",
		 path && strlen(path) < 1000 ? path : PATH_DEFAULT);
	environment->list[0] = environment->address;
	environment->list[1] = environment->backend;
	environment->list[2] = environment->port;
	environment->list[3] = environment->mark;
	environment->list[4] = environment->path;
	environment->list[5] = NULL;
}

/* All signals as a program expects to find them. */
static int prepare(posix_spawn_file_actions_t *files, posix_spawnattr_t *attributes, int output)
{
	sigset_t all, none;
	int code;

	sigfillset(&all);
	sigemptyset(&none);
	code = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	code = code ? code : posix_spawn_file_actions_adddup2(files, output, STDOUT_FILENO);
	code = code ? code : posix_spawn_file_actions_adddup2(files, output, STDERR_FILENO);
	code = code ? code : posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1);
	code = code ? code : posix_spawnattr_setsigdefault(attributes, &all);
	code = code ? code : posix_spawnattr_setsigmask(attributes, &none);
	return code ? code
			: posix_spawnattr_setflags(attributes,
					       POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
}

/* Whoever started the daemon may have had it ignore the end of children, which are then gone without a word. */
static void mind_children(void)
{
	struct sigaction now;

	if (!sigaction(SIGCHLD, NULL, &now) && now.sa_handler == SIG_IGN)
		signal(SIGCHLD, SIG_DFL);
}

/* By vfork within: a fork would copy the daemon's page tables while packets' changes wait. Returns 0 or -errno. */
static int spawn(struct script *script, int output)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	struct environment environment = {.list = {NULL}};
	char **command = script->probe.health->command;
	pid_t pid;
	int code;

	describe(&environment, script->probe.target);
	mind_children();
	if (posix_spawn_file_actions_init(&files) || posix_spawnattr_init(&attributes))
		return -ENOMEM;
	code = prepare(&files, &attributes, output);
	if (!code)
		code = posix_spawnp(&pid, command[0], &files, &attributes, command, environment.list);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	if (!code)
		script->pid = pid;
	return -code;
}

static int begin(struct script *script, struct err *e)
{
	const char *name = script->probe.health->command[0];
	auto_close int output = -1;
	int ends[2], code;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_set(e, -errno, "a pipe for %s: %m", name);
	script->output_fd = ends[0];
	output = ends[1];
	fcntl(output, F_SETFL, 0);
	code = spawn(script, output);
	if (code)
		return err_set(e, code, "%s: %s", name, strerror(-code));
	script->ended_fd = pidfd_open(script->pid, 0);
	if (script->ended_fd < 0)
		return err_set(e, -errno, "waiting for %s: %m", name);
	code = probe_watch(&script->probe, &script->ended, script->ended_fd, UV_READABLE, ended);
	if (!code)
		code = probe_watch(&script->probe, &script->output, script->output_fd, UV_READABLE, output_ready);
	return code ? err_set(e, code, "waiting for %s: %s", name, uv_strerror(code)) : 0;
}

static struct probe *start(struct probe_shared *shared, const struct config_health *health,
			   const struct probe_target *target, probe_done *done, void *context, struct err *e)
{
	struct script *script = calloc(1, sizeof(*script));

	if (!script) {
		err_set(e, -ENOMEM, "%m");
		return NULL;
	}
	script->ended_fd = script->output_fd = -1;
	probe_begin(&script->probe, shared, health, target, &deeds, done, context);
	if (!begin(script, e))
		return &script->probe;
	probe_end(&script->probe);
	return NULL;
}

const struct probe_kind probe_script = {"script", start, probe_end};
