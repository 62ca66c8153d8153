/* Any bytes as a backend's state file: refused, or loaded, saved again and loaded as the same.
 *
 * Links: src/backend/setup.c src/backend/portmap.c */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/setup.h"

#define SAVED "build/fuzz/fuzz_setup/saved.json" /* beside what the fuzzer itself writes */

static void need(int fine)
{
	if (!fine)
		abort();
}

static void check_again(const struct setup *setup)
{
	struct setup *again = malloc(sizeof(*again));
	struct err e;

	need(!setup_save(setup, SAVED, &e) && !setup_load(again, SAVED, &e));
	if (access(SAVED, F_OK) == 0) {
		need(again->vip_count == setup->vip_count && again->sender_count == setup->sender_count &&
		     again->sysctl_count == setup->sysctl_count && !strcmp(again->interface, setup->interface));
		for (size_t i = 0; i < setup->vip_count; i++)
			need(ip_equal(&again->vips[i].address, &setup->vips[i].address));
		need(!memcmp(again->senders, setup->senders, setup->sender_count * sizeof(*setup->senders)));
	}
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct setup *setup = malloc(sizeof(*setup));
	int fd = memfd_create("state", MFD_CLOEXEC);
	char path[32];
	struct err e = {""};

	need(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!setup_load(setup, path, &e))
		check_again(setup);
	else
		need(e.text[0] && !setup->vip_count);
	close(fd);
	free(setup);
	return 0;
}
