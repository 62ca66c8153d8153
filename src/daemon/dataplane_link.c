/* Links of the data plane: attaching to interfaces, native where the driver can: see dataplane.h. */
#include "daemon/dataplane_internal.h"

#include <dirent.h>
#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/kernel.h"
#include "director.skel.h"

/* Say whose program is in the way. */
static int taken(const char *name, uint32_t ifindex, struct err *e)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	struct bpf_prog_info info = {0};
	uint32_t info_bytes = sizeof(info), id = 0;
	auto_close int fd = -1;

	if (!bpf_xdp_query((int)ifindex, 0, &query))
		id = query.prog_id ? query.prog_id : query.drv_prog_id ? query.drv_prog_id : query.skb_prog_id;
	fd = id ? bpf_prog_get_fd_by_id(id) : -1;
	if (fd >= 0)
		bpf_obj_get_info_by_fd(fd, &info, &info_bytes);
	return err_set(e, -EBUSY,
		       "interface %s runs somebody else's XDP program \"%s\" (id %u): take it off (`ip link set dev %s "
		       "xdp off`, or end the program that put it there), then start again, or reload",
		       name, info.name, id, name);
}

static bool is_native(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	return !bpf_xdp_query((int)ifindex, 0, &query) && query.attach_mode != XDP_ATTACHED_SKB;
}

static bool mode_allows(enum config_mode mode, bool native)
{
	return mode == CONFIG_MODE_AUTO || (mode == CONFIG_MODE_NATIVE) == native;
}

/* Make the link that is pinned run our program. 1: it does; 0: there is none to use, and its pin is gone. */
static int renew(const char *path, uint32_t ifindex, enum config_mode mode, int program, bool *native)
{
	struct bpf_link_info info = {0};
	uint32_t info_bytes = sizeof(info);
	auto_close int fd = bpf_obj_get(path);

	if (fd < 0)
		return 0;
	if (!bpf_obj_get_info_by_fd(fd, &info, &info_bytes) && info.xdp.ifindex == ifindex &&
	    mode_allows(mode, is_native(ifindex)) && !bpf_link_update(fd, program, NULL)) {
		*native = is_native(ifindex);
		return 1;
	}
	bpf_link_detach(fd);
	unlink(path);
	return 0;
}

static int create(uint32_t ifindex, int program, uint32_t flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
	int fd = bpf_link_create(program, (int)ifindex, BPF_XDP, &options);

	return fd < 0 ? -errno : fd;
}

static int refused(const char *name, uint32_t ifindex, const char *mode, int code, struct err *e)
{
	if (code == -EBUSY || code == -EEXIST)
		return taken(name, ifindex, e);
	if (code == -EPERM)
		return err_set(e, code, "interface %s: attaching needs CAP_NET_ADMIN and CAP_BPF, which root has", name);
	return err_set(e, code,
		       "interface %s: %s XDP is refused: %m (Linux " KERNEL_LEAST " or newer is needed; a driver may "
		       "want a smaller MTU, and LRO off)",
		       name, mode);
}

int dataplane_attach(struct dataplane *plane, const char *name, uint32_t ifindex, enum dataplane_role role,
		     enum config_mode mode, bool *native, struct err *e)
{
	int program = bpf_program__fd(role == DATAPLANE_INGRESS ? plane->live->progs.halfproxy : plane->live->progs.pass);
	char path[DATAPLANE_PATH_BYTES];
	auto_close int fd = -EOPNOTSUPP;
	bool became_native = false;

	dataplane_path(plane, "links", name, path);
	if (renew(path, ifindex, mode, program, native))
		return 0;
	if (mode != CONFIG_MODE_GENERIC) {
		fd = create(ifindex, program, XDP_FLAGS_DRV_MODE);
		became_native = fd >= 0;
		if (fd < 0)
			refused(name, ifindex, "native", fd, e);
		if (fd == -EBUSY || fd == -EEXIST || (fd < 0 && mode == CONFIG_MODE_NATIVE))
			return fd == -EEXIST ? -EBUSY : fd;
	}
	if (fd < 0) {
		fd = create(ifindex, program, XDP_FLAGS_SKB_MODE);
		if (fd < 0)
			return refused(name, ifindex, "generic", fd, e);
	}
	if (bpf_obj_pin(fd, path) < 0)
		return err_set(e, -errno, "pinning %s: %m", path);
	*native = became_native;
	return 0;
}

void dataplane_detach(struct dataplane *plane, const char *name)
{
	char path[DATAPLANE_PATH_BYTES];
	auto_close int fd = -1;

	dataplane_path(plane, "links", name, path);
	fd = bpf_obj_get(path);
	if (fd >= 0)
		bpf_link_detach(fd);
	unlink(path);
}

bool dataplane_is_linked(const struct dataplane *plane, const char *name)
{
	char path[DATAPLANE_PATH_BYTES];

	dataplane_path(plane, "links", name, path);
	return !access(path, F_OK);
}

void dataplane_each_link(const struct dataplane *plane, void (*each)(void *context, const char *name), void *context)
{
	char path[DATAPLANE_PATH_BYTES];
	struct dirent *entry;
	DIR *dir;

	dataplane_path(plane, "links", "", path);
	dir = opendir(path);
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		char name[sizeof(entry->d_name)];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s", entry->d_name);
		for (char *c = name; *c; c++)
			if (*c == ':')
				*c = '.';
		each(context, name);
	}
	closedir(dir);
}

static struct hp_interface_row *find_row(const struct dataplane *plane, uint32_t ifindex)
{
	for (size_t i = 0; i < HP_INTERFACES_MOST; i++)
		if (plane->interfaces[i].ifindex == ifindex)
			return &plane->interfaces[i];
	return NULL;
}

/* The table of ways in tells them from ports that packets only leave by. */
static void renew_way_in(void *context, const char *name)
{
	const struct dataplane *plane = context;
	struct bpf_link_info info = {0};
	uint32_t info_bytes = sizeof(info);
	char path[DATAPLANE_PATH_BYTES];
	auto_close int fd = -1;

	dataplane_path(plane, "links", name, path);
	fd = bpf_obj_get(path);
	if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &info_bytes) && info.xdp.ifindex &&
	    find_row(plane, info.xdp.ifindex))
		bpf_link_update(fd, bpf_program__fd(plane->live->progs.halfproxy), NULL);
}

void dataplane_links_renew(const struct dataplane *plane)
{
	dataplane_each_link(plane, renew_way_in, (void *)(uintptr_t)plane);
}

int dataplane_port_set(struct dataplane *plane, uint32_t ifindex, struct err *e)
{
	struct bpf_devmap_val value = {.ifindex = ifindex};

	if (bpf_map_update_elem(bpf_map__fd(plane->live->maps.ports), &ifindex, &value, BPF_ANY) < 0)
		return err_set(e, -errno, "interface %u as a way out: %m (at most %d)", ifindex, DATAPLANE_PORTS_MOST);
	return 0;
}

void dataplane_port_clear(struct dataplane *plane, uint32_t ifindex)
{
	bpf_map_delete_elem(bpf_map__fd(plane->live->maps.ports), &ifindex);
}

int dataplane_interface_set(struct dataplane *plane, uint32_t ifindex, const struct hp_interface *record, struct err *e)
{
	struct hp_interface_row *row = find_row(plane, ifindex);
	uint64_t word;

	if (!row)
		row = find_row(plane, 0);
	if (!row)
		return err_set(e, -ENOSPC, "interface %u as a way in: at most %d", ifindex, HP_INTERFACES_MOST);
	memcpy(&word, record, sizeof(word));
	__atomic_store_n((uint64_t *)(void *)&row->interface, word, __ATOMIC_RELEASE);
	__atomic_store_n(&row->ifindex, ifindex, __ATOMIC_RELEASE);
	return 0;
}

void dataplane_interface_clear(struct dataplane *plane, uint32_t ifindex)
{
	struct hp_interface_row *row = find_row(plane, ifindex);

	if (row)
		__atomic_store_n(&row->ifindex, 0, __ATOMIC_RELEASE);
}

void dataplane_each_interface(struct dataplane *plane, void (*each)(void *context, uint32_t ifindex), void *context)
{
	for (size_t i = 0; i < HP_INTERFACES_MOST; i++)
		if (plane->interfaces[i].ifindex)
			each(context, plane->interfaces[i].ifindex);
}
