/* VLAN tags that a NIC takes off a packet and keeps beside it (rx-vlan-offload): XDP sees such a packet without
 * them, and what it sends leaves without them. Where tags matter the offload is switched off, and what was switched
 * off is remembered in a file of the state's folder, so that --unload can restore it.
 *
 * Logs each setting that it changes. Knows interfaces by their number, so that a renamed one is restored too. */
#ifndef HP_DAEMON_VLAN_OFFLOAD_H
#define HP_DAEMON_VLAN_OFFLOAD_H

#include <stdint.h>

#include "base/err.h"

struct vlan_offload;

/* folder  the state's; a file that is missing or damaged counts as empty.
 * Returns NULL when memory is out. */
struct vlan_offload *vlan_offload_open(const char *folder);
void vlan_offload_close(struct vlan_offload *offload);

/* Have the interface leave tags in packets. Nothing happens where it does already.
 *
 * Returns 0, or -errno with *e saying that the driver cannot. */
int vlan_offload_off(struct vlan_offload *offload, uint32_t ifindex, struct err *e);

/* Switch on again what vlan_offload_off has switched off there. */
void vlan_offload_restore(struct vlan_offload *offload, uint32_t ifindex);

/* The same for all interfaces, and remove the file. For --unload. */
void vlan_offload_restore_all(const char *folder);

#endif
