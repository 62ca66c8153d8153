/* What a network card's settings do to XDP. Pure: ethtool's answers to findings. */
#ifndef HP_CORE_JUDGE_NIC_H
#define HP_CORE_JUDGE_NIC_H

#include <stddef.h>
#include <stdint.h>

#include "core/findings.h"

#define JUDGE_NIC_FEATURES_MOST 128

/* A feature as ETHTOOL_GSTRINGS names it and ETHTOOL_GFEATURES says it is. */
struct judge_feature {
	char name[32];
	bool is_on;
	bool is_fixed; /* nobody can change it */
};

enum judge_xdp {
	JUDGE_XDP_NONE,
	JUDGE_XDP_NATIVE,
	JUDGE_XDP_GENERIC,
};

struct judge_nic {
	char name[16];
	char driver[32]; /* "" where ethtool tells none */
	uint32_t mtu;
	enum judge_xdp xdp;
	size_t feature_count;
	struct judge_feature features[JUDGE_NIC_FEATURES_MOST];
};

/* A card whose packets come in by XDP. */
void judge_nic(const struct judge_nic *nic, struct findings *findings);

#endif
