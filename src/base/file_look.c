/* Whether a file can be used: see file_look.h. */
#include "base/file_look.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

/* A script whose interpreter is missing is "not found" to the kernel, which is said of the script. */
static int look_interpreter(const char *path, struct err *e)
{
	auto_fclose FILE *file = fopen(path, "re");
	char line[256];
	char *name, *end;

	if (!file || !fgets(line, sizeof(line), file) || strncmp(line, "#!", 2) != 0)
		return 0;
	name = line + 2 + strspn(line + 2, " \t");
	end = name + strcspn(name, " \t\n");
	*end = '\0';
	if (!access(name, F_OK))
		return 0;
	if (end > name && end[-1] == '\r')
		return err_set(e, -ENOENT, "its first line ends with a carriage return (CR), as on other systems: take it out");
	return err_set(e, -ENOENT, "its first line names \"%s\", and there is no such program", name);
}

int file_look(const char *path, bool is_run, struct err *e)
{
	struct stat what;

	if (stat(path, &what) < 0)
		return errno == ENOENT || errno == ENOTDIR ? err_set(e, -errno, "there is no such file")
							    : err_set(e, -errno, "%m");
	if (S_ISDIR(what.st_mode))
		return err_set(e, -EISDIR, "it is a directory, not a file");
	if (!S_ISREG(what.st_mode))
		return err_set(e, -EINVAL, "it is no regular file");
	if (is_run && !(what.st_mode & 0111))
		return err_set(e, -ENOEXEC, "it is not executable (`chmod +x` makes it so)");
	if (faccessat(AT_FDCWD, path, is_run ? X_OK : R_OK, AT_EACCESS) < 0)
		return err_set(e, -errno, "it cannot be %s: %m", is_run ? "run" : "read");
	return is_run ? look_interpreter(path, e) : 0;
}
