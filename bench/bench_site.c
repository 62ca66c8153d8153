/* A director for benchmarks: see bench_site.h. */
#include "bench_site.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/dataplane.h"

#define READY_WITHIN_MS 60000

/* One cable; the gateway's MAC address is written down, as nobody is there to answer. */
static const char *const network[] = {
	"ip link set lo up",
	"ip link add " BENCH_INTERFACE " type veth peer name bench1",
	"ip link set bench1 up",
	"ip link set " BENCH_INTERFACE " up",
	"ip address add 10.2.0.10/16 dev " BENCH_INTERFACE,
	"ip neighbour add 10.2.0.254 lladdr 02:00:00:00:00:fe dev " BENCH_INTERFACE " nud permanent",
	"ip route add default via 10.2.0.254",
};

static int find_programs(struct bench_site *site, struct err *e)
{
	ssize_t got = readlink("/proc/self/exe", site->programs, sizeof(site->programs) - 1);
	char *slash = got > 0 ? memrchr(site->programs, '/', (size_t)got) : NULL;

	if (!slash)
		return err_set(e, -errno, "where the programs are: %m");
	*slash = '\0';
	return 0;
}

static int open_notify(struct bench_site *site, struct err *e)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", site->folder);
	site->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (site->notify_fd < 0 || bind(site->notify_fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return err_set(e, -errno, "notify socket: %m");
	return 0;
}

int bench_site_open(struct bench_site *site, struct err *e)
{
	*site = (struct bench_site){.notify_fd = -1};
	snprintf(site->folder, sizeof(site->folder), BENCH_FOLDER, (int)getpid());
	snprintf(site->pins, sizeof(site->pins), BENCH_PINS, (int)getpid());
	if (mkdir(site->folder, 0700) < 0)
		return err_set(e, -errno, "folder %s: %m", site->folder);
	snprintf(site->file, sizeof(site->file), "%s/halfproxy.yaml", site->folder);
	snprintf(site->socket, sizeof(site->socket), "%s/api.sock", site->folder);
	if (find_programs(site, e))
		return -ENOENT;
	if (unshare(CLONE_NEWNET) < 0)
		return err_set(e, -errno, "a network namespace: %m");
	for (size_t i = 0; i < sizeof(network) / sizeof(network[0]); i++)
		if (system(network[i]) != 0)
			return err_set(e, -EIO, "%s failed", network[i]);
	return open_notify(site, e);
}

static pid_t start(const struct bench_site *site, const char *program, const char *const *arguments)
{
	char path[320], notify[96];
	int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t child = nowhere < 0 ? -1 : fork();

	if (child) {
		close(nowhere);
		return child < 0 ? -errno : child;
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	snprintf(path, sizeof(path), "%s/%s", site->programs, program);
	snprintf(notify, sizeof(notify), "%s/notify", site->folder);
	setenv("NOTIFY_SOCKET", notify, 1);
	setenv("HALFPROXY_SOCKET", site->socket, 1);
	dup2(nowhere, STDOUT_FILENO);
	dup2(nowhere, STDERR_FILENO);
	execv(path, (char *const *)arguments);
	_exit(127);
}

static int wait_for_ready(const struct bench_site *site, struct err *e)
{
	struct pollfd poll_fd = {.fd = site->notify_fd, .events = POLLIN};
	char text[256];

	while (poll(&poll_fd, 1, READY_WITHIN_MS) == 1) {
		ssize_t got = recv(site->notify_fd, text, sizeof(text) - 1, 0);

		text[got > 0 ? got : 0] = '\0';
		if (strstr(text, "READY=1"))
			return 0;
		if (waitpid(site->daemon, NULL, WNOHANG) == site->daemon)
			return err_set(e, -ECHILD, "halfproxyd ended");
	}
	return err_set(e, -ETIMEDOUT, "halfproxyd did not become ready");
}

int bench_site_start(struct bench_site *site, struct err *e)
{
	char state[96];
	const char *arguments[] = {"halfproxyd", "-c",	site->file, "--pins", site->pins, "--state", state,
				   "--log-level", "warning", NULL};

	snprintf(state, sizeof(state), "%s/state", site->folder);
	site->daemon = start(site, "halfproxyd", arguments);
	if (site->daemon < 0)
		return err_set(e, (int)site->daemon, "starting halfproxyd: %m");
	return wait_for_ready(site, e);
}

pid_t bench_site_command(const struct bench_site *site, const char *const *arguments)
{
	return start(site, "halfproxy", arguments);
}

int bench_site_write(const struct bench_site *site, uint32_t services, void (*service)(FILE *out, uint32_t n),
		     struct err *e)
{
	FILE *out = fopen(site->file, "we");

	if (!out)
		return err_set(e, -errno, "%s: %m", site->file);
	fprintf(out, "interfaces: [" BENCH_INTERFACE "]\napi: {socket: %s}\nservices:\n", site->socket);
	for (uint32_t n = 0; n < services; n++)
		service(out, n);
	return fclose(out) ? err_set(e, -errno, "%s: %m", site->file) : 0;
}

uint64_t bench_site_resident_kb(const struct bench_site *site)
{
	unsigned long long kb = 0;
	char path[64], line[256];
	auto_fclose FILE *file = NULL;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)site->daemon);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmRSS: %llu kB", &kb) == 1)
			break;
	return kb;
}

void bench_site_close(struct bench_site *site)
{
	if (site->daemon > 0) {
		kill(site->daemon, SIGTERM);
		waitpid(site->daemon, NULL, 0);
	}
	if (site->notify_fd >= 0)
		close(site->notify_fd);
	bench_site_clear(getpid());
}

void bench_site_clear(pid_t process)
{
	char pins[64], command[128];

	snprintf(pins, sizeof(pins), BENCH_PINS, (int)process);
	/* A daemon whose parent was killed needs a moment to end. */
	for (int tries = 0; tries < 50 && dataplane_unload(pins, NULL) == -EBUSY; tries++)
		usleep(100000);
	snprintf(command, sizeof(command), "rm -rf " BENCH_FOLDER, (int)process);
	if (system(command) != 0)
		fprintf(stderr, "bench: %s failed\n", command);
}
