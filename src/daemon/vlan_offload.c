/* VLAN tags that NICs take off packets: see vlan_offload.h. */
#include "daemon/vlan_offload.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/log.h"

#define FILE_NAME "vlan-offload"
#define PATH_BYTES 300
#define WORDS_MOST 8 /* of 32 features each */

/* As the kernel names them; ethtool prints rx-vlan-offload and rx-vlan-stag-hw-parse. */
static const char *const features[] = {"rx-vlan-hw-parse", "rx-vlan-stag-hw-parse"};

#define FEATURES (sizeof(features) / sizeof(features[0]))

struct row {
	uint32_t ifindex;
	uint32_t off; /* bit i: features[i] was on, and we switched it off */
};

struct vlan_offload {
	char path[PATH_BYTES];
	struct row *rows;
	size_t count;
};

/* ---- the file ------------------------------------------------------------------------------------------------- */

static void path_of(char path[static PATH_BYTES], const char *folder)
{
	snprintf(path, PATH_BYTES, "%s/%s", folder, FILE_NAME);
}

static struct row *find(const struct vlan_offload *offload, uint32_t ifindex)
{
	for (size_t i = 0; i < offload->count; i++)
		if (offload->rows[i].ifindex == ifindex)
			return &offload->rows[i];
	return NULL;
}

static struct row *find_or_add(struct vlan_offload *offload, uint32_t ifindex)
{
	struct row *row = find(offload, ifindex), *grown;

	if (row)
		return row;
	grown = realloc(offload->rows, (offload->count + 1) * sizeof(*grown));
	if (!grown)
		return NULL;
	offload->rows = grown;
	grown[offload->count] = (struct row){.ifindex = ifindex};
	return &grown[offload->count++];
}

static void save(const struct vlan_offload *offload)
{
	auto_fclose FILE *file = NULL;

	if (!offload->count) {
		unlink(offload->path);
		return;
	}
	file = fopen(offload->path, "we");
	for (size_t i = 0; file && i < offload->count; i++)
		fprintf(file, "%u %u\n", offload->rows[i].ifindex, offload->rows[i].off);
}

struct vlan_offload *vlan_offload_open(const char *folder)
{
	struct vlan_offload *offload = calloc(1, sizeof(*offload));
	auto_fclose FILE *file = NULL;
	struct row read, *row;

	if (!offload)
		return NULL;
	path_of(offload->path, folder);
	file = fopen(offload->path, "re");
	while (file && fscanf(file, "%u %u", &read.ifindex, &read.off) == 2)
		if ((row = find_or_add(offload, read.ifindex)))
			row->off = read.off;
	return offload;
}

void vlan_offload_close(struct vlan_offload *offload)
{
	if (!offload)
		return;
	free(offload->rows);
	free(offload);
}

/* ---- the kernel ------------------------------------------------------------------------------------------------- */

struct device {
	int fd;
	char name[IFNAMSIZ];
	uint32_t words;
	uint32_t bit[FEATURES]; /* UINT32_MAX: this kernel has no such feature */
};

static int ask(const struct device *device, void *command)
{
	struct ifreq request = {0};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device->name);
	request.ifr_data = command;
	return ioctl(device->fd, SIOCETHTOOL, &request) < 0 ? -errno : 0;
}

/* How many features this kernel has, or 0. */
static uint32_t count_features(const struct device *device)
{
	union {
		struct ethtool_sset_info head;
		uint8_t room[sizeof(struct ethtool_sset_info) + sizeof(uint32_t)];
	} command;

	memset(&command, 0, sizeof(command));
	command.head.cmd = ETHTOOL_GSSET_INFO;
	command.head.sset_mask = 1ULL << ETH_SS_FEATURES;
	if (ask(device, &command) || !command.head.sset_mask)
		return 0;
	return command.head.data[0];
}

static int find_bits(struct device *device)
{
	uint32_t count = count_features(device);
	auto_free struct ethtool_gstrings *names = calloc(1, sizeof(*names) + (size_t)count * ETH_GSTRING_LEN);

	if (!names)
		return -ENOMEM;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = count;
	if (!count || count > WORDS_MOST * 32 || ask(device, names))
		return -EOPNOTSUPP;
	device->words = (count + 31) / 32;
	for (size_t f = 0; f < FEATURES; f++) {
		device->bit[f] = UINT32_MAX;
		for (uint32_t i = 0; i < count; i++)
			if (!strncmp((const char *)names->data + (size_t)i * ETH_GSTRING_LEN, features[f], ETH_GSTRING_LEN))
				device->bit[f] = i;
	}
	return 0;
}

/* Returns 0 with device->fd to be closed, or -errno. */
static int open_device(struct device *device, uint32_t ifindex)
{
	int code;

	memset(device, 0, sizeof(*device));
	if (!if_indextoname(ifindex, device->name))
		return -ENODEV;
	device->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (device->fd < 0)
		return -errno;
	code = find_bits(device);
	if (code)
		close(device->fd);
	return code;
}

/* Which of our features are on: a bit for each. */
static uint32_t read_active(const struct device *device)
{
	union {
		struct ethtool_gfeatures head;
		uint8_t room[sizeof(struct ethtool_gfeatures) + WORDS_MOST * sizeof(struct ethtool_get_features_block)];
	} command;
	uint32_t active = 0;

	memset(&command, 0, sizeof(command));
	command.head.cmd = ETHTOOL_GFEATURES;
	command.head.size = device->words;
	if (ask(device, &command))
		return 0;
	for (size_t f = 0; f < FEATURES; f++)
		if (device->bit[f] != UINT32_MAX &&
		    command.head.features[device->bit[f] / 32].active & 1u << device->bit[f] % 32)
			active |= 1u << f;
	return active;
}

static int write_features(const struct device *device, uint32_t which, bool on)
{
	union {
		struct ethtool_sfeatures head;
		uint8_t room[sizeof(struct ethtool_sfeatures) + WORDS_MOST * sizeof(struct ethtool_set_features_block)];
	} command;

	memset(&command, 0, sizeof(command));
	command.head.cmd = ETHTOOL_SFEATURES;
	command.head.size = device->words;
	for (size_t f = 0; f < FEATURES; f++) {
		struct ethtool_set_features_block *block;

		if (!(which & 1u << f) || device->bit[f] == UINT32_MAX)
			continue;
		block = &command.head.features[device->bit[f] / 32];
		block->valid |= 1u << device->bit[f] % 32;
		if (on)
			block->requested |= 1u << device->bit[f] % 32;
	}
	return ask(device, &command);
}

/* ---- off and on ----------------------------------------------------------------------------------------------------- */

int vlan_offload_off(struct vlan_offload *offload, uint32_t ifindex, struct err *e)
{
	struct device device;
	struct row *row;
	uint32_t active, left;

	if (open_device(&device, ifindex))
		return 0; /* it has no such settings, or is gone */
	active = read_active(&device);
	row = active ? find_or_add(offload, ifindex) : NULL;
	if (!row) {
		close(device.fd);
		return active ? err_set(e, -ENOMEM, "%m") : 0;
	}
	write_features(&device, active, false);
	left = read_active(&device);
	close(device.fd);
	if (active & ~left) {
		row->off |= active & ~left;
		save(offload);
		log_event(LOG_NOTICE, "vlan_offload_off interface=%s reason=\"VLAN tags have to reach XDP\" restored_by=--unload",
			  device.name);
	}
	if (!left)
		return 0;
	return err_set(e, -EOPNOTSUPP,
		       "the driver of %s cannot leave VLAN tags in packets (`ethtool -K %s rxvlan off` fails): tagged packets "
		       "look untagged to XDP, and what is sent for them leaves untagged",
		       device.name, device.name);
}

static void restore_row(const struct row *row)
{
	struct device device;

	if (open_device(&device, row->ifindex))
		return;
	if (!write_features(&device, row->off, true))
		log_event(LOG_NOTICE, "vlan_offload_restored interface=%s", device.name);
	close(device.fd);
}

void vlan_offload_restore(struct vlan_offload *offload, uint32_t ifindex)
{
	struct row *row = find(offload, ifindex);

	if (!row)
		return;
	restore_row(row);
	*row = offload->rows[--offload->count];
	save(offload);
}

void vlan_offload_restore_all(const char *folder)
{
	struct vlan_offload *offload = vlan_offload_open(folder);

	if (!offload)
		return;
	while (offload->count)
		vlan_offload_restore(offload, offload->rows[0].ifindex);
	unlink(offload->path);
	vlan_offload_close(offload);
}
