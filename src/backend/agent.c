/* The agent's memory: where the state file is, whose it is, and who may write it: see agent.h. */
#include "backend/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include "backend/host.h"
#include "base/cleanup.h"

const char *agent_state_path(char path[static 128])
{
	snprintf(path, 128, AGENT_STATE "/%" PRIu64 "/state.json", host_namespace());
	return path;
}

int agent_load(struct setup *setup, struct err *e)
{
	char path[128], boot[sizeof(setup->boot)];
	int code = setup_load(setup, agent_state_path(path), e);

	if (code)
		return code;
	host_read_boot(boot, sizeof(boot));
	/* A namespace's number is never given twice within a boot, but again after it, and not every /run is emptied. */
	if (strcmp(setup->boot, boot) != 0)
		memset(setup, 0, sizeof(*setup));
	snprintf(setup->boot, sizeof(setup->boot), "%s", boot);
	return 0;
}

int agent_save(const struct setup *setup, struct err *e)
{
	char path[128];

	return setup_save(setup, agent_state_path(path), e);
}

int agent_lock(struct err *e)
{
	auto_close int fd = open("/run", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* Two at once would forget what the other did. */
	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return err_set(e, -errno, "/run: %m");
	return take_fd(&fd);
}
