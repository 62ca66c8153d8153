/* Text to configuration: see config_parse.h. The options are in config_schema.c, what they mean together in
 * config_check.c. */
#include "core/config_parse.h"

#include <stdlib.h>
#include <string.h>

#include "core/config_schema.h"
#include "core/yaml_tree.h"

static struct config *blank(void)
{
	struct config *config = calloc(1, sizeof(*config));

	if (!config)
		abort();
	config->probes = (struct config_probes){CONFIG_PROBES_MARK, CONFIG_PROBES_MASK, CONFIG_PROBES_TABLE,
						CONFIG_PROBES_HOPS};
	config->announce = (struct config_announce){CONFIG_ANNOUNCE_TABLE, CONFIG_ANNOUNCE_WARMUP_S, CONFIG_ANNOUNCE_REFRESH_S,
						    false};
	config->api_socket = strdup(CONFIG_API_SOCKET);
	config->api_group = strdup(CONFIG_API_GROUP);
	if (!config->api_socket || !config->api_group)
		abort();
	return config;
}

struct config *config_parse(const char *text, size_t bytes, struct problems *problems)
{
	return config_parse_on(text, bytes, NULL, problems);
}

struct config *config_parse_on(const char *text, size_t bytes, const struct config_host *host, struct problems *problems)
{
	struct yaml_tree *tree = yaml_tree_read(text, bytes, problems);
	struct config_reader reader = {.problems = problems, .host = host, .seed = CONFIG_SEED_DEFAULT};

	if (!tree)
		return NULL;
	if (!yaml_tree_root(tree)) {
		problems_add(problems, PROBLEM_ERROR, 1, 1,
			     "the file is empty: it needs at least `interfaces: [eth0]` and `services: []`");
		yaml_tree_free(tree);
		return NULL;
	}
	reader.config = blank();
	config_read(&reader, yaml_tree_root(tree));
	config_check(&reader);
	free(reader.drafts);
	yaml_tree_free(tree);
	problems_sort(problems);
	if (!problems->errors)
		return reader.config;
	config_free(reader.config);
	return NULL;
}
