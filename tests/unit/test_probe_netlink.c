/* Addresses that change while they are read: the reading may fail, and what is asked next must get its own answer. In the
 * network namespace of the test. */
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/probe_netlink.h"

#define ADDRESSES 2000 /* more than one answer holds */
#define READINGS 3000
#define INTERRUPTED 5

/* Hand commands to ip(8): fill() writes them. */
static int by_ip(void (*fill)(FILE *commands))
{
	FILE *commands = popen("ip -batch - 2>/dev/null", "w");

	if (!commands)
		return -1;
	fill(commands);
	return pclose(commands);
}

static void add_addresses(FILE *commands)
{
	for (int n = 0; n < ADDRESSES; n++)
		fprintf(commands, "addr add 10.77.%d.%d/32 dev lo\n", n / 250, n % 250 + 1);
}

static void change_for_ever(FILE *commands)
{
	while (fputs("addr add 10.78.0.1/32 dev lo\naddr del 10.78.0.1/32 dev lo\n", commands) >= 0)
		;
}

/* Another process, which changes addresses until it is killed. */
static pid_t disturb(void)
{
	pid_t child = fork();

	setpgid(child > 0 ? child : 0, 0); /* both may be first */
	if (child)
		return child;
	by_ip(change_for_ever);
	_exit(1);
}

static void count(void *context, const struct probe_address *address)
{
	(void)address;
	++*(int *)context;
}

static void see(void *context, const struct probe_rule *rule)
{
	++*(int *)context;
	(void)rule;
}

static void test_interrupted_readings(void **state)
{
	struct err e;
	struct probe_netlink *netlink = probe_netlink_open(&e);
	int interrupted = 0;
	pid_t child;

	(void)state;
	assert_non_null(netlink);
	assert_int_equal(by_ip(add_addresses), 0);
	child = disturb();
	assert_true(child > 0);
	for (int i = 0; i < READINGS && interrupted < INTERRUPTED; i++) {
		int addresses = 0, rules = 0, code = probe_netlink_addresses(netlink, AF_INET, 0, count, &addresses);

		assert_true(!code || code == -EINTR);
		assert_true(code || addresses >= ADDRESSES);
		interrupted += code == -EINTR;
		assert_int_equal(probe_netlink_rules(netlink, AF_INET, see, &rules), 0);
		assert_true(rules > 0);
	}
	kill(-child, SIGKILL);
	waitpid(child, NULL, 0);
	probe_netlink_close(netlink);
	assert_true(interrupted > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interrupted_readings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
