/* Looking at packet filters, by the programs that speak for them: see look.h. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "doctor/look.h"

#define RULES_MOST_BYTES (64u << 20)

/* ---- running -------------------------------------------------------------------------------------------------------------- */

/* Everything that comes, at most that much; NULL for more. Reads to the end in any case. */
static char *read_all(int fd, size_t most)
{
	auto_free char *out = malloc(65536);
	size_t room = 65536, count = 0;
	ssize_t got = 1;

	while (out && got > 0) {
		if (count + 1 == room) {
			char *grown = room < most ? realloc(out, room * 2) : NULL;

			if (!grown)
				return NULL;
			out = grown;
			room *= 2;
		}
		got = read(fd, out + count, room - count - 1);
		if (got < 0 && errno == EINTR)
			got = 1;
		else if (got > 0)
			count += (size_t)got;
	}
	if (!out || got < 0)
		return NULL;
	out[count] = '\0';
	return take_ptr(out);
}

/* Only the system's own folders: a doctor runs as root. */
static const char *find_program(const char *name, char path[static 128])
{
	static const char *const folders[] = {"/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin"};

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(path, 128, "%s/%s", folders[i], name);
		if (!access(path, X_OK))
			return path;
	}
	return NULL;
}

static int start(const char *path, const char *const *argv, int out, pid_t *pid)
{
	static char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL};
	posix_spawn_file_actions_t actions;
	int code = posix_spawn_file_actions_init(&actions);

	if (code)
		return -code;
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	code = posix_spawn(pid, path, &actions, NULL, (char *const *)argv, environment);
	posix_spawn_file_actions_destroy(&actions);
	return -code;
}

char *look_run(const char *const *argv, size_t most)
{
	char path[128];
	const char *program = find_program(argv[0], path);
	auto_free char *out = NULL;
	auto_close int reader = -1;
	int ends[2], status = -1;
	pid_t pid;

	if (!program || pipe2(ends, O_CLOEXEC) < 0)
		return NULL;
	reader = ends[0];
	if (start(program, argv, ends[1], &pid)) {
		close(ends[1]);
		return NULL;
	}
	close(ends[1]);
	out = read_all(reader, most);
	/* It must not wait for a reader that has gone. */
	close(take_fd(&reader));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? take_ptr(out) : NULL;
}

/* ---- the filters ---------------------------------------------------------------------------------------------------------- */

/* Whether iptables' own words are in the ruleset, which nft cannot read. */
static bool has_foreign(const char *text)
{
	return strstr(text, "\"xt\":") != NULL;
}

/* Returns how many items were found. Whether something was not looked at is told. */
static int look_nft(const struct judge_filter *what, bool *is_seen, bool *is_foreign, struct findings *findings)
{
	auto_free char *text = look_run((const char *const[]){"nft", "-j", "list", "ruleset", NULL}, RULES_MOST_BYTES);
	json_t *ruleset = text ? json_loads(text, 0, NULL) : NULL;
	int found = ruleset ? judge_nft(what, ruleset, findings) : -1;

	*is_seen = found >= 0;
	*is_foreign = found >= 0 && has_foreign(text);
	json_decref(ruleset);
	return found > 0 ? found : 0;
}

static int look_iptables(const struct judge_filter *what, bool *is_seen, struct findings *findings)
{
	static const char *const programs[][2] = {{"iptables", "iptables-save"}, {"ip6tables", "ip6tables-save"}};
	int found = 0;

	*is_seen = false;
	for (size_t i = 0; i < 2; i++) {
		auto_free char *text = look_run((const char *const[]){programs[i][1], NULL}, RULES_MOST_BYTES);

		*is_seen |= text != NULL;
		found += text ? judge_iptables(what, programs[i][0], text, findings) : 0;
	}
	return found;
}

void look_filters(const struct judge_filter *what, struct findings *findings)
{
	bool has_nft, is_foreign, has_iptables;
	int found = look_nft(what, &has_nft, &is_foreign, findings) + look_iptables(what, &has_iptables, findings);
	long long invalid = look_invalid();
	char counted[80] = "";

	if (invalid >= 0)
		snprintf(counted, sizeof(counted), "; connection tracking has called %lld packets invalid", invalid);
	if (!has_nft && !has_iptables)
		findings_ok(findings, "packet filter", "its rules were not looked at: neither nft nor iptables-save answers "
			"here%s",
			  counted);
	else if (!has_nft || (is_foreign && !has_iptables))
		findings_ok(findings, "packet filter", "looked at by %s alone, as %s does not answer%s",
			  has_nft ? "nft" : "iptables-save", has_nft ? "iptables-save" : "nft", counted);
	else if (!found)
		findings_ok(findings, "packet filter", "no rule is in the way%s", counted);
	else if (*counted)
		findings_ok(findings, "packet filter", "%s", counted + 2);
}
