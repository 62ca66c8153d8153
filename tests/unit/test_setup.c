/* The backend's state file: what it must bring back, and what of a damaged one is refused. Writes files in a folder of
 * its own below /tmp. */
#include "unit/unit.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/setup.h"

static char folder[64], path[128];

static int make_folder(void **state)
{
	snprintf(folder, sizeof(folder), "/tmp/test_setup.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/a/b/state.json", folder);
	return 0;
}

static int remove_folder(void **state)
{
	char text[160];

	for (const char *name = "a/b/state.json\0a/b/state.json.new\0a/b\0a\0"; *name; name += strlen(name) + 1) {
		snprintf(text, sizeof(text), "%s/%s", folder, name);
		remove(text);
	}
	return rmdir(folder);
}

static void write_text(const char *text, size_t bytes)
{
	char at[128];
	FILE *file;

	snprintf(at, sizeof(at), "%s/a", folder);
	mkdir(at, 0755);
	snprintf(at, sizeof(at), "%s/a/b", folder);
	mkdir(at, 0755);
	file = fopen(path, "w");
	assert_non_null(file);
	fwrite(text, 1, bytes, file);
	fclose(file);
}

static struct setup *full_setup(void)
{
	struct setup *setup = calloc(1, sizeof(*setup));

	assert_non_null(setup);
	assert_true(ip_parse(&setup->vips[0].address, "10.2.0.1"));
	setup->vips[0].methods = SETUP_L2 | SETUP_IPIP | SETUP_GUE;
	setup->vips[0].is_ours = true;
	assert_true(ip_parse(&setup->vips[1].address, "2001:db8::1"));
	setup->vips[1].methods = SETUP_IPIP;
	setup->vip_count = 2;
	assert_true(prefix_parse(&setup->senders[0], "10.1.0.0/24"));
	assert_true(prefix_parse(&setup->senders[1], "0.0.0.0/0"));
	assert_true(prefix_parse(&setup->senders[2], "fd00::/8"));
	setup->sender_count = 3;
	setup->sysctls[0] = (struct setup_sysctl){"net/ipv4/conf/all/arp_ignore", "0", "1"};
	memset(setup->sysctls[1].path, 'p', sizeof(setup->sysctls[1].path) - 1);
	memcpy(setup->sysctls[1].path, "net/ipv6/", 9);
	memset(setup->sysctls[1].was, 'w', sizeof(setup->sysctls[1].was) - 1);
	setup->sysctl_count = 2;
	snprintf(setup->interface, sizeof(setup->interface), "abcdefghijklmno");
	snprintf(setup->boot, sizeof(setup->boot), "12345678-1234-1234-1234-123456789abc");
	setup->ifindex = UINT32_MAX;
	setup->mtu = 1400;
	setup->mss = 1200;
	setup->maps[0] = (struct setup_map){6, 65534, 65535};
	setup->maps[1] = (struct setup_map){0, 80, 8080};
	setup->map_count = 2;
	setup->is_clsact_ours = setup->is_lo_address_ours = setup->is_chance_off = true;
	return setup;
}

static void assert_same(const struct setup *a, const struct setup *b)
{
	assert_int_equal(a->vip_count, b->vip_count);
	for (size_t i = 0; i < a->vip_count; i++) {
		assert_true(ip_equal(&a->vips[i].address, &b->vips[i].address));
		assert_int_equal(a->vips[i].methods, b->vips[i].methods);
		assert_int_equal(a->vips[i].is_ours, b->vips[i].is_ours);
	}
	assert_int_equal(a->sender_count, b->sender_count);
	assert_memory_equal(a->senders, b->senders, a->sender_count * sizeof(*a->senders));
	assert_int_equal(a->sysctl_count, b->sysctl_count);
	for (size_t i = 0; i < a->sysctl_count; i++) {
		assert_string_equal(a->sysctls[i].path, b->sysctls[i].path);
		assert_string_equal(a->sysctls[i].was, b->sysctls[i].was);
		assert_string_equal(a->sysctls[i].set, b->sysctls[i].set);
	}
	assert_string_equal(a->interface, b->interface);
	assert_string_equal(a->boot, b->boot);
	assert_int_equal(a->ifindex, b->ifindex);
	assert_int_equal(a->mtu, b->mtu);
	assert_int_equal(a->mss, b->mss);
	assert_int_equal(a->map_count, b->map_count);
	for (size_t i = 0; i < a->map_count; i++) {
		assert_int_equal(a->maps[i].protocol, b->maps[i].protocol);
		assert_int_equal(a->maps[i].port, b->maps[i].port);
		assert_int_equal(a->maps[i].server, b->maps[i].server);
	}
	assert_int_equal(a->is_chance_off, b->is_chance_off);
	assert_int_equal(a->has_tunnel_parts, b->has_tunnel_parts);
	assert_int_equal(a->is_clsact_ours, b->is_clsact_ours);
	assert_int_equal(a->is_lo_ours, b->is_lo_ours);
	assert_int_equal(a->is_lo_address_ours, b->is_lo_address_ours);
}

static void what_is_saved_is_loaded(void **state)
{
	struct setup *saved = full_setup(), *loaded = malloc(sizeof(*loaded));
	struct err e;

	assert_int_equal(setup_save(saved, path, &e), 0);
	assert_int_equal(setup_load(loaded, path, &e), 0);
	assert_same(loaded, saved);
	assert_true(setup_has_tunnel(loaded));
	assert_ptr_equal(setup_find_vip(loaded, &saved->vips[1].address), &loaded->vips[1]);
	assert_null(setup_find_vip(loaded, &saved->senders[0].ip));
	free(saved);
	free(loaded);
}

static void the_fullest_setup_is_loaded(void **state)
{
	struct setup *saved = full_setup(), *loaded = malloc(sizeof(*loaded));
	struct err e;

	for (size_t i = 0; i < SETUP_LIST_MOST; i++) {
		uint8_t address[4] = {10, 2, 1, (uint8_t)i};

		saved->vips[i] = (struct setup_vip){ip_from4(address), SETUP_L2, i % 2};
		saved->senders[i] = (struct prefix){ip_from4(address), 32};
		saved->sysctls[i] = saved->sysctls[i % 2];
	}
	saved->vip_count = saved->sender_count = saved->sysctl_count = SETUP_LIST_MOST;
	assert_int_equal(setup_save(saved, path, &e), 0);
	assert_int_equal(setup_load(loaded, path, &e), 0);
	assert_same(loaded, saved);
	free(saved);
	free(loaded);
}

static void methods_are_told_by_their_names(void **state)
{
	char text[SETUP_METHODS_BYTES];

	assert_string_equal(setup_methods_format(0, text), "");
	assert_string_equal(setup_methods_format(SETUP_GUE, text), "gue");
	assert_string_equal(setup_methods_format(SETUP_L2 | SETUP_IPIP, text), "l2 and ipip");
	assert_string_equal(setup_methods_format(SETUP_L2 | SETUP_TUNNELS, text), "l2 and ipip and gue and gre");
}

/* A second chance is for gue, until it is switched off. */
static void second_chances_are_taken_for_gue_alone(void **state)
{
	struct setup *setup = full_setup();

	assert_false(setup_passes_on(setup));
	setup->is_chance_off = false;
	assert_true(setup_passes_on(setup));
	setup->vips[0].methods = SETUP_L2;
	assert_false(setup_passes_on(setup));
	assert_true(setup_has_tunnel(setup));
	setup->vips[1].methods = SETUP_GUE;
	assert_true(setup_passes_on(setup));
	free(setup);
}

static void no_file_is_an_empty_setup_and_the_other_way_round(void **state)
{
	struct setup *setup = full_setup(), *nothing = calloc(1, sizeof(*nothing));
	struct err e;

	assert_int_equal(setup_save(setup, path, &e), 0);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(setup_save(nothing, path, &e), 0);
	assert_int_equal(access(path, F_OK), -1);
	memset(setup, 0xff, sizeof(*setup));
	assert_int_equal(setup_load(setup, path, &e), 0);
	assert_memory_equal(setup, nothing, sizeof(*setup));
	assert_false(setup_has_tunnel(setup));
	free(setup);
	free(nothing);
}

#define FLAGS                                                                                                      \
	"\"has_tunnel_parts\": true, \"is_clsact_ours\": false, \"is_lo_ours\": false, \"is_lo_address_ours\": false, " \
	"\"ifindex\": 3, \"mtu\": 0, \"boot\": \"a\", "
#define FILE_OF(vips, senders, sysctls, interface)                                                         \
	"{" FLAGS "\"vips\": [" vips "], \"senders\": [" senders "], \"sysctls\": [" sysctls "], \"interface\": \"" \
	interface "\"}"
#define VIP(t)	  TEXT(FILE_OF(t, "", "", "eth0"))
#define SENDER(t) TEXT(FILE_OF("", t, "", "eth0"))
#define SYSCTL(path, was) \
	TEXT(FILE_OF("", "", "{\"path\": \"" path "\", \"was\": \"" was "\", \"set\": \"1\"}", "eth0"))
#define TEXT(t)	  .text = (t), .bytes = sizeof(t) - 1

static const struct {
	const char *what, *text;
	size_t bytes;
	const char *piece; /* of the error; NULL: it is fine */
} damage_rows[] = {
	{"a file as it should be", VIP("{\"address\": \"10.2.0.1\", \"methods\": 7, \"is_ours\": true}"), NULL},
	{"a setting as it should be", SYSCTL("net/ipv4/conf/all/arp_ignore", "0"), NULL},
	{"what a later version adds is left alone", TEXT(FILE_OF("", "", "", "eth0\", \"later\": \"1")), NULL},
	{"a switch that is none", TEXT(FILE_OF("", "", "", "eth0\", \"is_chance_off\": \"yes")), "\"is_chance_off\" is not"},
	{"ports as they should be",
	 TEXT(FILE_OF("", "", "", "eth0\", \"mss\": 1400, \"maps\": [\"tcp/80:8080\"], \"x\": \"")), NULL},
	{"ports that are none", TEXT(FILE_OF("", "", "", "eth0\", \"maps\": [\"80\"], \"x\": \"")), "\"maps\" is not"},
	{"ports in no list", TEXT(FILE_OF("", "", "", "eth0\", \"maps\": \"80:81")), "\"maps\" is not"},
	{"an MSS that is none", TEXT(FILE_OF("", "", "", "eth0\", \"mss\": \"1400")), "\"mss\" is not"},
	{"an empty file", TEXT(""), "it tells what to restore; mend it, or remove it to forget"},
	{"a file cut short", TEXT("{\"vips\": [{\"addr"), "on line 1"},
	{"no JSON", TEXT("hello\n"), "on line 1"},
	{"a list", TEXT("[]"), "\"vips\" is not what `up` wrote"},
	{"an object without lists", TEXT("{}"), "\"vips\" is not what `up` wrote"},
	{"an object without the rest", TEXT("{\"vips\": [], \"senders\": [], \"sysctls\": []}"), "\"has_tunnel_parts\" is not"},
	{"garbage behind the object", TEXT(FILE_OF("", "", "", "eth0") "x"), "on line 1"},
	{"a zero byte", TEXT("{\"vips\": \0"), "on line 1"},
	{"broken UTF-8", TEXT(FILE_OF("", "", "", "\xff")), "on line 1"},
	{"a VIP that is no object", VIP("1"), "\"vips\" is not"},
	{"a VIP without an address", VIP("{\"methods\": 1, \"is_ours\": true}"), "\"vips\" is not"},
	{"a VIP with a bad address", VIP("{\"address\": \"10.2.0\", \"methods\": 1, \"is_ours\": true}"), "\"vips\" is not"},
	{"a VIP without methods", VIP("{\"address\": \"10.2.0.1\", \"is_ours\": true}"), "\"vips\" is not"},
	{"a VIP with methods unknown", VIP("{\"address\": \"10.2.0.1\", \"methods\": 16, \"is_ours\": true}"),
	 "\"vips\" is not"},
	{"a VIP with negative methods", VIP("{\"address\": \"10.2.0.1\", \"methods\": -1, \"is_ours\": true}"),
	 "\"vips\" is not"},
	{"a VIP of nobody", VIP("{\"address\": \"10.2.0.1\", \"methods\": 1}"), "\"vips\" is not"},
	{"the second VIP bad", VIP("{\"address\": \"10.2.0.1\", \"methods\": 1, \"is_ours\": true}, null"), "\"vips\" is not"},
	{"a sender with host bits", SENDER("\"10.1.0.1/8\""), "\"senders\" is not"},
	{"a sender that is a number", SENDER("10"), "\"senders\" is not"},
	{"a setting without its former value", TEXT(FILE_OF("", "", "{\"path\": \"net/ipv4/a\", \"set\": \"1\"}", "")),
	 "\"sysctls\" is not"},
	{"a setting outside of its folder", SYSCTL("net/ipv4/../../../etc/a", "0"), "\"sysctls\" is not"},
	{"a setting of another kind", SYSCTL("kernel/core_pattern", "0"), "\"sysctls\" is not"},
	{"a former value longer than any", SYSCTL("net/ipv4/a", "012345678901234567890123456789012"), "\"sysctls\" is not"},
	{"an interface's name longer than any", TEXT(FILE_OF("", "", "", "abcdefghijklmnop")), "\"interface\" is not"},
};

static void a_damaged_file_is_refused_whole(void **state)
{
	struct setup *setup = malloc(sizeof(*setup)), *nothing = calloc(1, sizeof(*nothing));

	for (size_t i = 0; i < COUNT(damage_rows); i++) {
		struct err e = {""};
		int code;

		write_text(damage_rows[i].text, damage_rows[i].bytes);
		code = setup_load(setup, path, &e);
		if (code != (damage_rows[i].piece ? -EINVAL : 0))
			fail_msg("%s: %d %s", damage_rows[i].what, code, e.text);
		if (!damage_rows[i].piece)
			continue;
		assert_holds(damage_rows[i].what, e.text, damage_rows[i].piece);
		assert_holds(damage_rows[i].what, e.text, path);
		assert_memory_equal(setup, nothing, sizeof(*setup));
	}
	free(setup);
	free(nothing);
}

static void too_long_a_list_is_refused(void **state)
{
	struct setup *setup = malloc(sizeof(*setup));
	char *text = NULL;
	struct err e;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	fprintf(out, "{" FLAGS "\"vips\": [], \"sysctls\": [], \"interface\": \"\", \"senders\": [\"10.0.0.0/8\"");
	for (int i = 0; i < SETUP_LIST_MOST; i++)
		fprintf(out, ", \"10.0.0.0/8\"");
	fprintf(out, "]}");
	fclose(out);
	write_text(text, bytes);
	assert_int_equal(setup_load(setup, path, &e), -EINVAL);
	assert_holds("257 senders", e.text, "\"senders\" is not what");
	free(text);
	free(setup);
}

static void a_setup_that_cannot_be_written_is_an_error(void **state)
{
	struct setup *setup = full_setup();
	char beyond[400];
	struct err e;

	setup->interface[0] = (char)0xff;
	errno = 0;
	assert_int_equal(setup_save(setup, path, &e), -EINVAL);
	assert_int_equal(access(path, F_OK), -1);
	setup->interface[0] = 'e';
	memset(beyond, 'x', sizeof(beyond));
	beyond[0] = '/';
	beyond[sizeof(beyond) - 1] = '\0';
	assert_int_equal(setup_save(setup, beyond, &e), -ENAMETOOLONG);
	assert_true(setup_save(setup, "/proc/none/state.json", &e) < 0);
	assert_holds("a folder that cannot be", e.text, "/proc/none");
	free(setup);
}

/* A folder stands where the new file would be written: the old file stays. */
static void a_failed_save_leaves_the_old_file(void **state)
{
	struct setup *setup = full_setup(), *loaded = malloc(sizeof(*loaded));
	char beside[160];
	struct err e;

	assert_int_equal(setup_save(setup, path, &e), 0);
	snprintf(beside, sizeof(beside), "%s.new", path);
	assert_int_equal(mkdir(beside, 0755), 0);
	setup->vip_count = 1;
	assert_true(setup_save(setup, path, &e) < 0);
	assert_int_equal(setup_load(loaded, path, &e), 0);
	assert_int_equal(loaded->vip_count, 2);
	assert_int_equal(rmdir(beside), 0);
	assert_int_equal(setup_save(setup, path, &e), 0);
	assert_int_equal(setup_load(loaded, path, &e), 0);
	assert_int_equal(loaded->vip_count, 1);
	free(setup);
	free(loaded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_saved_is_loaded, make_folder, remove_folder),
		cmocka_unit_test(methods_are_told_by_their_names),
		cmocka_unit_test(second_chances_are_taken_for_gue_alone),
		cmocka_unit_test_setup_teardown(the_fullest_setup_is_loaded, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(no_file_is_an_empty_setup_and_the_other_way_round, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_damaged_file_is_refused_whole, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(too_long_a_list_is_refused, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_setup_that_cannot_be_written_is_an_error, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_failed_save_leaves_the_old_file, make_folder, remove_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
