/* The report on dropped packets: the last of each reason, with the beginning of each: see api_routes.h. */
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/nearest.h"
#include "daemon/api_routes.h"
#include "daemon/frame.h"

static const int actions[HP_VERDICT_COUNT] = {
#define ACTION(name, action, text) action,
	HP_VERDICTS(ACTION)
#undef ACTION
};

static const char *service_named(const struct director *director, uint32_t number)
{
	for (const struct fleet_service *s = director->fleet->services; number && s; s = s->hh.next)
		if (s->number == number && s->config)
			return s->config->name;
	return NULL;
}

static json_t *sample_json(const struct director *director, const struct hp_sample *sample)
{
	double age_s = (double)(dataplane_boot_ns() - sample->time_ns) / 1e9;
	const char *service = service_named(director, sample->service);
	struct frame frame = {.bytes = sample->bytes < HP_SAMPLE_BYTES ? sample->bytes : HP_SAMPLE_BYTES};
	struct resolver_link link = {.name = ""};

	memcpy(frame.byte, sample->frame, frame.bytes);
	resolver_link_numbered(director->resolver, sample->ifindex, &link);
	return json_pack("{s:s, s:s, s:f, s:I, s:s?, s:s, s:I, s:o, s:o}", "reason", status_verdict_name(sample->verdict), "text",
			 status_verdict_text(sample->verdict), "age_s", age_s, "time_s",
			 (json_int_t)((double)time(NULL) - age_s), "service", service, "interface", link.name, "bytes",
			 (json_int_t)sample->bytes, "headers", frame_headers(&frame), "bytes_hex", frame_hex(&frame));
}

static void put_samples(const struct director *director, enum hp_verdict verdict, json_t *list)
{
	struct hp_sample samples[HP_SAMPLES_KEPT];
	size_t count = dataplane_samples(&director->plane, verdict, samples);

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, sample_json(director, &samples[i]));
}

/* The verdict of that name among those that drop, whatever its case; 0: there is none. */
static uint32_t reason_named(const char *name)
{
	for (uint32_t v = 1; v < HP_VERDICT_COUNT; v++)
		if (actions[v] == XDP_DROP && !strcasecmp(name, status_verdict_name(v)))
			return v;
	return 0;
}

static int no_reason(const char *name, struct err *e)
{
	const char *names[HP_VERDICT_COUNT + 1] = {NULL}, *near;
	char all[600] = "";
	size_t count = 0;

	for (uint32_t v = 1; v < HP_VERDICT_COUNT; v++) {
		if (actions[v] != XDP_DROP)
			continue;
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", count ? ", " : "", status_verdict_name(v));
		names[count++] = status_verdict_name(v);
	}
	near = nearest_word(name, names);
	return err_set(e, -EINVAL, "no packet is dropped for the reason \"%s\"%s%s%s: there are %s", name,
		       near ? ", did you mean " : "", near ? near : "", near ? "?" : "", all);
}

json_t *samples_report(const struct director *director, const char *reason, struct err *e)
{
	uint32_t only = reason ? reason_named(reason) : 0;
	json_t *list;

	if (reason && !only) {
		no_reason(reason, e);
		return NULL;
	}
	list = json_array();
	for (uint32_t v = 1; v < HP_VERDICT_COUNT; v++)
		if (actions[v] == XDP_DROP && (!only || v == only))
			put_samples(director, (enum hp_verdict)v, list);
	return json_pack("{s:o}", "samples", list);
}
