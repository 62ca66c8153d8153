/* Servers of QUIC by their IDs, in the data plane: see dataplane.h. */
#include "daemon/dataplane_internal.h"

#include <errno.h>

#include "director.skel.h"

static int servers_fd(const struct dataplane *plane)
{
	return bpf_map__fd(plane->live->maps.quic_servers);
}

int dataplane_quic_set(struct dataplane *plane, const struct hp_quic_server *key, uint32_t backend)
{
	return bpf_map_update_elem(servers_fd(plane), key, &backend, BPF_ANY) ? -errno : 0;
}

void dataplane_quic_clear(struct dataplane *plane, const struct hp_quic_server *key)
{
	bpf_map_delete_elem(servers_fd(plane), key);
}

static int each(int fd, int (*call)(void *context, const struct hp_quic_server *key, uint32_t backend), void *context)
{
	struct hp_quic_server key, next;
	const void *at = NULL;
	int code = 0;

	while (!code && !bpf_map_get_next_key(fd, at, &next)) {
		uint32_t backend;

		key = next;
		at = &key;
		if (!bpf_map_lookup_elem(fd, &key, &backend))
			code = call(context, &key, backend);
	}
	return code;
}

int dataplane_quic_each(struct dataplane *plane,
			int (*call)(void *context, const struct hp_quic_server *key, uint32_t backend), void *context)
{
	return each(servers_fd(plane), call, context);
}

static int copy_row(void *context, const struct hp_quic_server *key, uint32_t backend)
{
	return bpf_map_update_elem(*(int *)context, key, &backend, BPF_ANY) ? -errno : 0;
}

int dataplane_quic_copy(int from, int to, struct err *e)
{
	int code = each(from, copy_row, &to);

	return code ? err_set(e, code, "taking over the servers' IDs of QUIC: %m; raise limits.backends") : 0;
}
