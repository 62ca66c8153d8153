/* The setup and its file: see setup.h. */
#include "backend/setup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/portmap.h"

const struct setup_vip *setup_find_vip(const struct setup *setup, const struct ip *address)
{
	for (size_t i = 0; i < setup->vip_count; i++)
		if (ip_equal(&setup->vips[i].address, address))
			return &setup->vips[i];
	return NULL;
}

bool setup_has_method(const struct setup *setup, uint32_t methods)
{
	for (size_t i = 0; i < setup->vip_count; i++)
		if (setup->vips[i].methods & methods)
			return true;
	return false;
}

bool setup_has_tunnel(const struct setup *setup)
{
	return setup_has_method(setup, SETUP_TUNNELS);
}

bool setup_passes_on(const struct setup *setup)
{
	return setup_has_method(setup, SETUP_GUE) && !setup->is_chance_off;
}

bool setup_bounds_mss(const struct setup *setup)
{
	return setup_has_tunnel(setup) || setup->mss;
}

bool setup_has_programs(const struct setup *setup)
{
	return setup_bounds_mss(setup) || setup->map_count;
}

bool setup_has_family(const struct setup *setup, int family)
{
	for (size_t i = 0; i < setup->vip_count; i++)
		if (ip_is4(&setup->vips[i].address) == (family == 4))
			return true;
	return false;
}

const char *setup_method_name(size_t i)
{
	static const char *const names[SETUP_METHODS] = {"l2", "ipip", "gue", "gre"};

	return names[i];
}

const char *setup_tunnel_name(const struct setup_vip *vip)
{
	return vip->methods & SETUP_GRE ? "gre" : vip->methods & SETUP_GUE ? "gue" : "ipip";
}

const char *setup_methods_format(uint32_t methods, char text[static SETUP_METHODS_BYTES])
{
	text[0] = '\0';
	for (size_t i = 0; i < SETUP_METHODS; i++)
		if (methods & 1u << i)
			snprintf(text + strlen(text), SETUP_METHODS_BYTES - strlen(text), "%s%s", *text ? " and " : "",
				 setup_method_name(i));
	return text;
}

bool setup_is_empty(const struct setup *setup)
{
	return !setup->vip_count && !setup->sysctl_count && !setup->interface[0] && !setup->has_tunnel_parts &&
	       !setup->is_lo_ours;
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

/* A text that is there and fits. */
static bool copy(char *to, size_t room, const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));

	return text && strlen(text) < room && snprintf(to, room, "%s", text) >= 0;
}

static bool read_vip(struct setup_vip *vip, const json_t *row)
{
	const json_t *methods = json_object_get(row, "methods"), *is_ours = json_object_get(row, "is_ours");
	char text[IP_TEXT_BYTES];

	if (!copy(text, sizeof(text), row, "address") || !ip_parse(&vip->address, text))
		return false;
	vip->methods = (uint32_t)json_integer_value(methods);
	vip->is_ours = json_is_true(is_ours);
	return json_is_boolean(is_ours) && vip->methods && !(vip->methods & ~(SETUP_L2 | SETUP_TUNNELS));
}

/* Only what `up` changes is ever written back. */
static bool read_sysctl(struct setup_sysctl *sysctl, const json_t *row)
{
	return copy(sysctl->path, sizeof(sysctl->path), row, "path") && copy(sysctl->was, sizeof(sysctl->was), row, "was") &&
	       copy(sysctl->set, sizeof(sysctl->set), row, "set") && !strncmp(sysctl->path, "net/ipv", strlen("net/ipv")) &&
	       !strstr(sysctl->path, "..");
}

/* A version that mapped no ports wrote none. */
static bool read_maps(struct setup *setup, const json_t *root)
{
	const json_t *maps = json_object_get(root, "maps"), *row;
	size_t i;

	if (!maps)
		return true;
	if (!json_is_array(maps) || json_array_size(maps) > SETUP_MAPS_MOST)
		return false;
	json_array_foreach(maps, i, row)
		if (!json_is_string(row) || !portmap_parse(&setup->maps[setup->map_count++], json_string_value(row)))
			return false;
	return true;
}

/* NULL, or what is wrong. */
static const char *read_lists(struct setup *setup, const json_t *root)
{
	const json_t *vips = json_object_get(root, "vips"), *senders = json_object_get(root, "senders");
	const json_t *sysctls = json_object_get(root, "sysctls"), *row;
	size_t i;

	if (!json_is_array(vips) || json_array_size(vips) > SETUP_LIST_MOST)
		return "vips";
	if (!json_is_array(senders) || json_array_size(senders) > SETUP_LIST_MOST)
		return "senders";
	if (!json_is_array(sysctls) || json_array_size(sysctls) > SETUP_LIST_MOST)
		return "sysctls";
	json_array_foreach(vips, i, row)
		if (!read_vip(&setup->vips[setup->vip_count++], row))
			return "vips";
	json_array_foreach(senders, i, row)
		if (!json_is_string(row) || !prefix_parse(&setup->senders[setup->sender_count++], json_string_value(row)))
			return "senders";
	json_array_foreach(sysctls, i, row)
		if (!read_sysctl(&setup->sysctls[setup->sysctl_count++], row))
			return "sysctls";
	return read_maps(setup, root) ? NULL : "maps";
}

static const char *read_rest(struct setup *setup, const json_t *root)
{
	static const char *const flags[] = {"is_chance_off", "has_tunnel_parts", "is_clsact_ours", "is_lo_ours",
					    "is_lo_address_ours"};
	bool *const into[] = {&setup->is_chance_off, &setup->has_tunnel_parts, &setup->is_clsact_ours, &setup->is_lo_ours,
			      &setup->is_lo_address_ours};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (!i && !json_object_get(root, flags[i]))
			continue; /* written by a version that knew no second chance */
		if (!json_is_boolean(json_object_get(root, flags[i])))
			return flags[i];
		*into[i] = json_is_true(json_object_get(root, flags[i]));
	}
	if (json_is_integer(json_object_get(root, "gre_key"))) { /* else none, as in what older versions wrote */
		setup->has_gre_key = true;
		setup->gre_key = (uint32_t)json_integer_value(json_object_get(root, "gre_key"));
	}
	if (!json_is_integer(json_object_get(root, "ifindex")))
		return "ifindex";
	if (!json_is_integer(json_object_get(root, "mtu")))
		return "mtu";
	if (json_object_get(root, "mss") && !json_is_integer(json_object_get(root, "mss")))
		return "mss";
	setup->mss = (uint32_t)json_integer_value(json_object_get(root, "mss"));
	setup->ifindex = (uint32_t)json_integer_value(json_object_get(root, "ifindex"));
	setup->mtu = (uint32_t)json_integer_value(json_object_get(root, "mtu"));
	if (!copy(setup->interface, sizeof(setup->interface), root, "interface"))
		return "interface";
	return copy(setup->boot, sizeof(setup->boot), root, "boot") ? NULL : "boot";
}

int setup_load(struct setup *setup, const char *path, struct err *e)
{
	const char *wrong;
	json_error_t where;
	json_t *root;

	memset(setup, 0, sizeof(*setup));
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	root = json_load_file(path, 0, &where);
	if (!root)
		return err_set(e, -EINVAL, "state file %s: %s on line %d: it tells what to restore; mend it, or remove it to "
					   "forget", path, where.text, where.line);
	wrong = read_lists(setup, root);
	if (!wrong)
		wrong = read_rest(setup, root);
	json_decref(root);
	if (!wrong)
		return 0;
	memset(setup, 0, sizeof(*setup));
	return err_set(e, -EINVAL, "state file %s: \"%s\" is not what `up` wrote: it tells what to restore; mend it, or remove "
				   "it to forget", path, wrong);
}

/* ---- writing ---------------------------------------------------------------------------------------------------------- */

static json_t *lists(const struct setup *setup)
{
	json_t *vips = json_array(), *senders = json_array(), *sysctls = json_array(), *maps = json_array();
	char text[PREFIX_TEXT_BYTES], map[PORTMAP_TEXT_BYTES];

	for (size_t i = 0; i < setup->vip_count; i++)
		json_array_append_new(vips, json_pack("{s:s, s:i, s:b}", "address",
						      ip_format(&setup->vips[i].address, text), "methods",
						      (int)setup->vips[i].methods, "is_ours", setup->vips[i].is_ours));
	for (size_t i = 0; i < setup->sender_count; i++)
		json_array_append_new(senders, json_string(prefix_format(&setup->senders[i], text)));
	for (size_t i = 0; i < setup->sysctl_count; i++)
		json_array_append_new(sysctls, json_pack("{s:s, s:s, s:s}", "path", setup->sysctls[i].path, "was",
							 setup->sysctls[i].was, "set", setup->sysctls[i].set));
	for (size_t i = 0; i < setup->map_count; i++)
		json_array_append_new(maps, json_string(portmap_format(&setup->maps[i], map)));
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:s, s:I, s:I, s:I, s:o*, s:b, s:b, s:b, s:b, s:b}", "boot", setup->boot,
			 "vips", vips, "senders", senders, "sysctls", sysctls, "maps", maps, "interface", setup->interface,
			 "ifindex", (json_int_t)setup->ifindex, "mtu", (json_int_t)setup->mtu, "mss", (json_int_t)setup->mss,
			 "gre_key", setup->has_gre_key ? json_integer(setup->gre_key) : NULL, "is_chance_off",
			 setup->is_chance_off, "has_tunnel_parts", setup->has_tunnel_parts, "is_clsact_ours",
			 setup->is_clsact_ours, "is_lo_ours", setup->is_lo_ours, "is_lo_address_ours",
			 setup->is_lo_address_ours);
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

/* The folders as well, and what a killed save left beside. */
static void remove_file(const char *path, const char *beside)
{
	char folder[256];
	char *slash;

	unlink(path);
	unlink(beside);
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

	snprintf(beside, sizeof(beside), "%s.new", path);
	if (setup_is_empty(setup)) {
		remove_file(path, beside);
		return 0;
	}
	code = make_folders(path, e);
	if (code)
		return code;
	root = lists(setup);
	if (!root)
		return err_set(e, -EINVAL, "state file %s: a name or a setting is not UTF-8", path);
	if (json_dump_file(root, beside, JSON_INDENT(1)) < 0 || rename(beside, path) < 0)
		code = errno ? -errno : -EIO;
	json_decref(root);
	return code ? err_set(e, code, "state file %s: %m", path) : 0;
}
