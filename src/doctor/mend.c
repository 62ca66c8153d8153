/* Mending: see mend.h. */
#include "doctor/mend.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>

#include "base/cleanup.h"

static int write_setting(const struct finding *item, char *done, size_t room, struct err *e)
{
	char whole[192], was[64] = "?";
	auto_fclose FILE *file = NULL;

	snprintf(whole, sizeof(whole), "/proc/sys/%s", item->path);
	file = fopen(whole, "r+e");
	if (file && fgets(was, sizeof(was), file))
		was[strcspn(was, "\n")] = '\0';
	if (!file || fseek(file, 0, SEEK_SET) || fprintf(file, "%s\n", item->value) < 0 || fflush(file))
		return err_set(e, -errno, "writing %s to %s: %m", item->value, whole);
	snprintf(done, room, "%s = %s (was %s)", item->path, item->value, was);
	return 1;
}

int mend_item(const struct finding *item, char *done, size_t room, struct err *e)
{
	switch (item->fix) {
	case FINDING_FIX_SYSCTL:
		return write_setting(item, done, room, e);
	case FINDING_FIX_BPFFS:
		if (mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL) < 0)
			return err_set(e, -errno, "mounting /sys/fs/bpf: %m");
		snprintf(done, room, "/sys/fs/bpf is mounted");
		return 1;
	case FINDING_FIX_NONE:
	case FINDING_FIX_UP:
	case FINDING_FIX_ADDRESS:
		return 0;
	}
	return 0;
}
