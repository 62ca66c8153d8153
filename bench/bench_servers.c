/* Servers for probes to ask: see bench_servers.h. One loop on epoll, that does no more than it must. */
#include "bench_servers.h"

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUEUE 4096
#define EVENTS 256

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

static int open_port(int type, uint16_t *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t bytes = sizeof(at);
	int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;

	if (fd < 0)
		return -1;
	if (type == SOCK_DGRAM)
		setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &yes, sizeof(yes));
	if (bind(fd, (const struct sockaddr *)&at, bytes) < 0 || (type == SOCK_STREAM && listen(fd, QUEUE) < 0) ||
	    getsockname(fd, (struct sockaddr *)&at, &bytes) < 0) {
		close(fd);
		return -1;
	}
	*port = ntohs(at.sin_port);
	return fd;
}

static void watch(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/* To whoever asked, from the address that was asked. */
static void say_again(int fd)
{
	char text[2048], control[256];
	struct sockaddr_in from;
	struct iovec part = {.iov_base = text};
	struct msghdr message = {.msg_name = &from, .msg_iov = &part, .msg_iovlen = 1, .msg_control = control};

	for (;;) {
		ssize_t got;

		part.iov_len = sizeof(text);
		message.msg_namelen = sizeof(from);
		message.msg_controllen = sizeof(control);
		got = recvmsg(fd, &message, 0);
		if (got < 0)
			return;
		part.iov_len = (size_t)got;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
			struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA(c);

			info->ipi_spec_dst = info->ipi_addr;
			info->ipi_ifindex = 0;
		}
		sendmsg(fd, &message, MSG_NOSIGNAL);
	}
}

static void reply(int fd)
{
	char request[2048];

	if (recv(fd, request, sizeof(request), 0) > 0)
		send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
	close(fd);
}

static void serve(int web, int echo)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), count;
	struct epoll_event events[EVENTS];

	watch(epoll, web);
	watch(epoll, echo);
	while ((count = epoll_wait(epoll, events, EVENTS, -1)) > 0 || errno == EINTR)
		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			if (fd == echo)
				say_again(fd);
			else if (fd != web)
				reply(fd);
			else
				while ((fd = accept4(web, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
					watch(epoll, fd);
		}
}

/* Returns false where there is only one. */
static bool go_to_cpu(unsigned int which)
{
	cpu_set_t allowed, one;

	CPU_ZERO(&one);
	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return false;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && !which--) {
			CPU_SET(cpu, &one);
			return !sched_setaffinity(0, sizeof(one), &one);
		}
	return false;
}

static void allow_descriptors(void)
{
	struct rlimit files;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
}

int bench_servers_start(struct bench_servers *servers, struct err *e)
{
	int web = open_port(SOCK_STREAM, &servers->web), echo = open_port(SOCK_DGRAM, &servers->echo);

	if (web < 0 || echo < 0)
		return err_set(e, -errno, "a server's port: %m");
	servers->pid = fork();
	if (!servers->pid) {
		allow_descriptors();
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		go_to_cpu(1);
		serve(web, echo);
		_exit(1);
	}
	close(web);
	close(echo);
	return servers->pid < 0 ? err_set(e, -errno, "a process for servers: %m") : 0;
}

void bench_servers_stop(const struct bench_servers *servers)
{
	kill(servers->pid, SIGKILL);
	waitpid(servers->pid, NULL, 0);
}
