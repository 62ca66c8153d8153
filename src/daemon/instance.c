/* The claim on the machine: see instance.h.
 *
 * An abstract Unix socket's name belongs to one network namespace and dies with its owner, so nothing stale can be
 * left. Anybody may bind it, though: the hold of a user who cannot run a halfproxyd beside this one counts for
 * nothing, and the lock on the pins still stands. */
#include "daemon/instance.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

#define NAME "halfproxyd"
#define DISMISSED_MOST 64
#define TRIES 100 /* for one that is dead already */
#define TRY_AFTER_NS 10000000

static int open_socket(struct sockaddr_un *address, socklen_t *bytes)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	memcpy(address->sun_path + 1, NAME, strlen(NAME));
	*bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(NAME));
	return fd < 0 ? -errno : fd;
}

/* Who holds the name. False when nobody listens on it, as every halfproxyd does. */
static bool holder(struct ucred *who)
{
	struct sockaddr_un address;
	socklen_t bytes, who_bytes = sizeof(*who);
	auto_close int fd = open_socket(&address, &bytes);

	return fd >= 0 && !connect(fd, (const struct sockaddr *)&address, bytes) &&
	       !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, who, &who_bytes);
}

bool instance_is_listening(int claim)
{
	int is_listening = 0;
	socklen_t bytes = sizeof(is_listening);

	return !getsockopt(claim, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &bytes) && is_listening;
}

void instance_dismiss(int claim)
{
	int fd;

	for (int i = 0; i < DISMISSED_MOST && (fd = accept4(claim, NULL, NULL, SOCK_CLOEXEC)) >= 0; i++)
		close(fd);
}

/* It was killed in the moment in which it started a script, which has its descriptors until it is another program. */
static bool is_dead(const struct ucred *who)
{
	return who->pid > 0 && kill(who->pid, 0) < 0 && errno == ESRCH;
}

/* Returns the claim, or -EBUSY with *who, or another -errno with *e written. */
static int try(struct ucred *who, struct err *e)
{
	struct sockaddr_un address;
	socklen_t bytes;
	auto_close int fd = open_socket(&address, &bytes);

	if (fd < 0)
		return err_set(e, fd, "socket: %m");
	if (!bind(fd, (const struct sockaddr *)&address, bytes) && !listen(fd, SOMAXCONN))
		return take_fd(&fd);
	if (errno != EADDRINUSE)
		return err_set(e, -errno, "the machine's claim: %m");
	if (!holder(who) || (who->uid && who->uid != geteuid()))
		return take_fd(&fd);
	return -EBUSY;
}

int instance_claim(struct err *e)
{
	const struct timespec moment = {.tv_nsec = TRY_AFTER_NS};
	struct ucred who = {0};
	int code = try(&who, e);

	for (int i = 0; i < TRIES && code == -EBUSY && is_dead(&who); i++) {
		nanosleep(&moment, NULL);
		code = try(&who, e);
	}
	if (code != -EBUSY)
		return code;
	if (!who.pid)
		return err_set(e, -EBUSY, "another halfproxyd runs on this machine (in this network namespace): stop it first");
	return err_set(e, -EBUSY,
		       "another halfproxyd runs on this machine (process %d, in this network namespace): stop it first",
		       (int)who.pid);
}
