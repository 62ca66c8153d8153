/* Starting and ending, and what the resolver and the clock bring: see director.h. Changes are in
 * director_change.c, overrides in director_override.c. */
#include "daemon/director_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/instance.h"
#include "daemon/privileges.h"

#define RECLAIM_AFTER_MS 50
#define READY_AFTER_MS 1000
#define WAYS_AFTER_MS 1000
#define TICK_MS 250
#define SWEEP_STEP_MS 1
#define BURST_LOGGED_MOST 20

/* ---- what the fleet asks of the resolver -------------------------------------------------------------------- */

static void watch(void *context, struct fleet_backend *backend)
{
	struct director *director = context;

	backend->target = resolver_watch(director->resolver, &backend->identity.address,
					 (enum hp_method)backend->identity.method, backend);
}

static void unwatch(void *context, struct fleet_backend *backend)
{
	struct director *director = context;

	if (backend->target)
		resolver_unwatch(director->resolver, backend->target);
}

static bool is_pending(void *context, const struct fleet_backend *backend)
{
	(void)context;
	return backend->target && resolver_target_state(backend->target) == RESOLVER_PENDING;
}

/* Where nothing is probed, it is known when the ways to the backends are, or after a moment; else when the first probes have
 * ended. */
static bool is_known(void *context, const struct fleet_service *service, uint64_t waited_ms)
{
	const struct director *director = context;

	if (!config_is_probed(service->config) && waited_ms >= WAYS_AFTER_MS)
		return true;
	return !fleet_service_is_waiting(director->fleet, service);
}

/* ---- what the resolver brings --------------------------------------------------------------------------------- */

static void log_backend(struct director *director, const struct fleet_backend *backend, bool ready)
{
	char address[IP_TEXT_BYTES];

	if (director->burst_ready + director->burst_failed > BURST_LOGGED_MOST)
		return;
	ip_format(&backend->identity.address, address);
	if (ready)
		log_event(LOG_INFO, "backend_ready backend=%s forward=%s", address,
			  config_forward_name(adjacency_forward((enum hp_method)backend->identity.method)));
	else
		log_event(LOG_WARNING, "backend_unreachable backend=%s reason=\"%s\"", address,
			  resolver_target_reason(backend->target));
}

void director_resolve(struct director *director, struct fleet_backend *backend)
{
	const struct adjacency *facts = resolver_target_facts(backend->target);
	struct hp_adjacency record;

	ports_leave_by(director->ports, facts->ifindex);
	adjacency_record(&record, facts, (enum hp_method)backend->identity.method, &backend->identity.address,
			 &director->running->tunnel, backend->number);
	fleet_backend_resolved(director->fleet, backend, &record);
}

static void target_changed(void *context, struct resolver_target *target, void *user)
{
	struct director *director = context;
	struct fleet_backend *backend = user;
	bool was_usable = backend->adjacency != 0;

	switch (resolver_target_state(target)) {
	case RESOLVER_PENDING:
		return; /* what was known before still holds */
	case RESOLVER_READY:
		director_resolve(director, backend);
		director->burst_ready += !was_usable;
		if (!was_usable)
			log_backend(director, backend, true);
		return;
	case RESOLVER_FAILED:
		fleet_backend_resolved(director->fleet, backend, NULL);
		director->burst_failed++;
		log_backend(director, backend, false);
		return;
	}
}

static void link_changed(void *context, const struct resolver_link *link)
{
	struct director *director = context;
	const struct port *port = ports_link_changed(director->ports, link);

	announcer_follow(director->announcer);
	if (port && port->state == PORT_ATTACHED)
		log_event(LOG_NOTICE, "interface_attached interface=%s mode=%s", port->name,
			  port->native ? "native" : "generic");
	else if (port)
		log_event(LOG_WARNING, "interface_lost interface=%s reason=\"%s\"", port->name, port->reason);
}

static void mtu_changed(void *context, const struct ip *address, uint16_t was, const struct resolver_mtu *now)
{
	char backend[IP_TEXT_BYTES], from[IP_TEXT_BYTES];

	(void)context;
	ip_format(address, backend);
	if (now->left_s)
		log_event(LOG_NOTICE, "path_mtu_learned backend=%s mtu=%u was=%u from=%s for_s=%llu", backend, now->mtu, was,
			  ip_format(&now->from, from), (unsigned long long)now->left_s);
	else
		log_event(LOG_INFO, "path_mtu_over backend=%s mtu=%u was=%u", backend, now->mtu, was);
}

static void surroundings_changed(void *context)
{
	const struct director *director = context;

	if (director->probe_way)
		probe_way_check(director->probe_way);
}

static void tell_ready(struct director *director)
{
	if (director->is_ready)
		return;
	director->is_ready = true;
	uv_timer_stop(&director->ready_timer);
	sd_notifyf(0, "READY=1\nSTATUS=serving %zu service%s", director->running->service_count,
		   director->running->service_count == 1 ? "" : "s");
	log_event(LOG_NOTICE, "ready services=%zu adopted=%s", director->running->service_count,
		  director->plane.adopted ? "yes" : "no");
}

/* When it is known of every backend whether and how it is reached. */
static void settle(struct director *director)
{
	if (director->is_ready)
		return;
	for (struct fleet_backend *b = director->fleet->backends; b; b = b->hh.next)
		if (!b->target || resolver_target_state(b->target) == RESOLVER_PENDING)
			return;
	tell_ready(director);
}

static void idle(void *context)
{
	struct director *director = context;

	director_flush(director);
	if (director->burst_ready + director->burst_failed > BURST_LOGGED_MOST)
		log_event(LOG_INFO, "backends_changed ready=%u unreachable=%u", director->burst_ready,
			  director->burst_failed);
	director->burst_ready = director->burst_failed = 0;
	settle(director);
}

static void reclaim_later(struct director *director)
{
	if (fleet_wants_reclaim(director->fleet) && !uv_is_active((uv_handle_t *)&director->reclaim_timer))
		uv_timer_start(&director->reclaim_timer, director_reclaim, RECLAIM_AFTER_MS, 0);
}

void director_flush(struct director *director)
{
	struct err e;

	do {
		if (fleet_flush(director->fleet, &e))
			log_event(LOG_ERR, "ring_failed error=\"%s\"", e.text);
	} while (director_follow_health(director));
	announcer_follow(director->announcer);
	director_watch_loops(director);
	reclaim_later(director);
}

void director_reclaim(uv_timer_t *timer)
{
	struct director *director = timer->data;

	fleet_reclaim(director->fleet);
}

/* A pass over the remembered flows goes on in small steps, so that the API answers meanwhile. */
static void sweep(uv_timer_t *timer)
{
	struct director *director = timer->data;

	if (fleet_sweep(director->fleet))
		uv_timer_start(&director->sweep_timer, sweep, SWEEP_STEP_MS, 0);
	else
		reclaim_later(director);
}

static void tick(uv_timer_t *timer)
{
	struct director *director = timer->data;
	struct err e;

	if (fleet_tick(director->fleet, &e))
		log_event(LOG_ERR, "ring_failed error=\"%s\"", e.text);
	if (director_follow_health(director))
		director_flush(director);
	flaps_tick(director->flaps, uv_now(director->loop));
	announcer_follow(director->announcer);
	director_watch_limits(director);
	reclaim_later(director);
	if (!uv_is_active((uv_handle_t *)&director->sweep_timer))
		sweep(&director->sweep_timer);
}

static void ready_late(uv_timer_t *timer)
{
	tell_ready(timer->data); /* not all is known, and need not be to serve the rest */
}

/* ---- starting -------------------------------------------------------------------------------------------------- */

static void claim_asked(uv_poll_t *poll, int status, int events)
{
	const struct director *director = poll->data;

	(void)status;
	(void)events;
	instance_dismiss(director->claim_fd);
}

static void watch_claim(struct director *director)
{
	if (!instance_is_listening(director->claim_fd) ||
	    uv_poll_init(director->loop, &director->claim_poll, director->claim_fd))
		return;
	director->claim_poll.data = director;
	uv_poll_start(&director->claim_poll, UV_READABLE, claim_asked);
}

static void open_timers(struct director *director)
{
	uv_timer_init(director->loop, &director->confirm_timer);
	uv_timer_init(director->loop, &director->reclaim_timer);
	uv_timer_init(director->loop, &director->ready_timer);
	uv_timer_init(director->loop, &director->tick_timer);
	uv_timer_init(director->loop, &director->sweep_timer);
	uv_timer_init(director->loop, &director->drain_timer);
	uv_timer_init(director->loop, &director->health_timer);
	director->drain_timer.data = director->health_timer.data = director;
	director->tick_timer.data = director->sweep_timer.data = director;
	director->confirm_timer.data = director->reclaim_timer.data = director->ready_timer.data = director;
}

static void remember_link(void *context, const char *name)
{
	struct director *director = context;

	ports_remember(director->ports, name);
}

/* What a daemon before this one took packets in by is waited for; any other name that is not there is a mistake. */
static void remember_ways_in(struct director *director)
{
	const struct state_text *ran = &director->state.running;
	struct problems problems = {0};
	struct config *config = ran->bytes ? config_parse(ran->bytes, ran->count, &problems) : NULL;

	for (size_t i = 0; config && i < config->interface_count; i++)
		ports_remember(director->ports, config->interfaces[i].name);
	config_free(config);
	problems_free(&problems);
	dataplane_each_link(&director->plane, remember_link, director);
}

/* The text to start with. After a crash that is what ran, unless the file has been edited since. An edit that was
 * applied and waits for its confirmation waits on. */
static bool goes_on_with_running(const struct director *director, const struct state_text *file)
{
	const struct state *state = &director->state;
	uint64_t hash = state_text_hash(file);

	if (!director->is_adopting || !state->running.bytes)
		return false;
	return (!state->is_file && state->file_hash == hash) ||
	       (state->confirm_by_s && state_text_hash(&state->running) == hash);
}

/* The size of the data plane is what the text says that will run. */
static int choose_room(const struct director *director, const struct config *config, const struct state_text *file,
		       struct dataplane_limits *limits)
{
	struct problems problems = {0};
	struct config *ran = NULL;
	int code;

	if (goes_on_with_running(director, file))
		ran = config_parse(director->state.running.bytes, director->state.running.count, &problems);
	code = fleet_room(ran ? ran : config, limits);
	config_free(ran);
	problems_free(&problems);
	return code;
}

static void log_migration(const struct dataplane *plane)
{
	const struct dataplane_migration *migration = &plane->migration;

	for (size_t i = 0; i < migration->kept_count; i++)
		log_event(LOG_WARNING, "limit_kept limit=%s is=%u wanted=%u in_use=%u", migration->kept[i].limit,
			  migration->kept[i].is, migration->kept[i].wanted, migration->kept[i].in_use);
	if (migration->why_not.text[0])
		log_event(LOG_WARNING, "limits_kept error=\"%s\"", migration->why_not.text);
	if (migration->flows_lost)
		log_event(LOG_WARNING, "flows_lost flows=%llu reason=\"the new table is full\"",
			  (unsigned long long)migration->flows_lost);
	if (migration->is_done)
		log_event(LOG_NOTICE,
			  "migrated abi=%u services=%u backends=%u slots=%u flows=%u unproven=%u prefixes=%u sources=%u "
			  "fragments=%u cut_short=%s",
			  migration->abi, plane->limits.services - 1, plane->limits.backends - 1,
			  (plane->limits.blocks - 1) * HP_SLOTS_PER_BLOCK, plane->limits.flows, plane->limits.unproven,
			  plane->limits.prefixes, plane->limits.sources, plane->limits.fragments,
			  migration->was_cut_short ? "yes" : "no");
}

/* Room for both configurations: each has been given twice what it needs. What a configuration says it has to mean. */
static int add_room(const struct config *before, struct dataplane_limits *limits)
{
	struct dataplane_limits more;
	int code = before ? fleet_room(before, &more) : 0;

	if (code || !before)
		return code;
	if (!(limits->said & DATAPLANE_SAYS_BACKENDS) && limits->backends < more.backends)
		limits->backends = more.backends;
	if (!(limits->said & DATAPLANE_SAYS_BLOCKS) && limits->blocks < more.blocks)
		limits->blocks = more.blocks;
	if (!(limits->said & DATAPLANE_SAYS_PREFIXES) && limits->prefixes < more.prefixes)
		limits->prefixes = more.prefixes;
	return 0;
}

static int open_parts(struct director *director, const struct config *config, const struct config *before,
		      const struct state_text *file, struct err *e)
{
	const struct resolver_events events = {director, target_changed, link_changed, idle,
					       mtu_changed, surroundings_changed};
	const struct fleet_hooks hooks = {.context = director,
					  .watch = watch,
					  .unwatch = unwatch,
					  .is_pending = is_pending,
					  .is_known = is_known,
					  .take_check = director_take_check,
					  .drop_check = director_drop_check,
					  .health_of = director_health_of};
	struct dataplane_limits limits;
	int code;

	director->resolver = resolver_create(director->loop, &events, e);
	if (!director->resolver)
		return -EIO;
	director->ports = ports_create(&director->plane, director->resolver, director->options.state);
	if (!director->ports)
		return err_set(e, -ENOMEM, "%m");
	code = director->is_adopting ? 0 : ports_check(director->ports, config, false, e);
	if (code)
		return code;
	director->is_making = true;
	code = state_open(&director->state, director->options.state, e);
	if (!code && (choose_room(director, config, file, &limits) || add_room(before, &limits)))
		code = err_set(e, -ENOMEM, "%m");
	if (!code)
		code = dataplane_open(&director->plane, director->options.pins, &limits, e);
	if (code)
		return code;
	log_migration(&director->plane);
	if (director->is_adopting)
		remember_ways_in(director);
	code = director_open_probes(director, e);
	if (code)
		return code;
	director->fleet = fleet_create(&director->plane, &hooks, e);
	director->rates = rates_create(director->loop, &director->plane);
	director->probe_way = probe_way_open(&director->plane, director->resolver, director->options.state, e);
	if (!director->fleet || !director->rates || !director->probe_way)
		return -ENOMEM;
	director_hear_icmp(director);
	code = director_announce_open(director, config, e);
	return code || !before ? code : fleet_expect_formers(director->fleet, before, e);
}

static void log_missing(const struct director *director)
{
	for (size_t i = 0; i < director->ports->count; i++) {
		const struct port *port = &director->ports->list[i];

		if (port->state != PORT_ATTACHED)
			log_event(LOG_WARNING, "interface_missing interface=%s reason=\"%s\" until=\"it comes back\"", port->name,
				  port->reason);
	}
}

static int begin(struct director *director, struct director_result *result, struct err *e)
{
	if (goes_on_with_running(director, &result->text)) {
		if (!director_resume(director, result, e)) {
			log_event(LOG_NOTICE, "goes_on_with what=\"the configuration that ran, which was applied and is not "
					      "the file's\"");
			return 0;
		}
		log_event(LOG_WARNING,
			  "not_gone_on_with what=\"the configuration that ran\" error=\"%s\" instead=\"%s\"", e->text,
			  director->options.file);
		result->is_invalid = false;
	}
	return director_apply(director, result->text.bytes, result->text.count, 0, true, result, e);
}

/* Read a configuration; its mistakes are the result's. */
static int read_config(const char *file, struct director_result *result, struct config **out, struct err *e)
{
	int code = state_read_file(file, &result->text, e);

	if (code)
		return code;
	*out = config_parse(result->text.bytes, result->text.count, &result->problems);
	if (*out)
		return 0;
	result->is_invalid = true;
	result->file = file;
	return err_set(e, -EINVAL, "%s: the configuration has mistakes", file);
}

/* The former configuration, where there is no other memory of it. It has run before, so that its warnings are old news. */
static int read_before(const struct director *director, struct director_result *result, struct config **out, struct err *e)
{
	const char *file = director->options.before;
	struct director_result own = {0};
	int code;

	if (!file || director->is_adopting) {
		if (file)
			log_event(LOG_NOTICE, "before_ignored file=\"%s\" reason=\"a data plane is adopted, which knows\"", file);
		return 0;
	}
	code = read_config(file, &own, out, e);
	if (own.is_invalid) {
		director_result_free(result);
		*result = own;
	} else {
		director_result_free(&own);
	}
	return code;
}

static void log_before(const struct director *director)
{
	if (director->options.before && !director->is_adopting)
		log_event(LOG_NOTICE, "moves_from file=\"%s\" services=%zu", director->options.before,
			  director->fleet->former_count);
}

/* With the configurations read. */
static int start_with(struct director *director, const struct config *config, struct director_result *result, struct err *e)
{
	struct config *before = NULL;
	int code;

	director->claim_fd = code = instance_claim(e);
	if (code < 0)
		return code;
	director->is_adopting = dataplane_is_serving(director->options.pins);
	open_timers(director);
	watch_claim(director);
	code = read_before(director, result, &before, e);
	if (!code)
		code = open_parts(director, config, before, &result->text, e);
	config_free(before);
	return code;
}

static int start(struct director *director, struct director_result *result, struct err *e)
{
	struct config *config;
	int code = privileges_check(e);

	if (!code)
		code = read_config(director->options.file, result, &config, e);
	if (code)
		return code;
	code = start_with(director, config, result, e);
	config_free(config);
	if (!code)
		code = begin(director, result, e);
	if (code)
		return code;
	log_missing(director);
	log_before(director);
	return 0;
}

int director_start(uv_loop_t *loop, const struct director_options *options, struct director **out,
		   struct director_result *result, struct err *e)
{
	struct director *director = calloc(1, sizeof(*director));
	int code;

	if (!director)
		return err_set(e, -ENOMEM, "%m");
	director->loop = loop;
	director->options = *options;
	director->plane.lock_fd = director->claim_fd = -1;
	director->started_ms = uv_now(loop);
	code = start(director, result, e);
	if (code) {
		director_abandon(director);
		return code;
	}
	uv_timer_start(&director->ready_timer, ready_late, READY_AFTER_MS, 0);
	uv_timer_start(&director->tick_timer, tick, TICK_MS, TICK_MS);
	director_resume_drains(director);
	*out = director;
	return 0;
}

void director_stop(struct director *director)
{
	uv_timer_t *timers[] = {&director->confirm_timer, &director->reclaim_timer, &director->ready_timer,
				&director->tick_timer, &director->sweep_timer, &director->drain_timer,
				&director->health_timer};

	for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++)
		if (timers[i]->data)
			uv_close((uv_handle_t *)timers[i], NULL);
	if (director->claim_poll.data)
		uv_close((uv_handle_t *)&director->claim_poll, NULL);
	announcer_destroy(director->announcer);
	rates_destroy(director->rates);
	fleet_destroy(director->fleet);
	director_close_diagnoses(director);
	probes_destroy(director->probes);
	ports_destroy(director->ports);
	probe_way_close(director->probe_way);
	if (director->resolver)
		resolver_destroy(director->resolver);
	director->announcer = NULL;
	director->rates = NULL;
	director->fleet = NULL;
	director->probes = NULL;
	director->ports = NULL;
	director->probe_way = NULL;
	director->resolver = NULL;
}

void director_free(struct director *director)
{
	if (!director)
		return;
	dataplane_close(&director->plane);
	state_close(&director->state);
	flaps_destroy(director->flaps);
	config_free(director->base);
	config_free(director->running);
	if (director->claim_fd >= 0)
		close(director->claim_fd);
	free(director);
}

void director_abandon(struct director *director)
{
	director_stop(director);
	uv_run(director->loop, UV_RUN_DEFAULT);
	if (director->is_making && !director->is_adopting) {
		dataplane_close(&director->plane);
		dataplane_unload(director->options.pins, NULL);
		probe_way_remove(director->options.state, NULL);
		state_take_back(&director->state);
	}
	director_free(director);
}
