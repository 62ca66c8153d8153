/* The kernel's reverse path filter on one link: which values drop, and what mends it. */
#ifndef HP_DOCTOR_RP_FILTER_H
#define HP_DOCTOR_RP_FILTER_H

#include "core/findings.h"
#include "doctor/look.h"

/* Add a finding if the filter drops packets whose route back leads elsewhere: when strict, and on a link without an IPv4
 * address also when loose, as the kernel then knows no source to answer from. harm: what that means here. Returns the
 * finding, with command and fix, or NULL where there is nothing to say. */
struct finding *rp_filter_judge(const struct look *look, const struct look_link *link, const char *harm,
				struct findings *findings);

#endif
