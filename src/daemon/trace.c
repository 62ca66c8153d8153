/* POST /v1/trace: the loaded program's twin walks a packet, and tells step by step: see api_routes.h. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/api_routes.h"
#include "daemon/frame.h"
#include "daemon/trace_internal.h"

#define SOURCE_PORT 40000

static const char *const action_names[] = {
	[XDP_ABORTED] = "aborted",
	[XDP_DROP] = "dropped",
	[XDP_PASS] = "passed to the kernel",
	[XDP_TX] = "sent out of the interface it came by",
	[XDP_REDIRECT] = "sent out of another interface",
};

void trace_step(json_t *steps, const char *name, const char *format, ...)
{
	char text[400];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_array_append_new(steps, json_pack("{s:s, s:s}", "step", name, "text", text));
}

static const struct fleet_service *service_numbered(const struct director *director, uint32_t number)
{
	for (const struct fleet_service *s = director->fleet->services; s; s = s->hh.next)
		if (number && s->number == number)
			return s;
	return NULL;
}

const struct fleet_backend *trace_backend(const struct fleet *fleet, uint32_t number)
{
	return number < fleet->plane->limits.backends ? fleet->by_number[number] : NULL;
}

bool trace_has_continuity(const struct hp_trace *record)
{
	return record->motion || record->now || record->before;
}

static bool read_port(const json_t *value, uint16_t *out)
{
	if (!value)
		return true;
	if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > UINT16_MAX)
		return false;
	*out = (uint16_t)json_integer_value(value);
	return true;
}

/* The port to ask when none is given: the first that the VIP's only service has. */
static uint16_t only_port(const struct director *director, const struct frame_flow *flow)
{
	const struct config_service *only = NULL;

	for (const struct fleet_service *s = director->fleet->services; s; s = s->hh.next) {
		if (!ip_equal(&s->key.vip, &flow->destination) || s->key.protocol != flow->protocol || !s->key.port)
			continue;
		if (only && only != s->config)
			return 80;
		only = s->config;
	}
	return only ? only->ports[0].first : 80;
}

/* 0: not one that frames are made of. */
static uint8_t protocol_named(const char *name)
{
	static const uint8_t known[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ESP};

	for (size_t i = 0; i < sizeof(known); i++)
		if (!strcmp(config_protocol_name(known[i]), name))
			return known[i];
	return 0;
}

static bool read_flow(const struct director *director, const json_t *request, struct frame_flow *flow,
		      struct api_reply *reply)
{
	const char *source = json_string_value(json_object_get(request, "source"));
	const char *vip = json_string_value(json_object_get(request, "vip"));
	const char *protocol = json_string_value(json_object_get(request, "protocol"));
	const json_t *under_way = json_object_get(request, "under_way");

	*flow = (struct frame_flow){
		.protocol = IPPROTO_TCP, .source_port = SOURCE_PORT, .is_under_way = json_is_true(under_way)};
	if (protocol)
		flow->protocol = protocol_named(protocol);
	if (!source || !ip_parse(&flow->source, source))
		api_fail(reply, 400, "source \"%s\" must be an IPv4 or IPv6 address", source ? source : "");
	else if (!vip || !ip_parse(&flow->destination, vip))
		api_fail(reply, 400, "vip \"%s\" must be an IPv4 or IPv6 address", vip ? vip : "");
	else if (ip_is4(&flow->source) != ip_is4(&flow->destination))
		api_fail(reply, 400, "source and vip must be of one family");
	else if (!flow->protocol)
		api_fail(reply, 400, "protocol must be tcp, udp, sctp or esp, not \"%s\"", protocol);
	else if (under_way && !json_is_boolean(under_way))
		api_fail(reply, 400, "under_way must be true or false");
	else if (json_is_true(under_way) && flow->protocol != IPPROTO_TCP)
		api_fail(reply, 400, "under_way is for TCP: UDP has no opening packets, so each may be of a flow under way");
	else if (!read_port(json_object_get(request, "source_port"), &flow->source_port) ||
		 !read_port(json_object_get(request, "port"), &flow->destination_port))
		api_fail(reply, 400, "a port must be a number from 0 to 65535");
	else
		return true;
	return false;
}

static const struct port *way_in(const struct director *director)
{
	for (size_t i = 0; i < director->ports->count; i++)
		if (director->ports->list[i].role == DATAPLANE_INGRESS && director->ports->list[i].state == PORT_ATTACHED)
			return &director->ports->list[i];
	return NULL;
}

/* A packet and what became of it. */
struct traced {
	struct frame_flow flow;
	struct frame before, after;
	struct hp_trace trace;
	int action;
};

/* Frames made here are untagged and not padded. */
static uint32_t ip_bytes(const struct traced *traced)
{
	return traced->before.bytes - ETH_HLEN;
}

static bool is_forwarded(const struct hp_trace *trace)
{
	return trace->verdict == HP_FORWARDED || trace->verdict == HP_ICMP_FORWARDED;
}

/* What stands between the link header and the packet as it came. Of a packet that is forwarded. */
static uint32_t outer_bytes(const struct director *director, const struct traced *traced)
{
	return traced->after.bytes - director->plane.adjacencies[traced->trace.adjacency].l2_bytes - ip_bytes(traced);
}

/* Nothing but the second chance makes an outer header longer than its template. */
static bool has_chance(const struct director *director, const struct traced *traced)
{
	return is_forwarded(&traced->trace) &&
	       outer_bytes(director, traced) > director->plane.adjacencies[traced->trace.adjacency].outer_bytes;
}

static void tell_service(json_t *steps, const struct fleet_service *service, const struct hp_trace *trace)
{
	const char *by = trace->any_port ? "its address and protocol, any port" : "its address, protocol and port";

	if (!service) {
		trace_step(steps, "service", "none");
		return;
	}
	if (service->key.protocol == HP_PROTOCOL_ANY)
		by = "its address, every protocol";
	else if (service->key.more)
		by = "its address, protocol and range of ports";
	trace_step(steps, "service", "%s, found by %s", service->config->name, by);
}

/* What the ring says; where the packet goes while a change is lived through is continuity's to tell. */
static void tell_pick(json_t *steps, const struct fleet *fleet, const struct fleet_service *service,
		      const struct hp_trace *trace)
{
	const struct fleet_backend *backend = trace_backend(fleet, trace_has_continuity(trace) ? trace->now : trace->backend);
	char address[IP_TEXT_BYTES];

	if (!service || trace->verdict == HP_DENIED || trace->verdict == HP_LIMITED)
		return;
	if (!trace->ring) {
		trace_step(steps, "pick", "the service has no ring");
		return;
	}
	trace_step(steps, "pick", "hash of the %s is 0x%08x, which is slot %u of %u: backend %s",
		   service->config->hash == HP_HASH_SOURCE ? "source" : "flow", trace->hash, trace->slot, trace->size,
		   backend ? ip_format(&backend->identity.address, address) : "none");
	if (service->config->hash == HP_HASH_QUIC && !trace->quic)
		trace_step(steps, "pick", "no connection ID that names a server: it goes where its flow does");
}

static void tell_forward(json_t *steps, const struct director *director, const struct traced *traced, const char *interface)
{
	if (!traced->trace.backend)
		return;
	if (*interface)
		trace_step(steps, "forward", "%u bytes and %u of outer header fit the path's %u, out of %s", ip_bytes(traced),
			   outer_bytes(director, traced), director->plane.adjacencies[traced->trace.adjacency].mtu, interface);
	else
		trace_step(steps, "forward", "%s", status_verdict_text(traced->trace.verdict));
}

static json_t *frame_json(const struct frame *frame)
{
	return json_pack("{s:o, s:o}", "bytes_hex", frame_hex(frame), "headers", frame_headers(frame));
}

/* null: the configuration no longer names the backend. */
static json_t *weight_json(const struct fleet_service *service, const struct fleet_backend *backend)
{
	for (size_t i = 0; service && i < service->config->backend_count; i++)
		if (service->backends[i] == backend)
			return json_integer(service->config->backends[i].weight);
	return json_null();
}

static json_t *backend_json(const struct fleet *fleet, const struct fleet_service *service, const struct hp_trace *trace)
{
	static const char *const methods[HP_METHOD_COUNT] = {"",	   "l2",	  "ipip (4 in 4)",
							     "ipip (6 in 4)", "ipip (4 in 6)", "ipip (6 in 6)",
							     "gue (4 in 4)",  "gue (6 in 4)",  "gue (4 in 6)",
							     "gue (6 in 6)",  "gre (4 in 4)",  "gre (6 in 4)",
							     "gre (4 in 6)",  "gre (6 in 6)"};
	const struct fleet_backend *backend = trace_backend(fleet, trace->backend);
	char address[IP_TEXT_BYTES];

	if (!backend)
		return json_null();
	return json_pack("{s:s, s:o, s:s}", "address", ip_format(&backend->identity.address, address), "weight",
			 weight_json(service, backend), "method", methods[backend->identity.method]);
}

static json_t *ring_json(const struct fleet_service *service, const struct hp_trace *trace)
{
	char text[33];

	if (!service || !service->ring)
		return json_null();
	snprintf(text, sizeof(text), "%016llx%016llx", (unsigned long long)service->ring->fingerprint.word[0],
		 (unsigned long long)service->ring->fingerprint.word[1]);
	return json_pack("{s:i, s:s}", "size", (int)trace->size, "fingerprint", text);
}

/* The interface that the packet leaves by; "" when it does not. */
static const char *way_out(const struct director *director, const struct hp_trace *trace, struct resolver_link *link)
{
	*link = (struct resolver_link){.name = ""};
	if (is_forwarded(trace))
		resolver_link_numbered(director->resolver, director->plane.adjacencies[trace->adjacency].ifindex, link);
	return link->name;
}

static void report(struct director *director, const struct traced *traced, struct api_reply *reply)
{
	const struct hp_trace *trace = &traced->trace;
	const struct fleet_service *service = service_numbered(director, trace->service);
	bool is_sent = traced->action == XDP_TX || traced->action == XDP_REDIRECT;
	json_t *steps = json_array();
	struct resolver_link link;
	const char *interface = way_out(director, trace, &link);
	struct trace_walk walk = {
		director->fleet, service, trace, has_chance(director, traced), dataplane_boot_ns(), &traced->flow.source};
	int action = traced->action;
	json_t *continuity, *guard;

	trace_step(steps, "parse", "%u bytes of IP, protocol %u", ip_bytes(traced), traced->flow.protocol);
	tell_service(steps, service, trace);
	guard = trace_guard(&walk, steps);
	tell_pick(steps, director->fleet, service, trace);
	continuity = trace_continuity(&walk, steps);
	tell_forward(steps, director, traced, interface);
	reply->body = json_pack("{s:s, s:s, s:s, s:o, s:b, s:o, s:I, s:I, s:o, s:o, s:s, s:b, s:o, s:o, s:o}", "verdict",
				status_verdict_name(trace->verdict), "text", status_verdict_text(trace->verdict), "action",
				action >= 0 && action <= XDP_REDIRECT ? action_names[action] : "?", "service",
				service ? json_string(service->config->name) : json_null(), "any_port", trace->any_port, "ring",
				ring_json(service, trace), "hash", (json_int_t)trace->hash, "slot", (json_int_t)trace->slot,
				"backend", backend_json(director->fleet, service, trace), "continuity", continuity, "interface",
				interface, "redirected", action == XDP_REDIRECT, "before", frame_json(&traced->before), "after",
				is_sent ? frame_json(&traced->after) : json_null(), "steps", steps);
	json_object_set_new(reply->body, "guard", guard);
}

void trace_report(struct director *director, const json_t *request, struct api_reply *reply)
{
	static const uint8_t client_mac[6] = {0x02, 0, 0, 0, 0, 1};
	const struct port *port = way_in(director);
	struct resolver_link link;
	struct frame_flow *flow;
	struct traced traced;
	struct err e;

	flow = &traced.flow;
	if (!read_flow(director, request, flow, reply))
		return;
	if (!port || !resolver_link_numbered(director->resolver, port->ifindex, &link)) {
		api_fail(reply, 409, "no interface is attached, so no packet can come in");
		return;
	}
	if (!flow->destination_port)
		flow->destination_port = only_port(director, flow);
	frame_make(&traced.before, flow, client_mac, link.mac);
	traced.after = traced.before;
	traced.action = dataplane_run(&director->plane, traced.after.byte, &traced.after.bytes, sizeof(traced.after.byte),
				      port->ifindex, &traced.trace, &e);
	if (traced.action < 0)
		api_fail(reply, 500, "%s", e.text);
	else
		report(director, &traced, reply);
}
