/* What the files of the fleet share among themselves. */
#ifndef HP_DAEMON_FLEET_INTERNAL_H
#define HP_DAEMON_FLEET_INTERNAL_H

#include "daemon/fleet.h"

uint32_t fleet_ring_blocks(uint32_t size);

/* The ring of a service's usable backends: one that is there, or one built in blocks that no packet sees yet. A
 * reference is taken. *ring is NULL when no backend is usable. Returns 0, -ENOSPC or -ENOMEM. */
int fleet_ring_take(struct fleet *fleet, const struct config_service *config, struct fleet_backend *const *backends,
		    struct fleet_ring **ring, struct err *e);
void fleet_ring_drop(struct fleet *fleet, struct fleet_ring *ring);

/* The backend of that identity, made if need be, with one reference more for `service` (NULL: one still being
 * prepared). Returns NULL with *e written when numbers or memory are out. */
struct fleet_backend *fleet_backend_take(struct fleet *fleet, const struct fleet_identity *identity, struct err *e);
void fleet_backend_drop(struct fleet *fleet, struct fleet_backend *backend);

/* Note or forget that a service lists the backend. Returns false when memory is out. */
bool fleet_backend_join(struct fleet_backend *backend, struct fleet_service *service);
void fleet_backend_part(struct fleet_backend *backend, struct fleet_service *service);

/* Put a service's ring where packets see it, and its VIP up or down. */
void fleet_publish(struct fleet *fleet, struct fleet_service *service, struct fleet_ring *ring);

struct fleet_vip *fleet_vip_take(struct fleet *fleet, const struct ip *address);
void fleet_vip_drop(struct fleet *fleet, struct fleet_vip *vip);
/* Make the map of VIPs what the mirror says, after an adoption: a daemon that was killed between two writes may have
 * left a VIP that no service has, or the wrong flag at one. */
void fleet_vips_settle(struct fleet *fleet);

/* Number or blocks from an allocator, after a grace period if that helps. 0: none. */
uint32_t fleet_take(struct fleet *fleet, struct extents *from, uint32_t count);

#endif
