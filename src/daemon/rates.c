/* Rates: see rates.h. */
#include "daemon/rates.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct sample {
	uint64_t packets, bytes;
	struct rate rate;
	uint64_t looped, looped_told; /* of a backend: packets that came back, and how many of them somebody knows of */
	bool is_known; /* packets and bytes are of an earlier look */
	bool is_looked_back;
};

struct rates {
	const struct dataplane *plane;
	uv_timer_t timer;
	uint64_t last_ms;
	struct sample *services, *backends;
	uint32_t service_count, backend_count;
};

static void look(struct sample *sample, uint64_t packets, uint64_t bytes, double seconds)
{
	/* A number that went to another begins at zero again. */
	if (packets < sample->packets || bytes < sample->bytes)
		*sample = (struct sample){.is_known = true};
	if (sample->is_known) {
		sample->rate.packets_per_s = (double)(packets - sample->packets) / seconds;
		sample->rate.bytes_per_s = (double)(bytes - sample->bytes) / seconds;
	}
	sample->packets = packets;
	sample->bytes = bytes;
	sample->is_known = true;
}

/* What came back before the first look is old news. */
static void look_back(struct sample *sample, uint64_t looped)
{
	if (!sample->is_looked_back || looped < sample->looped)
		sample->looped_told = looped;
	sample->looped = looped;
	sample->is_looked_back = true;
}

static void tick(uv_timer_t *timer)
{
	struct rates *rates = timer->data;
	uint64_t now_ms = uv_now(timer->loop);
	double seconds = (double)(now_ms - rates->last_ms) / 1000.0;
	uint64_t cell[HP_SERVICE_CELLS];

	if (seconds <= 0)
		return;
	for (uint32_t n = 1; n < rates->service_count; n++) {
		dataplane_service_sum(rates->plane, n, cell);
		look(&rates->services[n], dataplane_sent(cell), cell[HP_CELL_BYTES], seconds);
	}
	for (uint32_t n = 1; n < rates->backend_count; n++) {
		dataplane_backend_sum(rates->plane, n, cell);
		look(&rates->backends[n], dataplane_sent(cell), cell[HP_CELL_BYTES], seconds);
		look_back(&rates->backends[n], cell[HP_LOOPED]);
	}
	rates->last_ms = now_ms;
}

struct rates *rates_create(uv_loop_t *loop, const struct dataplane *plane)
{
	struct rates *rates = calloc(1, sizeof(*rates));

	if (!rates)
		return NULL;
	rates->plane = plane;
	rates->last_ms = uv_now(loop);
	uv_timer_init(loop, &rates->timer);
	rates->timer.data = rates;
	uv_timer_start(&rates->timer, tick, RATES_PERIOD_MS, RATES_PERIOD_MS);
	return rates;
}

static void closed(uv_handle_t *handle)
{
	struct rates *rates = handle->data;

	free(rates->services);
	free(rates->backends);
	free(rates);
}

void rates_destroy(struct rates *rates)
{
	if (rates)
		uv_close((uv_handle_t *)&rates->timer, closed);
}

static void grow(struct sample **list, uint32_t *count, uint32_t wanted)
{
	struct sample *grown;

	if (wanted <= *count)
		return;
	grown = realloc(*list, wanted * sizeof(*grown));
	if (!grown)
		return;
	memset(grown + *count, 0, (wanted - *count) * sizeof(*grown));
	*list = grown;
	*count = wanted;
}

void rates_watch(struct rates *rates, uint32_t services, uint32_t backends)
{
	grow(&rates->services, &rates->service_count, services);
	grow(&rates->backends, &rates->backend_count, backends);
}

void rates_each_looped(struct rates *rates, void (*each)(void *context, uint32_t number, uint64_t packets), void *context)
{
	for (uint32_t n = 1; n < rates->backend_count; n++) {
		struct sample *sample = &rates->backends[n];
		uint64_t packets = sample->looped - sample->looped_told;

		sample->looped_told = sample->looped;
		if (packets)
			each(context, n, packets);
	}
}

struct rate rates_service(const struct rates *rates, uint32_t number)
{
	return number < rates->service_count ? rates->services[number].rate : (struct rate){0};
}

struct rate rates_backend(const struct rates *rates, uint32_t number)
{
	return number < rates->backend_count ? rates->backends[number].rate : (struct rate){0};
}
