/* Services in motion: their two rings and what of them packets see, windows that end, backends that depart.
 *
 * What a change makes of a service is core/motion.h's to say, what it means for a packet is bpf/rules.h's. */
#include "daemon/fleet_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"

#define CUT_AGAIN_S 10

uint64_t fleet_now_s(void)
{
	return dataplane_boot_ns() / 1000000000u;
}

uint64_t fleet_now_ms(void)
{
	return dataplane_boot_ns() / 1000000u;
}

/* A second chance needs the other ring's backend after the window, too. */
static bool keeps_before(const struct fleet_service *service)
{
	return service->config && config_has_second_chance(service->config);
}

/* ---- what packets see -------------------------------------------------------------------------------------------- */

/* The mark of motion stands before the record: a daemon that starts between the two finds a window that is too long, and
 * never one that it does not know of. A backend's record stands before a ring names it, and a ring before a service
 * names it. */
void fleet_record_write(struct fleet *fleet, const struct fleet_service *service)
{
	struct hp_service record = {
		.now = service->ring ? service->ring->at : 0,
		.before = (service->before ? service->before->at : 0) | service->motion.flags | service->flags,
	};
	uint64_t word;

	if (service->motion.until_s)
		fleet->plane->motions[service->number].until_s = service->motion.until_s;
	memcpy(&word, &record, sizeof(word));
	__atomic_store_n((uint64_t *)(void *)&fleet->plane->services[service->number], word, __ATOMIC_RELEASE);
	if (!service->motion.until_s)
		fleet->plane->motions[service->number].until_s = 0;
}

/* Replace `before` by what a step of the motion says. Returns what is to be dropped once packets no longer see it. */
static struct fleet_ring *turn(struct fleet_service *service, enum motion_before what)
{
	struct fleet_ring *former = service->before;

	switch (what) {
	case MOTION_KEEP:
		return NULL;
	case MOTION_TAKE:
		service->before = service->ring;
		if (service->before)
			service->before->references++;
		return former;
	case MOTION_DROP:
		service->before = NULL;
		return former;
	}
	return NULL;
}

/* Note that a service has begun or ended to move. */
static void account(struct fleet *fleet, const struct fleet_service *service, bool was_steady)
{
	bool is_steady = motion_is_steady(&service->motion);

	fleet->unsteady += (size_t)was_steady - (size_t)is_steady;
	if (is_steady)
		return;
	fleet->pass.may_find = true;
	fleet->pass.is_clean = false;
}

/* The end of every change of a service's rings: its motion is settled, `ring` (a reference) becomes `now`. */
static void show(struct fleet *fleet, struct fleet_service *service, struct fleet_ring *ring, struct fleet_ring *dropped)
{
	struct fleet_ring *former = service->ring;

	service->ring = ring;
	fleet->pass.wants_grace = true;
	fleet_record_write(fleet, service);
	fleet_ring_drop(fleet, former);
	fleet_ring_drop(fleet, dropped);
	fleet_vip_follow(fleet, service);
}

void fleet_publish(struct fleet *fleet, struct fleet_service *service, struct fleet_ring *ring)
{
	uint32_t window_s = service->config ? service->config->window_s : 0;
	bool was_steady = motion_is_steady(&service->motion);
	enum motion_before what = motion_change(&service->motion, service->ring != NULL, window_s, fleet_now_s());
	struct fleet_ring *dropped = turn(service, what);

	account(fleet, service, was_steady);
	if (!was_steady && motion_is_steady(&service->motion))
		service->stale_in = fleet->pass.number + 1;
	show(fleet, service, ring, dropped);
}

void fleet_begin(struct fleet *fleet, struct fleet_service *service, const struct fleet_service *former,
		 uint32_t window_s, struct fleet_ring *ring)
{
	if (former && window_s) {
		motion_split(&service->motion, &former->motion, window_s, fleet_now_s());
		service->before = former->motion.flags & HP_MOTION_MOVING ? former->before : former->ring;
		if (service->before)
			service->before->references++;
		account(fleet, service, true);
	}
	show(fleet, service, ring, NULL);
}

void fleet_begin_after(struct fleet *fleet, struct fleet_service *service, struct fleet_ring *before,
		       struct fleet_ring *ring)
{
	static const struct motion steady;
	struct fleet_ring *dropped = before;

	if (before && before != ring && service->config->window_s) {
		motion_split(&service->motion, &steady, service->config->window_s, fleet_now_s());
		service->before = before;
		dropped = NULL;
		account(fleet, service, true);
	}
	show(fleet, service, ring, dropped);
}

void fleet_before_replace(struct fleet *fleet, struct fleet_service *service, struct fleet_ring *ring)
{
	struct fleet_ring *former = service->before;

	service->before = ring;
	fleet->pass.wants_grace = true;
	fleet_record_write(fleet, service);
	fleet_ring_drop(fleet, former);
}

void fleet_withdraw(struct fleet *fleet, struct fleet_service *service)
{
	bool was_steady = motion_is_steady(&service->motion);
	struct fleet_ring *dropped = turn(service, motion_rest(&service->motion, false));

	account(fleet, service, was_steady);
	if (!was_steady || service->stale_in)
		fleet->pass.withdrawn_in = fleet->pass.number + 1;
	show(fleet, service, NULL, dropped);
}

void fleet_motion_adopt(struct fleet *fleet, struct fleet_service *service)
{
	uint32_t flags = fleet->plane->services[service->number].before & HP_MOTION_FLAGS;

	if (!(flags & HP_MOTION_ANY))
		return;
	service->motion.flags = flags;
	if (flags & HP_MOTION_MOVING)
		service->motion.until_s = fleet->plane->motions[service->number].until_s;
	service->settles_in = fleet->pass.number + 1;
	account(fleet, service, true);
}

/* ---- what the time brings ---------------------------------------------------------------------------------------- */

void fleet_rest(struct fleet *fleet, struct fleet_service *service)
{
	struct fleet_ring *dropped = turn(service, motion_rest(&service->motion, keeps_before(service)));

	account(fleet, service, false);
	fleet->pass.wants_grace = true;
	fleet_record_write(fleet, service);
	fleet_ring_drop(fleet, dropped);
	if (fleet->dirty_count)
		fleet->flush_at_ms = fleet_now_ms(); /* there is room for a ring again */
}

void fleet_follow_window(struct fleet *fleet, struct fleet_service *service)
{
	if (service->config->window_s || motion_is_steady(&service->motion))
		return;
	fleet_rest(fleet, service);
	service->stale_in = fleet->pass.number + 1;
}

static void tick_service(struct fleet *fleet, struct fleet_service *service, uint64_t now_s)
{
	if (!motion_end_window(&service->motion, fleet_table_is_full(fleet), now_s))
		return;
	fleet->pass.wants_grace = true;
	service->settles_in = fleet->pass.number + 1;
	fleet_record_write(fleet, service);
}

/* Cut what is left of backends that were taken out, and whose deadline has come. One line for all of the service. */
static int tick_departures(struct fleet *fleet, struct fleet_service *service, uint64_t now_s, struct err *e)
{
	unsigned long long backends = 0, flows = 0;
	int code = 0;

	for (struct fleet_departure *d = service->departures; d; d = d->next) {
		int failed;

		if (!d->deadline_s || now_s < d->deadline_s || d->is_cut || service->is_dirty)
			continue;
		failed = fleet_departure_cut(fleet, service, d, e);
		if (failed) {
			code = failed;
			d->deadline_s = now_s + CUT_AGAIN_S;
			continue;
		}
		backends++;
		flows += d->flows;
	}
	if (flows && service->config)
		log_event(LOG_NOTICE, "removed_deadline service=%s backends=%llu flows=%llu", service->config->name, backends,
			  flows);
	return code;
}

int fleet_tick(struct fleet *fleet, struct err *e)
{
	bool has_stepped = fleet_ramps_tick(fleet), is_due;
	uint64_t now_s = fleet_now_s();
	int code = 0, flushed = 0;

	if (fleet->unsteady || fleet->departing)
		for (struct fleet_service *s = fleet->services; s; s = s->hh.next) {
			if (!motion_is_steady(&s->motion) && s->config)
				tick_service(fleet, s, now_s);
			if (s->departures) {
				int failed = tick_departures(fleet, s, now_s, e);

				code = failed ? failed : code;
			}
			if (s->departures && !fleet->pass.may_find)
				fleet_departures_settle(fleet, s);
			if (s->config)
				fleet_vip_follow(fleet, s);
		}
	is_due = fleet->flush_at_ms && fleet_now_ms() >= fleet->flush_at_ms;
	if (has_stepped || (is_due && !code)) {
		fleet->flush_at_ms = is_due ? 0 : fleet->flush_at_ms;
		flushed = fleet_flush(fleet, e);
	}
	fleet_vips_serve(fleet);
	fleet_vips_know(fleet);
	return code ? code : flushed;
}

/* ---- how much is at risk ----------------------------------------------------------------------------------------- */

static const uint32_t *slots_of(const struct fleet *fleet, const struct fleet_ring *ring)
{
	return fleet->plane->blocks[ring->at + 1].slot;
}

/* One hash for both rings: the two divisions of its range are laid over each other. */
static double difference_aligned(const struct fleet *fleet, const struct fleet_ring *a, const struct fleet_ring *b)
{
	const uint32_t *one = slots_of(fleet, a), *other = slots_of(fleet, b);
	uint64_t whole = (uint64_t)a->size * b->size, at = 0, differs = 0;
	uint32_t i = 0, j = 0;

	while (at < whole) {
		uint64_t end_i = (uint64_t)(i + 1) * b->size, end_j = (uint64_t)(j + 1) * a->size;
		uint64_t end = end_i < end_j ? end_i : end_j;

		if (one[i] != other[j])
			differs += end - at;
		i += end == end_i;
		j += end == end_j;
		at = end;
	}
	return (double)differs / (double)whole;
}

/* Two hashes that know nothing of each other: flows stay where both happen to name the same backend. */
static double difference_apart(const struct fleet *fleet, const struct fleet_ring *a, const struct fleet_ring *b)
{
	auto_free uint32_t *counts = calloc(fleet->plane->limits.backends, sizeof(*counts));
	const uint32_t *one = slots_of(fleet, a), *other = slots_of(fleet, b);
	uint64_t same = 0;

	for (uint32_t i = 0; counts && i < a->size; i++)
		counts[one[i] % fleet->plane->limits.backends]++;
	for (uint32_t j = 0; counts && j < b->size; j++)
		same += counts[other[j] % fleet->plane->limits.backends];
	return 1.0 - (double)same / ((double)a->size * b->size);
}

double fleet_difference(const struct fleet *fleet, const struct fleet_service *service)
{
	const struct fleet_ring *a = service->ring, *b = service->before;
	const struct hp_ring_head *head_a, *head_b;

	if (a == b || !b)
		return 0;
	if (!a)
		return 1;
	head_a = &fleet->plane->blocks[a->at].head;
	head_b = &fleet->plane->blocks[b->at].head;
	if (head_a->seed == head_b->seed && head_a->hash == head_b->hash)
		return difference_aligned(fleet, a, b);
	return difference_apart(fleet, a, b);
}
