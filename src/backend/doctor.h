/* The doctor of a backend: what each of its files looks at. Each adds items to the findings and changes nothing. */
#ifndef HP_BACKEND_DOCTOR_H
#define HP_BACKEND_DOCTOR_H

#include "backend/listeners.h"
#include "backend/setup.h"
#include "core/findings.h"
#include "doctor/look.h"

#define DOCTOR_UP_BYTES 256

/* What is looked at, and by what. */
struct doctor {
	struct setup setup;	  /* what is set up, or is meant to be */
	struct look look;
	char up[DOCTOR_UP_BYTES]; /* what `halfproxy-backend up` has to be told to bring it about; "" when it remembers */
	bool can_up;		  /* nothing of that is left open, so that --fix can do it */
	struct findings *findings;
};

/* An item that `up` mends. */
void doctor_by_up(const struct doctor *doctor, struct finding *item);

/* Addresses and silence: VIPs on lo and nowhere else, ARP, IPv6. doctor_vip.c */
void doctor_vips(struct doctor *doctor);
void doctor_silence(struct doctor *doctor);

/* The way in and out: interface, reverse path filter, route. doctor_way.c */
void doctor_way(struct doctor *doctor);

/* Programs: who opens tunnels, the MSS, second chances, senders that were refused, mapped ports. doctor_tunnel.c */
void doctor_tunnels(struct doctor *doctor);

/* Whether the kernel itself opens tunnels of outer and inner families by a device that is up; its name, or NULL. */
const char *doctor_kernel_tunnel(const struct look *look, const struct setup_vip *vip, bool is_outer4);

/* Mapped ports. doctor_ports.c */
struct tunnel_state;

void doctor_ports(struct doctor *doctor, const struct tunnel_state *state);

/* The judgement on their servers, pure. */
void doctor_judge_maps(const struct setup *setup, const struct listener *list, size_t count, struct findings *findings);

/* Who listens. doctor_service.c */
void doctor_services(struct doctor *doctor);

/* The judgement on listeners, pure. own: the host's addresses on the network. ephemeral: its range of ports for clients'
 * sockets. */
void doctor_judge_listeners(const struct setup *setup, const struct listener *list, size_t count,
			    const struct look_address *own, size_t own_count, const uint16_t ephemeral[static 2],
			    struct findings *findings);

#endif
