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

/* A string that fits. */
static bool copy(char *to, size_t room, const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));

	return text && (size_t)snprintf(to, room, "%s", text) < room;
}

static bool read_vip(struct setup *setup, const json_t *row)
{
	const char *text = json_string_value(json_object_get(row, "address"));
	json_int_t methods = json_integer_value(json_object_get(row, "methods"));
	struct setup_vip vip = {.is_ours = json_is_true(json_object_get(row, "is_ours"))};

	if (!text || !ip_parse(&vip.address, text) || methods < 1 || methods > (SETUP_L2 | SETUP_IPIP))
		return false;
	vip.methods = (uint32_t)methods;
	setup->vips[setup->vip_count++] = vip;
	return true;
}

static bool read_sender(struct setup *setup, const json_t *row)
{
	const char *text = json_string_value(row);

	if (!text || !prefix_parse(&setup->senders[setup->sender_count], text))
		return false;
	setup->sender_count++;
	return true;
}

/* The path is written to as root: it must stay below /proc/sys. */
static bool read_sysctl(struct setup *setup, const json_t *row)
{
	struct setup_sysctl sysctl = {0};

	if (!copy(sysctl.path, sizeof(sysctl.path), row, "path") || !copy(sysctl.was, sizeof(sysctl.was), row, "was") ||
	    !copy(sysctl.set, sizeof(sysctl.set), row, "set") || strstr(sysctl.path, ".."))
		return false;
	setup->sysctls[setup->sysctl_count++] = sysctl;
	return true;
}

static int read_list(struct setup *setup, const json_t *root, const char *key,
		     bool (*read_row)(struct setup *setup, const json_t *row), struct err *e)
{
	const json_t *list = json_object_get(root, key), *row;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > SETUP_LIST_MOST)
		return err_set(e, -EINVAL, "%s must be a list of at most %d", key, SETUP_LIST_MOST);
	json_array_foreach(list, i, row)
		if (!read_row(setup, row))
			return err_set(e, -EINVAL, "number %zu of %s is not what halfproxy-backend writes", i + 1, key);
	return 0;
}

static int read_root(struct setup *setup, const json_t *root, struct err *e)
{
	int code = read_list(setup, root, "vips", read_vip, e);

	if (!code)
		code = read_list(setup, root, "senders", read_sender, e);
	if (!code)
		code = read_list(setup, root, "sysctls", read_sysctl, e);
	if (!code && !copy(setup->interface, sizeof(setup->interface), root, "interface"))
		code = err_set(e, -EINVAL, "interface must be a name of at most %zu bytes", sizeof(setup->interface) - 1);
	setup->is_clsact_ours = json_is_true(json_object_get(root, "is_clsact_ours"));
	setup->is_lo_ours = json_is_true(json_object_get(root, "is_lo_ours"));
	return code;
}

int setup_load(struct setup *setup, const char *path, struct err *e)
{
	static const char *const advice = "it tells what to restore; mend it, or remove it to forget";
	json_error_t where;
	struct err why;
	json_t *root;
	int code;

	memset(setup, 0, sizeof(*setup));
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	root = json_load_file(path, 0, &where);
	if (!root)
		return err_set(e, -EINVAL, "state file %s: %s on line %d: %s", path, where.text, where.line, advice);
	code = read_root(setup, root, &why);
	json_decref(root);
	if (!code)
		return 0;
	memset(setup, 0, sizeof(*setup));
	return err_set(e, code, "state file %s: %s: %s", path, why.text, advice);
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

	if ((size_t)snprintf(folder, sizeof(folder), "%s", path) >= sizeof(folder))
		return err_set(e, -ENAMETOOLONG, "state file %s: %m", path);
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
	if (!root)
		return err_set(e, -EINVAL, "state file %s: a name or a setting is not UTF-8", path);
	if ((size_t)snprintf(beside, sizeof(beside), "%s.new", path) >= sizeof(beside))
		code = -ENAMETOOLONG;
	else if (json_dump_file(root, beside, JSON_INDENT(1)) < 0 || rename(beside, path) < 0)
		code = errno ? -errno : -EIO;
	json_decref(root);
	return code ? err_set(e, code, "state file %s: %m", path) : 0;
}
