/* Which service serves what: each VIP, protocol and port has one, and two never share a range: see config_schema.h. */
#include <stdlib.h>
#include <string.h>

#include "core/config_schema.h"

/* Ports of a VIP that a service of the file serves. */
struct claim {
	struct ip vip;
	struct config_ports ports;
	uint8_t protocol;
	uint32_t line; /* of the service */
	size_t order;  /* in the file */
	const struct yaml_node *at;
};

static int compare(const void *one, const void *other)
{
	const struct claim *a = one, *b = other;
	int by_vip = ip_compare(&a->vip, &b->vip);

	if (by_vip)
		return by_vip;
	if (a->protocol != b->protocol)
		return a->protocol < b->protocol ? -1 : 1;
	if (a->ports.first != b->ports.first)
		return a->ports.first < b->ports.first ? -1 : 1;
	return a->order < b->order ? -1 : 1;
}

/* Any port is no overlap: it is what no other service claims. */
static bool overlap(const struct claim *a, const struct claim *b)
{
	return a->protocol == b->protocol && !ip_compare(&a->vip, &b->vip) && !a->ports.first == !b->ports.first &&
	       b->ports.first <= a->ports.last;
}

static void report(struct config_reader *reader, const struct claim *a, const struct claim *b)
{
	const struct claim *first = a->order < b->order ? a : b, *later = first == a ? b : a;
	char address[IP_TEXT_BYTES], one[CONFIG_PORT_TEXT_BYTES], other[CONFIG_PORT_TEXT_BYTES];
	bool is_same = a->ports.first == b->ports.first && a->ports.last == b->ports.last;

	ip_format(&later->vip, address);
	config_port_format(&later->ports, one);
	config_port_format(&first->ports, other);
	if (is_same)
		config_error(reader, later->at, "%s %s port %s is served on line %u already: each VIP, protocol and port has one "
						"service",
			     address, config_protocol_name(later->protocol), one, first->line);
	else
		config_error(reader, later->at, "%s %s port %s overlaps with port %s, which is served on line %u already: each "
						"VIP, protocol and port has one service",
			     address, config_protocol_name(later->protocol), one, other, first->line);
}

static size_t claim_all(const struct config_draft *draft, struct claim *claims, size_t count)
{
	static const struct ip blank;
	const struct config_service *service = draft->service;
	const struct yaml_node *at = draft->vip && draft->vip->kind == YAML_LIST ? draft->vip->first : draft->vip;

	for (size_t v = 0; v < service->vip_count && !draft->is_key_wrong; v++, at = at->next)
		for (size_t p = 0; p < service->port_count && !ip_equal(&service->vips[v], &blank); p++, count++)
			claims[count] = (struct claim){service->vips[v], service->ports[p], service->protocol, draft->at->line,
						       count, at};
	return count;
}

void config_check_keys(struct config_reader *reader)
{
	struct claim *claims, *last;
	size_t room = 0, count = 0;

	for (size_t i = 0; i < reader->draft_count; i++)
		room += reader->drafts[i].service->vip_count * reader->drafts[i].service->port_count;
	claims = calloc(room + 1, sizeof(*claims));
	if (!claims)
		abort();
	for (size_t i = 0; i < reader->draft_count; i++)
		count = claim_all(&reader->drafts[i], claims, count);
	qsort(claims, count, sizeof(*claims), compare);
	last = claims;
	for (size_t i = 1; i < count; i++) {
		bool is_beyond = !overlap(last, &claims[i]) || claims[i].ports.last > last->ports.last;

		if (overlap(last, &claims[i]))
			report(reader, last, &claims[i]);
		if (is_beyond)
			last = &claims[i];
	}
	free(claims);
}
