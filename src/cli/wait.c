/* Waiting: see wait.h. */
#include "cli/wait.h"

#include <signal.h>
#include <time.h>

#define LOOK_AGAIN_MS 500
#define RESTART_LOOKS 60 /* so often nobody may answer, while the daemon is restarted */

static volatile sig_atomic_t is_interrupted;

static void interrupt(int number)
{
	(void)number;
	is_interrupted = 1;
}

int wait_for(int (*look)(void *context, struct err *e), void *context, struct err *e)
{
	const struct timespec pause = {0, LOOK_AGAIN_MS * 1000000L};
	const struct sigaction action = {.sa_handler = interrupt};
	unsigned int unanswered = 0;
	int code = -1;

	sigaction(SIGINT, &action, NULL);
	while (!is_interrupted) {
		code = look(context, e);
		unanswered = code == WAIT_UNASKED ? unanswered + 1 : 0;
		if (code >= 0 && (code != WAIT_UNASKED || unanswered > RESTART_LOOKS))
			break;
		nanosleep(&pause, NULL);
	}
	return is_interrupted ? WAIT_INTERRUPTED : code;
}
