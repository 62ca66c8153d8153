/* Kernels and limits: a row a host. Pure. */
#include <errno.h>

#include "unit/judged.h"

#include "core/judge_host.h"

#define SYNC JUDGE_CLOCK_SYNCHRONISED
#define FREE JUDGE_CLOCK_FREE
#define UNKNOWN JUDGE_CLOCK_UNKNOWN

/* Release, error of loading, BPF file system, bytes that may be locked, compiler, clock, connections that wait, files. */
#define HOST(...) {__VA_ARGS__, "a shell"}

static const struct {
	const char *what;
	struct judge_host host;
	const char *found;
} rows[] = {
	{"a host where all is right", HOST("6.1.0-18-amd64", 0, true, 8 << 20, 1, SYNC, 4096, 0), ""},
	{"a kernel that always compiles", HOST("6.1.0", 0, true, 8 << 20, -1, SYNC, 4096, 0), ""},
	{"a kernel too old", HOST("5.15.0-91-generic", 0, true, 8 << 20, 1, SYNC, 4096, 0), "KERNEL_OLD"},
	{"one of two figures is not younger than one of one", HOST("6.10.3", 0, true, 8 << 20, 1, SYNC, 4096, 0), ""},
	{"a kernel of the next age", HOST("7.0.0-rc1", 0, true, 8 << 20, 1, SYNC, 4096, 0), ""},
	{"a release that says nothing", HOST("custom", 0, true, 8 << 20, 1, SYNC, 4096, 0), "KERNEL_OLD"},
	{"a kernel without BPF", HOST("6.1.0", ENOSYS, true, 8 << 20, 1, SYNC, 4096, 0), "WRONG KERNEL_OLD"},
	{"an old kernel counts locked memory", HOST("5.4.0", 0, true, 65536, 1, SYNC, 4096, 0), "KERNEL_OLD, MEMLOCK"},
	{"unless there is no limit", HOST("5.4.0", 0, true, UINT64_MAX, 1, SYNC, 4096, 0), "KERNEL_OLD"},
	{"only root may load: not the kernel's fault", HOST("6.1.0", EPERM, true, 8 << 20, 1, SYNC, 4096, 0), ""},
	{"no BPF file system", HOST("6.1.0", 0, false, 8 << 20, 1, SYNC, 4096, 0), "WRONG BPFFS_MISSING"},
	{"no compiler", HOST("6.1.0", 0, true, 8 << 20, 0, SYNC, 4096, 0), "JIT_OFF"},
	{"the clock runs free", HOST("6.1.0", 0, true, 8 << 20, 1, FREE, 4096, 0), "CLOCK_UNSYNCHRONISED"},
	{"nobody knows of the clock", HOST("6.1.0", 0, true, 8 << 20, 1, UNKNOWN, 4096, 0), ""},
	{"few may wait", HOST("6.1.0", 0, true, 8 << 20, 1, SYNC, 128, 0), "LIMIT_LOW"},
	{"few files", HOST("6.1.0", 0, true, 8 << 20, 1, SYNC, 4096, 1024), "LIMIT_LOW"},
	{"many files", HOST("6.1.0", 0, true, 8 << 20, 1, SYNC, 4096, 65536), ""},
};

static void hosts_are_judged(void **state)
{
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct findings findings = {0};

		judge_host(&rows[i].host, &findings);
		assert_judged(rows[i].what, &findings, rows[i].found);
		for (size_t j = 0; j < findings.count; j++)
			assert_true(findings.items[j].fix == FINDING_FIX_NONE || *findings.items[j].command);
		findings_free(&findings);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(hosts_are_judged)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
