/* Looking at settings, counters, kernel and limits: see look.h. */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/ethtool.h>
#include <linux/magic.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "doctor/look.h"

#define LINE_MOST 4096

/* ---- /proc ---------------------------------------------------------------------------------------------------------------- */

long look_sysctl(const char *path, long otherwise)
{
	char whole[192], text[64], *end;
	auto_fclose FILE *file = NULL;
	long value;

	snprintf(whole, sizeof(whole), "/proc/sys/%s", path);
	file = fopen(whole, "re");
	if (!file || !fgets(text, sizeof(text), file))
		return otherwise;
	value = strtol(text, &end, 10);
	return end == text ? otherwise : value;
}

long look_effective(const char *interface, const char *name)
{
	char path[128];
	long all, own;

	snprintf(path, sizeof(path), "net/ipv4/conf/all/%s", name);
	all = look_sysctl(path, 0);
	snprintf(path, sizeof(path), "net/ipv4/conf/%s/%s", interface, name);
	own = look_sysctl(path, 0);
	return all > own ? all : own;
}

/* A line of names and a line of numbers behind it, both beginning with the group. Returns -1 for none. */
static long long count_in(const char *path, const char *group, const char *name)
{
	auto_fclose FILE *file = fopen(path, "re");
	char names[LINE_MOST], numbers[LINE_MOST], *name_at, *number_at;

	while (file && fgets(names, sizeof(names), file) && fgets(numbers, sizeof(numbers), file)) {
		char *one = strtok_r(names, ": \n", &name_at), *two = strtok_r(numbers, ": \n", &number_at);

		if (!one || !two || strcmp(one, group) != 0)
			continue;
		while (one && two) {
			one = strtok_r(NULL, " \n", &name_at);
			two = strtok_r(NULL, " \n", &number_at);
			if (one && two && !strcmp(one, name))
				return strtoll(two, NULL, 10);
		}
	}
	return -1;
}

long long look_counter(const char *group, const char *name)
{
	long long count = count_in("/proc/net/snmp", group, name);

	return count >= 0 ? count : count_in("/proc/net/netstat", group, name);
}

/* A head of names, and a row of hexadecimal numbers for each CPU. */
long long look_invalid(void)
{
	auto_fclose FILE *file = fopen("/proc/net/stat/nf_conntrack", "re");
	char line[LINE_MOST], *at;
	long long sum = 0;
	int column = -1;

	if (!file || !fgets(line, sizeof(line), file))
		return -1;
	for (char *word = strtok_r(line, " \n", &at); word; word = strtok_r(NULL, " \n", &at)) {
		column++;
		if (!strcmp(word, "invalid"))
			break;
	}
	while (column >= 0 && fgets(line, sizeof(line), file)) {
		char *word = strtok_r(line, " \n", &at);

		for (int i = 0; word && i < column; i++)
			word = strtok_r(NULL, " \n", &at);
		sum += word ? strtoll(word, NULL, 16) : 0;
	}
	return sum;
}

/* ---- kernel and limits ---------------------------------------------------------------------------------------------------- */

/* The shortest program: it lets everything pass. Loaded, it is closed at once. Returns 0 or an errno. */
static int try_load(void)
{
	struct bpf_insn program[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_XDP, .insn_cnt = 2};
	auto_close int fd = -1;

	attr.insns = (uintptr_t)program;
	attr.license = (uintptr_t) "GPL";
	fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	return fd < 0 ? errno : 0;
}

const char *look_program(uint32_t number, char name[static 16])
{
	union bpf_attr attr = {.prog_id = number};
	auto_close int fd = (int)syscall(SYS_bpf, BPF_PROG_GET_FD_BY_ID, &attr, sizeof(attr));
	struct bpf_prog_info info = {0};

	name[0] = '\0';
	if (fd < 0)
		return name;
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	if (!syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)))
		memcpy(name, info.name, 16);
	return name;
}

static enum judge_clock look_clock(void)
{
	struct timex time = {0};
	int state = adjtimex(&time);

	if (state < 0)
		return JUDGE_CLOCK_UNKNOWN;
	return state == TIME_ERROR || time.status & STA_UNSYNC ? JUDGE_CLOCK_FREE : JUDGE_CLOCK_SYNCHRONISED;
}

static void look_files(struct judge_host *out, int pid)
{
	struct rlimit limit;

	if (prlimit(pid, RLIMIT_NOFILE, NULL, &limit))
		return;
	/* A shell's soft limit is nobody's but its own. */
	out->open_files = pid ? limit.rlim_cur : limit.rlim_max;
	if (pid)
		snprintf(out->open_files_of, sizeof(out->open_files_of), "halfproxyd (process %d)", pid);
	else
		snprintf(out->open_files_of, sizeof(out->open_files_of), "a process started here");
}

void look_host(struct judge_host *out, int pid)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
	struct utsname name = {0};
	struct statfs fs;

	memset(out, 0, sizeof(*out));
	uname(&name);
	snprintf(out->release, sizeof(out->release), "%s", name.release);
	out->load_error = try_load();
	out->has_bpffs = !statfs("/sys/fs/bpf", &fs) && fs.f_type == BPF_FS_MAGIC;
	getrlimit(RLIMIT_MEMLOCK, &limit);
	out->memlock_bytes = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
	out->jit = look_sysctl("net/core/bpf_jit_enable", -1);
	out->clock = look_clock();
	out->somaxconn = look_sysctl("net/core/somaxconn", -1);
	look_files(out, pid);
}

/* ---- ethtool --------------------------------------------------------------------------------------------------------------- */

static int ask_ethtool(int fd, const char *name, void *request)
{
	struct ifreq row = {0};

	memcpy(row.ifr_name, name, sizeof(row.ifr_name));
	row.ifr_data = request;
	return ioctl(fd, SIOCETHTOOL, &row);
}

static void look_features(int fd, struct judge_nic *out)
{
	union {
		struct ethtool_sset_info head;
		uint8_t bytes[sizeof(struct ethtool_sset_info) + sizeof(uint32_t)];
	} sets = {.head = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ull << ETH_SS_FEATURES}};
	uint32_t count;
	auto_free struct ethtool_gstrings *names = NULL;
	auto_free struct ethtool_gfeatures *values = NULL;
	uint32_t blocks;

	if (ask_ethtool(fd, out->name, &sets) || !sets.head.sset_mask)
		return;
	memcpy(&count, sets.head.data, sizeof(count));
	if (count > JUDGE_NIC_FEATURES_MOST)
		count = JUDGE_NIC_FEATURES_MOST;
	blocks = (count + 31) / 32;
	/* The kernel writes as many names as it has, whatever it was told. */
	names = calloc(1, sizeof(*names) + 4096 * ETH_GSTRING_LEN);
	values = calloc(1, sizeof(*values) + blocks * sizeof(values->features[0]));
	if (!names || !values)
		return;
	*names = (struct ethtool_gstrings){.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES, .len = count};
	*values = (struct ethtool_gfeatures){.cmd = ETHTOOL_GFEATURES, .size = blocks};
	if (ask_ethtool(fd, out->name, names) || ask_ethtool(fd, out->name, values))
		return;
	for (uint32_t i = 0; i < count; i++) {
		const struct ethtool_get_features_block *block = &values->features[i / 32];
		struct judge_feature *feature = &out->features[out->feature_count];
		uint32_t bit = 1u << i % 32;

		snprintf(feature->name, sizeof(feature->name), "%.*s", ETH_GSTRING_LEN - 1,
			 (const char *)names->data + i * ETH_GSTRING_LEN);
		feature->is_on = block->active & bit;
		feature->is_fixed = block->never_changed & bit || !(block->available & bit);
		out->feature_count += *feature->name != '\0';
	}
}

void look_nic(const struct look_link *link, struct judge_nic *out)
{
	auto_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};

	memset(out, 0, sizeof(*out));
	memcpy(out->name, link->name, sizeof(out->name));
	out->mtu = link->mtu;
	out->xdp = link->xdp;
	if (fd < 0)
		return;
	if (!ask_ethtool(fd, out->name, &driver))
		snprintf(out->driver, sizeof(out->driver), "%.31s", driver.driver);
	look_features(fd, out);
}
