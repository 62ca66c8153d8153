/* What tests of probes need: a server on the loopback interface that does what it is told, in a thread; a probe of it,
 * and what this process holds before and after. For tests/unit/test_probe_*.c. */
#ifndef HP_PROBE_LAB_H
#define HP_PROBE_LAB_H

#include "unit.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/probe.h"

/* A server of one kind of connection, or of datagrams. */
struct lab_server {
	int fd;
	uint16_t port;
	pthread_t thread;
	atomic_bool is_ending;
	const void *row;
	void (*serve)(const void *row, int fd); /* a connection, or the socket that a datagram waits in */
};

static void *lab_work(void *context)
{
	struct lab_server *server = context;
	int type = 0;
	socklen_t bytes = sizeof(type);

	getsockopt(server->fd, SOL_SOCKET, SO_TYPE, &type, &bytes);
	while (!server->is_ending) {
		struct timeval patience = {.tv_usec = 20000};
		fd_set set;
		int fd;

		FD_ZERO(&set);
		FD_SET(server->fd, &set);
		if (select(server->fd + 1, &set, NULL, NULL, &patience) <= 0)
			continue;
		fd = type == SOCK_STREAM ? accept(server->fd, NULL, NULL) : server->fd;
		if (fd < 0)
			continue;
		server->serve(server->row, fd);
		if (type == SOCK_STREAM)
			close(fd);
	}
	return NULL;
}

static inline void lab_begin(struct lab_server *server, int type, void (*serve)(const void *row, int fd),
			     const void *row)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof(at);

	*server = (struct lab_server){.fd = socket(AF_INET, type, 0), .serve = serve, .row = row};
	assert_true(server->fd >= 0);
	assert_int_equal(bind(server->fd, (struct sockaddr *)&at, bytes), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(server->fd, 64), 0);
	getsockname(server->fd, (struct sockaddr *)&at, &bytes);
	server->port = ntohs(at.sin_port);
	assert_int_equal(pthread_create(&server->thread, NULL, lab_work, server), 0);
}

static inline void lab_end(struct lab_server *server)
{
	server->is_ending = true;
	pthread_join(server->thread, NULL);
	close(server->fd);
}

/* ---- probes ------------------------------------------------------------------------------------------------------------- */

struct lab {
	uv_loop_t loop;
	struct probe_shared *shared;
	struct health_result result;
	unsigned int answers;
};

static inline void lab_answered(void *context, const struct health_result *result)
{
	struct lab *lab = context;

	lab->result = *result;
	lab->answers++;
}

static inline void lab_open(struct lab *lab)
{
	*lab = (struct lab){.answers = 0};
	assert_int_equal(uv_loop_init(&lab->loop), 0);
	lab->shared = probe_shared_create(&lab->loop);
	assert_non_null(lab->shared);
}

/* Nothing may be left in the loop. */
static inline void lab_close(struct lab *lab)
{
	probe_shared_destroy(lab->shared);
	uv_run(&lab->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&lab->loop), 0);
}

/* One probe, and its answer in lab->result. */
static inline void lab_ask(struct lab *lab, const struct config_health *health, const char *address, uint16_t port)
{
	struct probe_target target = {.port = port};
	struct err e = {""};
	unsigned int before = lab->answers;

	assert_true(ip_parse(&target.address, address));
	target.backend = target.address;
	lab->result = (struct health_result){.answer = HEALTH_LOCAL};
	if (!probe_kinds[health->type]->start(lab->shared, health, &target, lab_answered, lab, &e)) {
		snprintf(lab->result.text, sizeof(lab->result.text), "%.100s", e.text);
		return;
	}
	assert_int_equal(lab->answers, before); /* not from within start */
	while (lab->answers == before)
		uv_run(&lab->loop, UV_RUN_ONCE);
}

/* What the row's sentence says it is. */
static inline void lab_expect(const struct lab *lab, const char *sentence, enum health_answer answer, const char *text)
{
	if (lab->result.answer != answer)
		fail_msg("%s: got %s (%s), not %s", sentence, health_answer_name(lab->result.answer), lab->result.text,
			 health_answer_name(answer));
	assert_text(sentence, lab->result.text, text);
}

/* ---- what this process holds -------------------------------------------------------------------------------------------- */

static inline unsigned int lab_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (folder && readdir(folder))
		count++;
	if (folder)
		closedir(folder);
	return count;
}

static inline long lab_memory_kb(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

#endif
