/* Why a backend fails a check: evidence to a cause and a sentence. Pure.
 *
 * The evidence is what the director alone can see: what came of the probe down the path of clients' packets, whether the
 * backend's own address and the VIP answer otherwise, and what came back that no socket asked for. */
#ifndef HP_CORE_VERDICT_H
#define HP_CORE_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/causes.h"
#include "core/health.h"

enum verdict_known {
	VERDICT_UNKNOWN, /* nobody has asked, or the answer is still out */
	VERDICT_ANSWERS,
	VERDICT_SILENT,
};

/* ICMP about the packet that carried the probe, the outer one of a tunnel. */
enum verdict_icmp {
	VERDICT_NO_ICMP,
	VERDICT_NO_PROTOCOL,
	VERDICT_NO_PORT, /* of a tunnel's UDP */
	VERDICT_NO_HOST, /* or network, or its time was over on the way */
	VERDICT_PROHIBITED,
	VERDICT_TOO_BIG,
};

struct verdict_evidence {
	struct ip vip, backend;
	const char *method; /* of the service: "l2", "ipip", "gue" */
	uint16_t port;	    /* 0: the check has none */
	bool is_via_backend; /* the check asks the backend's own address, not the VIP */
	bool is_udp, is_script;

	struct health_result result; /* of the probe */
	enum verdict_known own;	     /* the backend's own address, by any question */
	bool own_accepts;	     /* TCP: that port of the own address takes connections */
	enum verdict_known echo;     /* the VIP, by ping down the same path */
	enum verdict_known full;     /* a packet of full size down that path; SILENT: it gets lost, while small ones arrive */
	enum verdict_icmp icmp;	     /* about the outer packet */
	struct ip icmp_from;
	struct ip probe_source;	     /* the outer source of probes, where that of clients' packets varies; zeros: the same */
	uint32_t timeout_ms;	     /* of the check */
	bool came_back;		     /* a packet for the VIP came back from the backend */
	bool answer_arrived;	     /* an answer reached this host's interface, and no socket */
	bool is_unresolved;	     /* the next hop does not resolve */
	bool is_vip_local;	     /* the VIP is an address of this host, which then answers its probes itself */
};

#define VERDICT_TEXT_BYTES 400

struct verdict {
	enum cause cause;     /* CAUSE_NONE: nothing is wrong */
	bool is_certain;      /* false: the likeliest of several, which the sentence names */
	char text[VERDICT_TEXT_BYTES];
};

/* The cause, and the sentence that says it; "" when the answer is good and nothing is doubtful. A good answer with a cause is
 * a healthy backend with a warning. */
void verdict_judge(const struct verdict_evidence *evidence, struct verdict *out);

#endif
