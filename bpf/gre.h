/* GRE as both ends of our tunnels speak it: version 0, no checksum, no sequence number (RFC 2784), a key where one is
 * configured (RFC 2890).
 *
 * Both ABIs include this; it includes nothing but the kernel's type names. */
#ifndef HP_GRE_H
#define HP_GRE_H

#include <linux/types.h>

struct hp_gre {
	__be16 flags;	 /* HP_GRE_KEY or 0; the low bits are the version */
	__be16 protocol; /* the EtherType of the packet within */
};

#define HP_GRE_KEY 0x2000 /* host order: a key follows */

#define HP_GRE_BYTES 4
#define HP_GRE_KEYED_BYTES 8

_Static_assert(sizeof(struct hp_gre) == HP_GRE_BYTES, "hp_gre is a word");

#endif
