/* The claim on the machine, in the network namespace of the test: one that is killed leaves none, also where a child of it
 * has its descriptors for a moment more, as one that is about to become a script. */
#include "unit.h"

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/instance.h"

#define CHILD_MS 200

static void sleep_ms(long ms)
{
	const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&time, NULL);
}

/* A process that claims, and is gone when this returns; a child of it lives on for so long. */
static void claim_and_die(long child_ms)
{
	pid_t first = fork();
	struct err e;
	int status;

	if (!first) {
		if (instance_claim(&e) < 0)
			_exit(1);
		if (child_ms && !fork()) {
			sleep_ms(child_ms);
			_exit(0);
		}
		_exit(0);
	}
	assert_int_equal(waitpid(first, &status, 0), first);
	assert_int_equal(status, 0);
}

static void test_dead(void **state)
{
	static const long children_ms[] = {0, CHILD_MS};
	struct err e;

	(void)state;
	for (size_t i = 0; i < COUNT(children_ms); i++) {
		int claim;

		claim_and_die(children_ms[i]);
		claim = instance_claim(&e);
		assert_true(claim >= 0);
		close(claim);
	}
}

static void test_alive(void **state)
{
	struct err e;
	int claim = instance_claim(&e);

	(void)state;
	assert_true(claim >= 0);
	assert_true(instance_claim(&e) < 0);
	assert_holds("a second claim", e.text, "another halfproxyd runs on this machine (process ");
	close(claim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dead),
		cmocka_unit_test(test_alive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
