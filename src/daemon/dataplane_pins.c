/* The folder of pins: where it must lie, who holds it, what is in it, and taking it away: see dataplane.h. */
#include "daemon/dataplane_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Cut the last part off a path. Returns false at its first. */
static bool cut_last(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash || slash == path)
		return false;
	*slash = '\0';
	return true;
}

static int no_bpf_fs(const char *folder, struct err *e)
{
	return err_set(e, -ENODEV, "no BPF file system is mounted at %s: mount -t bpf bpf %s", folder, folder);
}

int dataplane_pins_check(const char *pins, struct err *e)
{
	char parent[256];
	struct statfs fs;

	snprintf(parent, sizeof(parent), "%s", pins);
	if (!cut_last(parent))
		return err_set(e, -EINVAL, "pins folder %s: must be a path inside a BPF file system", pins);
	if (statfs(parent, &fs) < 0)
		return err_set(e, -errno, "pins folder %s: %m", parent);
	return fs.f_type == BPF_FS_MAGIC ? 0 : no_bpf_fs(parent, e);
}

/* Whether pins that are not there are nowhere, and not only out of sight: a BPF file system is mounted where they
 * would lie. */
static int check_absence(const char *pins, struct err *e)
{
	char folder[256];
	struct statfs fs;

	snprintf(folder, sizeof(folder), "%s", pins);
	while (cut_last(folder))
		if (!statfs(folder, &fs))
			return fs.f_type == BPF_FS_MAGIC ? 0 : no_bpf_fs(folder, e);
	return err_set(e, -EINVAL, "pins folder %s: must be a path inside a BPF file system", pins);
}

int dataplane_pins_make(const char *path, struct err *e)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_set(e, -errno, "folder %s: %m", path);
	return 0;
}

int dataplane_pins_lock(const char *pins, struct err *e)
{
	auto_close int fd = open(pins, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_set(e, -errno, "pins folder %s: %m", pins);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, errno == EWOULDBLOCK ? -EBUSY : -errno,
			       "another halfproxyd holds the data plane at %s: stop it first, or, if it is one of another "
			       "network namespace, give this one --pins, --state and api.socket of its own",
			       pins);
	return take_fd(&fd);
}

void dataplane_pins_remove(const char *pins, const char *folder)
{
	char path[DATAPLANE_PATH_BYTES * 2];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s", pins, folder);
	dir = opendir(path);
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s/%s", pins, folder, entry->d_name);
		unlink(path);
	}
	closedir(dir);
	snprintf(path, sizeof(path), "%s/%s", pins, folder);
	rmdir(path);
}

bool dataplane_is_serving(const char *pins)
{
	char path[DATAPLANE_PATH_BYTES];
	struct dirent *entry;
	bool is_found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/links", pins);
	dir = opendir(path);
	while (dir && !is_found && (entry = readdir(dir)))
		is_found = entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return is_found;
}

int dataplane_unload(const char *pins, struct err *e)
{
	struct stat st;
	int fd, code;

	if (stat(pins, &st) < 0) {
		int why = -errno;

		code = check_absence(pins, e);
		return code ? code : err_set(e, why, "nothing is loaded: %s: %m", pins);
	}
	code = dataplane_pins_check(pins, e);
	if (code)
		return code;
	fd = dataplane_pins_lock(pins, e);
	if (fd < 0)
		return fd;
	dataplane_pins_remove(pins, "links");
	dataplane_maps_remove(pins);
	close(fd);
	if (!rmdir(pins))
		return 0;
	if (errno == ENOTEMPTY)
		return err_set(e, -ENOTEMPTY, "pins folder %s holds something that is not ours", pins);
	return err_set(e, -errno, "pins folder %s: %m", pins);
}
