/* POST /v1/trace: the loaded program's twin walks a packet, and tells step by step: see api_routes.h. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/api_routes.h"
#include "daemon/frame.h"

#define SOURCE_PORT 40000

static const char *const action_names[] = {
	[XDP_ABORTED] = "aborted",
	[XDP_DROP] = "dropped",
	[XDP_PASS] = "passed to the kernel",
	[XDP_TX] = "sent out of the interface it came by",
	[XDP_REDIRECT] = "sent out of another interface",
};

static void step(json_t *steps, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void step(json_t *steps, const char *name, const char *format, ...)
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

/* The backend of a number within the service that the packet met. */
static ptrdiff_t backend_numbered(const struct fleet_service *service, uint32_t number)
{
	for (size_t i = 0; service && i < service->config->backend_count; i++)
		if (number && service->backends[i]->number == number)
			return (ptrdiff_t)i;
	return -1;
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

/* The port to ask when none is given: that of the VIP's only service. */
static uint16_t only_port(const struct director *director, const struct frame_flow *flow)
{
	uint16_t port = 80;
	unsigned int found = 0;

	for (const struct fleet_service *s = director->fleet->services; s; s = s->hh.next)
		if (ip_equal(&s->key.vip, &flow->destination) && s->key.protocol == flow->protocol && s->key.port) {
			port = s->key.port;
			found++;
		}
	return found == 1 ? port : 80;
}

static bool read_flow(const struct director *director, const json_t *request, struct frame_flow *flow,
		      struct api_reply *reply)
{
	const char *source = json_string_value(json_object_get(request, "source"));
	const char *vip = json_string_value(json_object_get(request, "vip"));
	const char *protocol = json_string_value(json_object_get(request, "protocol"));

	*flow = (struct frame_flow){.protocol = IPPROTO_TCP, .source_port = SOURCE_PORT};
	if (protocol && !strcmp(protocol, "udp"))
		flow->protocol = IPPROTO_UDP;
	if (!source || !ip_parse(&flow->source, source))
		api_fail(reply, 400, "source \"%s\" must be an IPv4 or IPv6 address", source ? source : "");
	else if (!vip || !ip_parse(&flow->destination, vip))
		api_fail(reply, 400, "vip \"%s\" must be an IPv4 or IPv6 address", vip ? vip : "");
	else if (ip_is4(&flow->source) != ip_is4(&flow->destination))
		api_fail(reply, 400, "source and vip must be of one family");
	else if (protocol && strcmp(protocol, "tcp") != 0 && strcmp(protocol, "udp") != 0)
		api_fail(reply, 400, "protocol must be tcp or udp, not \"%s\"", protocol);
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

/* A flow's first packet and what became of it. */
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

static void tell_service(json_t *steps, const struct fleet_service *service, const struct hp_trace *trace)
{
	if (!service) {
		step(steps, "service", "none");
		return;
	}
	step(steps, "service", "%s, found by %s", service->config->name,
	     trace->any_port ? "its address and protocol, any port" : "its address, protocol and port");
}

static void tell_pick(json_t *steps, const struct fleet_service *service, const struct hp_trace *trace)
{
	ptrdiff_t index = backend_numbered(service, trace->backend);
	char address[IP_TEXT_BYTES];

	if (!service)
		return;
	if (!trace->ring) {
		step(steps, "pick", "the service has no ring");
		return;
	}
	step(steps, "pick", "hash of the %s is 0x%08x, which is slot %u of %u: backend %s",
	     config_hash_name(service->config->hash), trace->hash, trace->slot, trace->size,
	     index < 0 ? "none" : ip_format(&service->config->backends[index].address, address));
}

static void tell_forward(json_t *steps, const struct director *director, const struct traced *traced, const char *interface)
{
	const struct hp_adjacency *adjacency = &director->plane.adjacencies[traced->trace.adjacency];

	if (!traced->trace.backend)
		return;
	if (*interface)
		step(steps, "forward", "%u bytes and %u of outer header fit the path's %u, out of %s", ip_bytes(traced),
		     adjacency->outer_bytes, adjacency->mtu, interface);
	else
		step(steps, "forward", "%s", status_verdict_text(traced->trace.verdict));
}

static json_t *frame_json(const struct frame *frame)
{
	return json_pack("{s:o, s:o}", "bytes_hex", frame_hex(frame), "headers", frame_headers(frame));
}

static json_t *backend_json(const struct fleet_service *service, const struct hp_trace *trace)
{
	static const char *const methods[HP_METHOD_COUNT] = {"",	   "l2",	  "ipip (4 in 4)",
							     "ipip (6 in 4)", "ipip (4 in 6)", "ipip (6 in 6)",
							     "gue (4 in 4)",  "gue (6 in 4)",  "gue (4 in 6)",
							     "gue (6 in 6)"};
	ptrdiff_t index = backend_numbered(service, trace->backend);
	char address[IP_TEXT_BYTES];

	if (index < 0)
		return json_null();
	return json_pack("{s:s, s:i, s:s}", "address", ip_format(&service->config->backends[index].address, address),
			 "weight", (int)service->config->backends[index].weight, "method",
			 methods[service->backends[index]->identity.method]);
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
	if (trace->verdict == HP_FORWARDED || trace->verdict == HP_ICMP_FORWARDED)
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
	int action = traced->action;

	step(steps, "parse", "%u bytes of IP, protocol %u", ip_bytes(traced), traced->flow.protocol);
	tell_service(steps, service, trace);
	tell_pick(steps, service, trace);
	tell_forward(steps, director, traced, interface);
	reply->body = json_pack("{s:s, s:s, s:s, s:o, s:b, s:o, s:I, s:I, s:o, s:s, s:b, s:o, s:o, s:o}", "verdict",
				status_verdict_name(trace->verdict), "text", status_verdict_text(trace->verdict), "action",
				action >= 0 && action <= XDP_REDIRECT ? action_names[action] : "?", "service",
				service ? json_string(service->config->name) : json_null(), "any_port", trace->any_port, "ring",
				ring_json(service, trace), "hash", (json_int_t)trace->hash, "slot", (json_int_t)trace->slot,
				"backend", backend_json(service, trace), "interface", interface, "redirected",
				action == XDP_REDIRECT, "before", frame_json(&traced->before), "after",
				is_sent ? frame_json(&traced->after) : json_null(), "steps", steps);
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
