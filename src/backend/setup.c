/* The setup and its file: see setup.h. */
#include "backend/setup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct setup_vip *setup_find_vip(struct setup *setup, const struct ip *address)
{
	for (size_t i = 0; i < setup->vip_count; i++)
		if (ip_equal(&setup->vips[i].address, address))
			return &setup->vips[i];
	return NULL;
}

bool setup_has_tunnel(const struct setup *setup)
{
	for (size_t i = 0; i < setup->vip_count; i++)
		if (setup->vips[i].methods & SETUP_IPIP)
			return true;
	return false;
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

static void copy(char *to, size_t room, const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));

	snprintf(to, room, "%s", text ? text : "");
}

static void read_lists(struct setup *setup, const json_t *root)
{
	const json_t *row;
	size_t i;

	json_array_foreach(json_object_get(root, "vips"), i, row) {
		const char *text = json_string_value(json_object_get(row, "address"));
		struct setup_vip *vip = &setup->vips[setup->vip_count];

		if (setup->vip_count == SETUP_LIST_MOST || !text || !ip_parse(&vip->address, text))
			continue;
		vip->methods = (uint32_t)json_integer_value(json_object_get(row, "methods"));
		vip->is_ours = json_is_true(json_object_get(row, "is_ours"));
		setup->vip_count++;
	}
	json_array_foreach(json_object_get(root, "senders"), i, row)
		if (setup->sender_count < SETUP_LIST_MOST && json_is_string(row) &&
		    prefix_parse(&setup->senders[setup->sender_count], json_string_value(row)))
			setup->sender_count++;
	json_array_foreach(json_object_get(root, "sysctls"), i, row) {
		struct setup_sysctl *sysctl = &setup->sysctls[setup->sysctl_count];

		if (setup->sysctl_count == SETUP_LIST_MOST)
			break;
		copy(sysctl->path, sizeof(sysctl->path), row, "path");
		copy(sysctl->was, sizeof(sysctl->was), row, "was");
		copy(sysctl->set, sizeof(sysctl->set), row, "set");
		setup->sysctl_count++;
	}
}

int setup_load(struct setup *setup, const char *path, struct err *e)
{
	json_error_t where;
	json_t *root;

	memset(setup, 0, sizeof(*setup));
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	root = json_load_file(path, 0, &where);
	if (!root)
		return err_set(e, -EINVAL, "state file %s: %s on line %d: it tells what to restore; mend it, or remove it to "
					   "forget", path, where.text, where.line);
	read_lists(setup, root);
	copy(setup->interface, sizeof(setup->interface), root, "interface");
	setup->is_clsact_ours = json_is_true(json_object_get(root, "is_clsact_ours"));
	setup->is_lo_ours = json_is_true(json_object_get(root, "is_lo_ours"));
	json_decref(root);
	return 0;
}

/* ---- writing ---------------------------------------------------------------------------------------------------------- */

static json_t *lists(const struct setup *setup)
{
	json_t *vips = json_array(), *senders = json_array(), *sysctls = json_array();
	char text[PREFIX_TEXT_BYTES];

	for (size_t i = 0; i < setup->vip_count; i++)
		json_array_append_new(vips, json_pack("{s:s, s:i, s:b}", "address",
						      ip_format(&setup->vips[i].address, text), "methods",
						      (int)setup->vips[i].methods, "is_ours", setup->vips[i].is_ours));
	for (size_t i = 0; i < setup->sender_count; i++)
		json_array_append_new(senders, json_string(prefix_format(&setup->senders[i], text)));
	for (size_t i = 0; i < setup->sysctl_count; i++)
		json_array_append_new(sysctls, json_pack("{s:s, s:s, s:s}", "path", setup->sysctls[i].path, "was",
							 setup->sysctls[i].was, "set", setup->sysctls[i].set));
	return json_pack("{s:o, s:o, s:o, s:s, s:b, s:b}", "vips", vips, "senders", senders, "sysctls", sysctls, "interface",
			 setup->interface, "is_clsact_ours", setup->is_clsact_ours, "is_lo_ours", setup->is_lo_ours);
}

static int make_folders(const char *path, struct err *e)
{
	char folder[256];

	snprintf(folder, sizeof(folder), "%s", path);
	for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(folder, 0755) < 0 && errno != EEXIST)
			return err_set(e, -errno, "folder %s: %m", folder);
		*slash = '/';
	}
	return 0;
}

static void remove_file(const char *path)
{
	char folder[256];
	char *slash;

	unlink(path);
	snprintf(folder, sizeof(folder), "%s", path);
	for (int i = 0; i < 2 && (slash = strrchr(folder, '/')); i++) {
		*slash = '\0';
		if (rmdir(folder) < 0)
			return;
	}
}

int setup_save(const struct setup *setup, const char *path, struct err *e)
{
	char beside[264];
	json_t *root;
	int code;

	if (!setup->vip_count && !setup->sysctl_count && !setup->interface[0]) {
		remove_file(path);
		return 0;
	}
	code = make_folders(path, e);
	if (code)
		return code;
	root = lists(setup);
	snprintf(beside, sizeof(beside), "%s.new", path);
	code = json_dump_file(root, beside, JSON_INDENT(1));
	json_decref(root);
	if (code < 0 || rename(beside, path) < 0)
		return err_set(e, -errno, "state file %s: %m", path);
	return 0;
}
