/* Any bytes as a configuration: parsed or refused with places and words, and what is parsed is a sound value. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/config_diff.h"
#include "core/config_parse.h"

static void need(int fine)
{
	if (!fine)
		abort();
}

/* A configuration differs from itself and from its copy in nothing. */
static void check_config(const struct config *config)
{
	struct config_changes changes = {0};
	struct config *copy = config_copy(config);

	need(copy != NULL);
	need(!config_diff(config, config, &changes) && !changes.count);
	need(!config_diff(config, copy, &changes) && !changes.count);
	need(!config_diff(NULL, copy, &changes));
	config_changes_free(&changes);
	for (size_t i = 0; i < config->service_count; i++) {
		const struct config_service *service = config->services[i];

		need(service->name && service->name[0] && service->vip_count && service->backend_count && service->slots);
		need(config_set_weight(copy, i, service->backend_count - 1, 65535));
		need(copy->services[i] != service);
	}
	config_free(copy);
}

static void check_problems(const struct problems *problems, const char *text, size_t bytes)
{
	auto_free char *printed = NULL;
	size_t count;
	FILE *out = open_memstream(&printed, &count);

	for (size_t i = 0; i < problems->count; i++) {
		const struct problem *row = &problems->list[i];

		need(row->line && row->column && row->text[0]);
		need(!i || row[-1].line < row->line || (row[-1].line == row->line && row[-1].column <= row->column));
	}
	problems_print(out, "file", text, bytes, problems);
	fclose(out);
	for (size_t i = 0; i < count; i++)
		need((unsigned char)printed[i] >= ' ' || printed[i] == '\n' || printed[i] == '\t');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct problems problems = {0};
	struct config *config = config_parse((const char *)data, size, &problems);

	need(!config == (problems.errors > 0));
	check_problems(&problems, (const char *)data, size);
	if (config)
		check_config(config);
	config_free(config);
	problems_free(&problems);
	return 0;
}
