/* Privileges: see privileges.h. */
#include "daemon/privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

struct need {
	unsigned int capability;
	bool is_of_admin; /* CAP_SYS_ADMIN includes it */
	const char *name, *what;
};

static const struct need needs[] = {
	{CAP_BPF, true, "CAP_BPF", "maps and programs"},
	{CAP_NET_ADMIN, false, "CAP_NET_ADMIN", "XDP, neighbours and routes"},
	{CAP_PERFMON, true, "CAP_PERFMON", "programs that the verifier checks as root's"},
};

static bool has(const struct __user_cap_data_struct *held, unsigned int capability)
{
	return held[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability);
}

int privileges_check(struct err *e)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct held[_LINUX_CAPABILITY_U32S_3] = {{0}};
	char missing[200] = "";
	size_t at = 0;

	if (syscall(SYS_capget, &header, held) < 0)
		return err_set(e, -errno, "this process's capabilities: %m");
	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
		if (!has(held, needs[i].capability) && !(needs[i].is_of_admin && has(held, CAP_SYS_ADMIN)))
			at += (size_t)snprintf(missing + at, sizeof(missing) - at, "%s%s (%s)", at ? ", " : "", needs[i].name,
					       needs[i].what);
	if (!at)
		return 0;
	return err_set(e, -EPERM,
		       "privileges are missing: %s; start halfproxyd as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON "
		       "(AmbientCapabilities= of systemd)",
		       missing);
}
