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
	assert_true(copy->source4.set && !copy->source6.set);
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
	service->deadline_s++;
	assert_false(config_service_equal(config->services[0], service));
	service->deadline_s--;
	service->affinity = CONFIG_AFFINITY_NONE;
	assert_false(config_service_equal(config->services[0], service));
	service->affinity = CONFIG_AFFINITY_FLOW;
	service->vip_count--;
	assert_false(config_service_equal(config->services[0], service));
	service->vip_count++;
	service->name[0] = 'x';
	assert_false(config_service_equal(config->services[0], service));
	assert_false(config_service_equal(config->services[0], config->services[1]));
	config_free(config);
	config_free(other);
}

static void nothing_is_freed_without_harm(void **state)
{
	config_free(NULL);
	config_service_drop(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_copy_shares_its_services),	 cmocka_unit_test(a_copy_of_a_copy_outlives_both),
		cmocka_unit_test(a_weight_changes_one_service_only), cmocka_unit_test(services_are_equal_but_for_their_line),
		cmocka_unit_test(nothing_is_freed_without_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
