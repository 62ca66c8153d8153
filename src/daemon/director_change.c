/* The walk of a change: parse, validate, plan, program, confirm: see director.h. */
#include "daemon/director_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/file_look.h"
#include "base/log.h"
#include "base/nearest.h"

#define REVERT_AGAIN_MS 5000
#define LOCAL_NAMED_MOST 20

void director_result_free(struct director_result *result)
{
	problems_free(&result->problems);
	config_changes_free(&result->changes);
	state_text_free(&result->text);
}

ptrdiff_t director_find_service(const struct director *director, const char *name)
{
	return config_find_service(director->running, name);
}

int director_no_service(const struct director *director, const char *name, struct err *e)
{
	const struct config *config = director->running;
	const char **names = calloc(config->service_count + 1, sizeof(const char *));
	const char *near = NULL;

	for (size_t i = 0; names && i < config->service_count; i++)
		names[i] = config->services[i]->name;
	if (names)
		near = nearest_word(name, names);
	free(names);
	if (near)
		return err_set(e, -ENOENT, "there is no service \"%s\": did you mean \"%s\"?", name, near);
	return err_set(e, -ENOENT, "there is no service \"%s\": `halfproxy status` lists them", name);
}

/* ---- plan ------------------------------------------------------------------------------------------------------- */

struct named {
	struct config_service *service;
	UT_hash_handle hh;
};

/* Let a new configuration share the services that it says the same of, so that the fleet sees what changed. */
static int share_equal(struct config *config, const struct config *former)
{
	struct named *rows, *index = NULL, *found;

	if (!former || !former->service_count)
		return 0;
	rows = calloc(former->service_count, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < former->service_count; i++) {
		rows[i].service = former->services[i];
		HASH_ADD_KEYPTR(hh, index, rows[i].service->name, strlen(rows[i].service->name), &rows[i]);
	}
	for (size_t i = 0; i < config->service_count; i++) {
		struct config_service *service = config->services[i];

		HASH_FIND_STR(index, service->name, found);
		if (found && config_service_equal(service, found->service)) {
			config->services[i] = config_service_hold(found->service);
			config_service_drop(service);
		}
	}
	HASH_CLEAR(hh, index);
	free(rows);
	return 0;
}

/* ---- program ------------------------------------------------------------------------------------------------------ */

static void use_sources(struct director *director, const struct config *config)
{
	if (config)
		resolver_sources(director->resolver, config->tunnel.source4.set, config->tunnel.source6.set);
}

/* Another outer source or key changes every tunnel's header. */
static void rewrite_headers(struct director *director)
{
	for (struct fleet_backend *b = director->fleet->backends; b; b = b->hh.next)
		if (b->target && resolver_target_state(b->target) == RESOLVER_READY)
			director_resolve(director, b);
}

int director_program(struct director *director, struct config *config, bool tolerate_missing, struct err *e)
{
	struct config *former = director->running;
	int code = ports_attach(director->ports, config, tolerate_missing, e);

	if (code)
		return code;
	director->running = config; /* the resolver's answers need the new sources */
	use_sources(director, config);
	code = fleet_apply(director->fleet, config, e);
	if (code) {
		director->running = former;
		use_sources(director, former);
		if (former)
			ports_attach(director->ports, former, true, NULL);
		ports_trim(director->ports, former ? former : config);
		return code;
	}
	ports_trim(director->ports, config);
	probe_way_configure(director->probe_way, config);
	if (former && !config_tunnel_equal(&former->tunnel, &config->tunnel))
		rewrite_headers(director);
	/* Numbers may lie far apart after an adoption. */
	rates_watch(director->rates, extents_end(&director->fleet->service_numbers),
		    extents_end(&director->fleet->backend_numbers));
	announcer_configure(director->announcer, config);
	director_judge_backends(director);
	director_flush(director);
	config_free(former);
	return 0;
}

/* ---- the walk ------------------------------------------------------------------------------------------------------ */

/* A VIP that is an address of this host: the kernel would answer for it. Of the whole text, so without a line. */
static void warn_of_local(const struct director *director, const struct config *config, struct problems *problems)
{
	char address[IP_TEXT_BYTES];
	size_t found = 0;

	for (size_t i = 0; i < config->service_count; i++)
		for (size_t v = 0; v < config->services[i]->vip_count; v++) {
			const struct ip *vip = &config->services[i]->vips[v];

			if (found < LOCAL_NAMED_MOST && resolver_is_local(director->resolver, vip)) {
				problems_add(problems, PROBLEM_WARNING, 0, 0,
					     "service %s: %s is an address of this host: take it off (`ip address del`)",
					     config->services[i]->name, ip_format(vip, address));
				found++;
			}
		}
}

static void log_local(const struct problems *problems)
{
	for (size_t i = 0; i < problems->count; i++)
		if (!problems->list[i].line)
			log_event(LOG_WARNING, "vip_is_local text=\"%s\"", problems->list[i].text);
}

/* Parse, validate against this host, and find what would change. Returns the configuration or NULL.
 *
 * A check's file that cannot be used refuses a change, as its backends would fail. At a start, and when nobody is there to
 * choose another way, it is a warning: all the other services are worth more, and the check says that it cannot ask. */
static struct config *judge(struct director *director, const char *text, size_t bytes, bool tolerate_missing,
			    struct director_result *result, struct err *e)
{
	enum problem_kind unusable = tolerate_missing || !director->base ? PROBLEM_WARNING : PROBLEM_ERROR;
	const struct config_host host = {file_look, unusable, unusable};
	struct config *config;

	problems_free(&result->problems);
	config_changes_free(&result->changes);
	config = config_parse_on(text, bytes, &host, &result->problems);
	if (!config) {
		result->is_invalid = true;
		err_set(e, -EINVAL, "the configuration has mistakes; what ran still runs");
		return NULL;
	}
	if (ports_check(director->ports, config, tolerate_missing, e) || share_equal(config, director->base) ||
	    config_diff(director->base, config, &result->changes)) {
		config_free(config);
		return NULL;
	}
	warn_of_local(director, config, &result->problems);
	return config;
}

int director_judge(struct director *director, const char *text, size_t bytes, struct director_result *result,
		   struct err *e)
{
	struct config *config;

	err_set(e, -ENOMEM, "%m");
	config = judge(director, text, bytes, false, result, e);
	config_free(config);
	return config ? 0 : -EINVAL;
}

/* Replace base and running; on failure both are as they were. */
static int change(struct director *director, const char *text, size_t bytes, bool tolerate_missing,
		  struct director_result *result, struct err *e)
{
	struct config *base, *running;
	int code;

	err_set(e, -ENOMEM, "%m");
	base = judge(director, text, bytes, tolerate_missing, result, e);
	if (!base)
		return -EINVAL;
	running = director_overlay(base, &director->state, NULL);
	code = running ? director_program(director, running, tolerate_missing, e) : -ENOMEM;
	if (code) {
		config_free(running);
		config_free(base);
		return code;
	}
	config_free(director->base);
	director->base = base;
	log_local(&result->problems);
	return 0;
}

/* Whether the file says what will run now. A file that says what is being taken back counts as read, so that the next
 * start does not bring it back: only another edit or a reload takes it. */
static void note_file(struct director *director, const struct state_text *next)
{
	struct state *state = &director->state;
	struct state_text file = {0};

	if (!state_read_file(director->options.file, &file, NULL) && state_text_hash(&file) == state_text_hash(&state->running))
		state->file_hash = state_text_hash(&file);
	state->is_file = state_text_hash(next) == state->file_hash;
	state_text_free(&file);
}

static int go_back(struct director *director, bool tolerate_missing, struct director_result *result, struct err *e)
{
	struct state *state = &director->state;
	struct state_text previous = state->previous;
	struct err why;
	int code;

	if (!previous.bytes)
		return err_set(e, -ENOENT, "nothing to undo: no configuration was applied before the running one");
	code = change(director, previous.bytes, previous.count, tolerate_missing, result, e);
	if (code)
		return code;
	uv_timer_stop(&director->confirm_timer);
	state->confirm_by_s = 0;
	state->previous = (struct state_text){0};
	note_file(director, &previous);
	if (state_advance(state, &previous, &why))
		log_event(LOG_ERR, "state_not_saved error=\"%s\"", why.text);
	director_save(director);
	return 0;
}

/* Nobody is there to choose another way: an interface that vanished meanwhile is waited for. */
static void revert(uv_timer_t *timer)
{
	struct director *director = timer->data;
	struct director_result result = {0};
	struct err e;

	if (go_back(director, true, &result, &e)) {
		log_event(LOG_ERR, "revert_failed error=\"%s\" again_in_s=%d", e.text, REVERT_AGAIN_MS / 1000);
		uv_timer_start(timer, revert, REVERT_AGAIN_MS, 0);
	} else {
		log_event(LOG_WARNING, "reverted reason=\"the change was not confirmed in time\" changes=%zu",
			  result.changes.count);
	}
	director_result_free(&result);
}

void director_save(struct director *director)
{
	struct err e;

	if (state_save(&director->state, &e))
		log_event(LOG_ERR, "state_not_saved error=\"%s\"", e.text);
}

static void wait_for_confirm(struct director *director, uint64_t seconds)
{
	uv_update_time(director->loop);
	uv_timer_start(&director->confirm_timer, revert, seconds * 1000, 0);
}

static int busy(const struct director *director, struct err *e)
{
	uint64_t now = state_boot_s();
	uint64_t left = director->state.confirm_by_s > now ? director->state.confirm_by_s - now : 0;

	return err_set(e, -EBUSY,
		       "a change waits for its confirmation for another %llu s: `halfproxy confirm` keeps it, `halfproxy "
		       "undo` takes it back",
		       (unsigned long long)left);
}

int director_apply(struct director *director, const char *text, size_t bytes, uint32_t confirm_s, bool from_file,
		   struct director_result *result, struct err *e)
{
	bool is_start = !director->base;
	struct state_text kept = {malloc(bytes + 1), bytes};
	bool is_same;
	struct err why;
	int code;

	if (!is_start && director->state.confirm_by_s)
		code = busy(director, e);
	else
		code = kept.bytes ? change(director, text, bytes, false, result, e) : -ENOMEM;
	if (code) {
		state_text_free(&kept);
		return code;
	}
	memcpy(kept.bytes, text, bytes);
	kept.bytes[bytes] = '\0';
	if (from_file)
		director->state.file_hash = state_text_hash(&kept);
	director->state.is_file = from_file;
	is_same = director->state.running.bytes && state_text_hash(&director->state.running) == state_text_hash(&kept);
	if (is_same)
		confirm_s = 0; /* nothing to take back */
	director->state.confirm_by_s = confirm_s ? state_boot_s() + confirm_s : 0;
	if (!is_same)
		if (state_advance(&director->state, &kept, &why))
			log_event(LOG_ERR, "state_not_saved error=\"%s\"", why.text);
	state_text_free(&kept);
	director_save(director);
	if (confirm_s)
		wait_for_confirm(director, confirm_s);
	if (confirm_s)
		log_event(LOG_NOTICE, "applied changes=%zu services=%zu confirm_within_s=%u", result->changes.count,
			  director->running->service_count, confirm_s);
	else
		log_event(LOG_NOTICE, "applied changes=%zu services=%zu", result->changes.count,
			  director->running->service_count);
	return 0;
}

int director_resume(struct director *director, struct director_result *result, struct err *e)
{
	struct state *state = &director->state;
	uint64_t now = state_boot_s();
	int code = change(director, state->running.bytes, state->running.count, false, result, e);

	if (!code && state->confirm_by_s)
		wait_for_confirm(director, state->confirm_by_s > now ? state->confirm_by_s - now : 0);
	return code;
}

int director_confirm(struct director *director, struct err *e)
{
	if (!director->state.confirm_by_s)
		return err_set(e, -ENOENT, "no change waits for a confirmation");
	uv_timer_stop(&director->confirm_timer);
	director->state.confirm_by_s = 0;
	director_save(director);
	log_event(LOG_NOTICE, "confirmed");
	return 0;
}

int director_undo(struct director *director, struct director_result *result, struct err *e)
{
	int code = go_back(director, false, result, e);

	if (!code)
		log_event(LOG_NOTICE, "undone changes=%zu", result->changes.count);
	return code;
}

int director_reload(struct director *director, struct director_result *result, struct err *e)
{
	int code;

	state_text_free(&result->text);
	code = state_read_file(director->options.file, &result->text, e);
	if (code)
		return code;
	return director_apply(director, result->text.bytes, result->text.count, 0, true, result, e);
}
