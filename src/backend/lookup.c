/* The link of sk_lookup: see lookup.h. */
#include "backend/lookup.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/tunnel_map.h"
#include "base/cleanup.h"

uint32_t lookup_program(void)
{
	struct bpf_link_info info = {0};
	uint32_t bytes = sizeof(info);
	auto_close int fd = tunnel_open_pin(TUNNEL_PIN_LOOKUP_LINK);
	struct stat here;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &bytes) || stat("/proc/self/ns/net", &here) < 0)
		return 0;
	return info.netns.netns_ino == here.st_ino ? info.prog_id : 0;
}

int lookup_attach(struct err *e)
{
	auto_close int program = tunnel_open_pin(TUNNEL_PIN_LOOKUP);
	auto_close int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	auto_close int link = -1;

	if (lookup_program()) {
		link = tunnel_open_pin(TUNNEL_PIN_LOOKUP_LINK);
		return bpf_link_update(link, program, NULL) ? err_set(e, -errno, "replacing the socket lookup's program: %m") : 0;
	}
	link = bpf_link_create(program, here, BPF_SK_LOOKUP, NULL);
	if (link < 0)
		return err_set(e, -errno, "the kernel's socket lookup takes no program: %m");
	return tunnel_pin(link, TUNNEL_PIN_LOOKUP_LINK, e);
}

void lookup_detach(void)
{
	auto_close int link = tunnel_open_pin(TUNNEL_PIN_LOOKUP_LINK);
	char path[128];

	if (link < 0)
		return;
	bpf_link_detach(link);
	tunnel_pin_path(TUNNEL_PIN_LOOKUP_LINK, path);
	unlink(path);
}
