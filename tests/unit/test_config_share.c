/* Configurations as values: copies share their services, and the last one to let go frees them. Pure; the sanitized
 * build watches the memory. */
#include "unit/unit.h"

#include "core/config.h"
#include "core/config_parse.h"

static struct config *two_services(void)
{
	static const char text[] = "interfaces: [eth0, {name: eth1, announce: none}]\nservices:\n"
				   "- {name: a, vip: [10.2.0.1, 10.2.0.2], port: 80, backends: [10.3.0.1, 10.3.0.2]}\n"
				   "- {name: b, vip: 10.2.0.3, port: 80, backends: [10.3.0.1]}\n"
				   "api: {socket: /tmp/a, group: g}\ntunnel: {source4: 10.9.0.0/16}\n";
	struct problems problems = {0};
	struct config *config = config_parse(text, sizeof(text) - 1, &problems);

	assert_non_null(config);
	problems_free(&problems);
	return config;
}

static void a_copy_shares_its_services(void **state)
{
	struct config *config = two_services(), *copy = config_copy(config);

	assert_non_null(copy);
	assert_ptr_equal(copy->services[0], config->services[0]);
	assert_int_equal(copy->services[0]->references, 2);
	assert_ptr_not_equal(copy->interfaces[1].name, config->interfaces[1].name);
	assert_string_equal(copy->interfaces[1].name, "eth1");
	assert_false(copy->interfaces[1].announce);
	assert_string_equal(copy->api_socket, "/tmp/a");
	assert_true(copy->tunnel.source4.set && !copy->tunnel.source6.set);
	config_free(config);
	assert_int_equal(copy->services[0]->references, 1);
	assert_string_equal(copy->services[1]->name, "b");
	config_free(copy);
}

static void a_copy_of_a_copy_outlives_both(void **state)
{
	struct config *first = two_services(), *second = config_copy(first), *third = config_copy(second);

	config_free(second);
	config_free(first);
	assert_int_equal(third->services[1]->references, 1);
	assert_string_equal(third->services[0]->name, "a");
	config_free(third);
}

static void a_weight_changes_one_service_only(void **state)
{
	struct config *config = two_services(), *heavy = config_copy(config);

	assert_true(config_set_weight(heavy, 0, 1, 77));
	assert_int_equal(heavy->services[0]->backends[1].weight, 77);
	assert_int_equal(heavy->services[0]->backends[0].weight, 1);
	assert_int_equal(config->services[0]->backends[1].weight, 1);
	assert_ptr_not_equal(heavy->services[0], config->services[0]);
	assert_ptr_equal(heavy->services[1], config->services[1]);
	assert_int_equal(heavy->services[0]->references, 1);
	assert_int_equal(config->services[0]->references, 1);
	assert_int_equal(config->services[1]->references, 2);
	config_free(config);
	assert_int_equal(heavy->services[0]->vip_count, 2);
	config_free(heavy);
}

static void services_are_equal_but_for_their_line(void **state)
{
	struct config *config = two_services(), *other = config_copy(config);
	struct config_service *service;

	assert_true(config_set_weight(other, 0, 0, 1));
	service = other->services[0];
	service->line += 100;
	assert_true(config_service_equal(config->services[0], service));
	service->backends[0].weight = 2;
	assert_false(config_service_equal(config->services[0], service));
	service->backends[0].weight = 1;
	service->seed++;
	assert_false(config_service_equal(config->services[0], service));
	service->seed--;
	service->window_s++;
	assert_false(config_service_equal(config->services[0], service));
	service->window_s--;
	service->slow_start_s++;
	assert_false(config_service_equal(config->services[0], service));
	service->slow_start_s--;
	service->oversize++;
	assert_false(config_service_equal(config->services[0], service));
	service->oversize--;
	service->mss++;
	assert_false(config_service_equal(config->services[0], service));
	service->mss--;
	service->deadline_s++;
	assert_false(config_service_equal(config->services[0], service));
	service->deadline_s--;
	service->affinity = CONFIG_AFFINITY_NONE;
	assert_false(config_service_equal(config->services[0], service));
	service->affinity = CONFIG_AFFINITY_FLOW;
	service->min_up++;
	assert_false(config_service_equal(config->services[0], service));
	service->min_up--;
	service->min_up_is_percent = true;
	assert_false(config_service_equal(config->services[0], service));
	service->min_up_is_percent = false;
	service->when_all_down = CONFIG_ALL_DOWN_ALL;
	assert_false(config_service_equal(config->services[0], service));
	service->when_all_down = CONFIG_ALL_DOWN_DROP;
	service->on_down = CONFIG_ON_DOWN_RESET;
	assert_false(config_service_equal(config->services[0], service));
	service->on_down = CONFIG_ON_DOWN_DRAIN;
	service->backends[0].is_fallback = 1;
	assert_false(config_service_equal(config->services[0], service));
	service->backends[0].is_fallback = 0;
	service->vip_count--;
	assert_false(config_service_equal(config->services[0], service));
	service->vip_count++;
	service->ports[0].last++;
	assert_false(config_service_equal(config->services[0], service));
	service->ports[0].last--;
	service->port_count--;
	assert_false(config_service_equal(config->services[0], service));
	service->port_count++;
	service->name[0] = 'x';
	assert_false(config_service_equal(config->services[0], service));
	assert_false(config_service_equal(config->services[0], config->services[1]));
	config_free(config);
	config_free(other);
}

static const char healths[] =
	"interfaces: [eth0]\nservices:\n"
	"- {name: a, vip: 10.2.0.1, port: 80, health: {type: https, path: /a, host: b, port: 1, status: 200, expect: c, ca: /d, "
	"certificate: /e, key: /f, interval: 3s, doubt: 2s, timeout: 1s, rise: 4, fall: 5}, backends: [10.3.0.1]}\n"
	"- {name: b, vip: 10.2.0.1, port: 81, health: {type: udp, send: a, expect: b}, backends: [10.3.0.1]}\n"
	"- {name: c, vip: 10.2.0.1, port: 82, health: {type: dns, name: a, expect: 10.0.0.1}, backends: [10.3.0.1]}\n"
	"- {name: d, vip: 10.2.0.1, port: 83, health: {type: script, command: [/a, b]}, backends: [10.3.0.1]}\n";

static struct config *parse_healths(void)
{
	struct problems problems = {0};
	struct config *config = config_parse(healths, sizeof(healths) - 1, &problems);

	problems_free(&problems);
	assert_non_null(config);
	return config;
}

static void health_is_shared_by_copies(void **state)
{
	struct config *config = parse_healths(), *heavy = config_copy(config);

	assert_true(config_set_weight(heavy, 0, 0, 7));
	assert_ptr_equal(heavy->services[0]->health, config->services[0]->health);
	assert_int_equal(heavy->services[0]->health->references, 2);
	config_free(config);
	assert_int_equal(heavy->services[0]->health->references, 1);
	config_free(heavy);
}

/* Each text that is another one, and each number, makes another health. */
static void healths_are_equal_only_when_all_is(void **state)
{
	struct config *config = parse_healths(), *twin = parse_healths();

	for (size_t i = 0; i < config->service_count; i++) {
		struct config_health *a = config->services[i]->health, *b = twin->services[i]->health;
		char *const texts[] = {b->path, b->host, b->send, b->expect, b->name, b->ca, b->certificate, b->key,
				       b->command ? b->command[1] : NULL};
		uint32_t *const numbers[] = {&b->interval_ms, &b->doubt_ms, &b->timeout_ms, &b->rise, &b->fall};
		uint16_t *const shorts[] = {&b->port, &b->status[0].first, &b->status[0].last, &b->record};

		assert_true(config_health_equal(a, b));
		assert_true(config_service_equal(config->services[i], twin->services[i]));
		for (size_t t = 0; t < COUNT(texts); t++)
			if (texts[t]) {
				texts[t][0]++;
				assert_false(config_health_equal(a, b));
				texts[t][0]--;
			}
		for (size_t n = 0; n < COUNT(numbers); n++) {
			++*numbers[n];
			assert_false(config_health_equal(a, b));
			assert_false(config_service_equal(config->services[i], twin->services[i]));
			--*numbers[n];
		}
		for (size_t n = 0; n < COUNT(shorts); n++) {
			++*shorts[n];
			assert_false(config_health_equal(a, b));
			--*shorts[n];
		}
		b->verify = !b->verify;
		assert_false(config_health_equal(a, b));
		b->verify = !b->verify;
		b->via_backend = true;
		assert_false(config_health_equal(a, b));
		assert_false(config_health_equal(a, NULL));
	}
	assert_true(config_health_equal(NULL, NULL));
	assert_false(config_health_equal(config->services[0]->health, config->services[1]->health));
	config_free(config);
	config_free(twin);
}

static void nothing_is_freed_without_harm(void **state)
{
	config_free(NULL);
	config_service_drop(NULL);
	config_health_drop(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_copy_shares_its_services),	 cmocka_unit_test(a_copy_of_a_copy_outlives_both),
		cmocka_unit_test(a_weight_changes_one_service_only), cmocka_unit_test(services_are_equal_but_for_their_line),
		cmocka_unit_test(health_is_shared_by_copies), cmocka_unit_test(healths_are_equal_only_when_all_is),
		cmocka_unit_test(nothing_is_freed_without_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
