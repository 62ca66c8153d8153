/* Kernels and limits: see judge_host.h. */
#include "core/judge_host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/kernel.h"

#define MEMLOCK_LEAST (64u << 20)
#define SOMAXCONN_LEAST 1024
#define FILES_LEAST 4096

/* "6.18.4-x" is 6018. */
static unsigned int number_of(const char *release)
{
	unsigned int major = 0, minor = 0;

	return sscanf(release, "%u.%u", &major, &minor) == 2 ? major * 1000 + minor : 0;
}

static void judge_kernel(const struct judge_host *host, struct findings *findings)
{
	unsigned int number = number_of(host->release);
	struct finding *item = NULL;

	if (number < number_of(KERNEL_LEAST))
		item = findings_add(findings, FINDING_WARNING, CAUSE_KERNEL_OLD, "kernel", "Linux %s is older than " KERNEL_LEAST
				    ", the oldest that halfproxy is tested on", host->release);
	else if (host->load_error == ENOSYS || host->load_error == EINVAL)
		item = findings_add(findings, FINDING_WRONG, CAUSE_KERNEL_OLD, "kernel", "Linux %s takes no XDP program",
				    host->release);
	/* From 5.11 on the memory of BPF is not counted against it. */
	else if (host->load_error == EPERM && number < 5011)
		item = findings_add(findings, FINDING_WRONG, CAUSE_MEMLOCK, "kernel", "Linux %s refuses to load a program",
				    host->release);
	else if (host->load_error)
		findings_ok(findings, "kernel", "Linux %s; whether it takes XDP programs only root can see (%s)", host->release,
			  strerror(host->load_error));
	else
		findings_ok(findings, "kernel", "Linux %s takes XDP programs", host->release);
	if (item && host->load_error)
		finding_evidence(item, "bpf(BPF_PROG_LOAD): %s", strerror(host->load_error));
}

static void judge_bpf(const struct judge_host *host, struct findings *findings)
{
	struct finding *item;

	if (host->has_bpffs) {
		findings_ok(findings, "bpffs", "a BPF file system is mounted at /sys/fs/bpf");
	} else {
		item = findings_add(findings, FINDING_WRONG, CAUSE_BPFFS_MISSING, "bpffs",
				    "no BPF file system is mounted at /sys/fs/bpf");
		finding_command(item, NULL);
		finding_fix(item, FINDING_FIX_BPFFS, NULL, NULL);
	}
	if (host->jit == 0) {
		item = findings_add(findings, FINDING_WARNING, CAUSE_JIT_OFF, "compiler",
				    "the kernel interprets BPF programs, which costs many times what compiled ones do");
		finding_evidence(item, "net/core/bpf_jit_enable = 0");
		finding_sysctl(item, "net/core/bpf_jit_enable", "1");
	} else {
		findings_ok(findings, "compiler", "BPF programs are compiled");
	}
	if (!number_of(host->release) || number_of(host->release) >= 5011 || host->memlock_bytes == UINT64_MAX) {
		findings_ok(findings, "memlock", "BPF memory is not limited by it");
	} else if (host->memlock_bytes < MEMLOCK_LEAST) {
		item = findings_add(findings, FINDING_WARNING, CAUSE_MEMLOCK, "memlock",
				    "%llu KB may be locked, against which this kernel counts BPF memory",
				    (unsigned long long)host->memlock_bytes >> 10);
	}
}

static void judge_limits(const struct judge_host *host, struct findings *findings)
{
	struct finding *item;

	if (host->somaxconn >= 0 && host->somaxconn < SOMAXCONN_LEAST) {
		item = findings_add(findings, FINDING_WARNING, CAUSE_LIMIT_LOW, "limits",
				    "at most %ld connections may wait to be accepted", host->somaxconn);
		finding_evidence(item, "net/core/somaxconn = %ld", host->somaxconn);
		finding_sysctl(item, "net/core/somaxconn", "4096");
	} else if (host->somaxconn >= 0) {
		findings_ok(findings, "limits", "%ld connections may wait to be accepted (somaxconn)", host->somaxconn);
	}
	if (host->open_files && host->open_files < FILES_LEAST)
		findings_add(findings, FINDING_WARNING, CAUSE_LIMIT_LOW, "limits", "%s may open %llu files only",
			     host->open_files_of, (unsigned long long)host->open_files);
	else if (host->open_files)
		findings_ok(findings, "limits", "%s may open %llu files", host->open_files_of,
			  (unsigned long long)host->open_files);
}

void judge_host(const struct judge_host *host, struct findings *findings)
{
	judge_kernel(host, findings);
	judge_bpf(host, findings);
	if (host->clock == JUDGE_CLOCK_FREE)
		finding_command(findings_add(findings, FINDING_WARNING, CAUSE_CLOCK_UNSYNCHRONISED, "clock",
					    "the clock is not synchronised"), NULL);
	else
		findings_ok(findings, "clock", host->clock == JUDGE_CLOCK_UNKNOWN ? "the kernel does not tell whether it is right"
									    : "the clock is synchronised");
	judge_limits(host, findings);
}
