/* Service: which service the flow belongs to; and what of a VIP's traffic belongs to none. */
#ifndef HP_SERVICE_H
#define HP_SERVICE_H

#include "packet.h"
#include "parse.h"

/* Flags of the flow's destination if it is a VIP, else NULL. */
static ALWAYS_INLINE __u32 *service_vip(const struct packet *pkt)
{
	struct hp_address6 vip6;
	__be32 vip4 = pkt->flow.destination[3];

	if (!pkt->flow.is_ipv6)
		return bpf_map_lookup_elem(&vips4, &vip4);
	__builtin_memcpy(&vip6, pkt->flow.destination, sizeof(vip6));
	return bpf_map_lookup_elem(&vips6, &vip6);
}

static ALWAYS_INLINE __u32 *service_number(const struct packet *pkt, __be16 port)
{
	if (pkt->flow.is_ipv6) {
		struct hp_key6 key = {.what = hp_key_what(port, pkt->flow.protocol)};

		__builtin_memcpy(key.vip, pkt->flow.destination, sizeof(key.vip));
		return bpf_map_lookup_elem(&services6, &key);
	}
	struct hp_key4 key = {.vip = pkt->flow.destination[3], .what = hp_key_what(port, pkt->flow.protocol)};

	return bpf_map_lookup_elem(&services4, &key);
}

/* The service of any port, for what no service claims by its port. Needs the flow's destination and protocol. */
static ALWAYS_INLINE enum hp_verdict service_any_port(struct packet *pkt)
{
	struct hp_trace *record;
	__u32 *number;

	if (!service_vip(pkt))
		return HP_NOT_VIP;
	number = service_number(pkt, 0);
	if (!number)
		return pkt->is_later_fragment ? HP_FRAGMENT : HP_VIP_OTHER;
	pkt->service = *number;
	if ((record = trace_record()))
		record->any_port = 1;
	return HP_CONTINUE;
}

/* Find the service of a TCP or UDP packet, or of the flow that an ICMP error quotes.
 *
 * Needs flow. Sets service, which is not 0 exactly when HP_CONTINUE is returned. */
static ALWAYS_INLINE enum hp_verdict service(struct packet *pkt)
{
	__u32 *number;

	if (unlikely(pkt->is_group))
		return HP_NOT_IP;
	if (unlikely(pkt->is_later_fragment))
		return service_any_port(pkt);
	number = service_number(pkt, pkt->flow.destination_port);
	if (unlikely(!number))
		return service_any_port(pkt);
	pkt->service = *number;
	return HP_CONTINUE;
}

#endif
