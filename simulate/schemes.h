/* What is compared: ways to find the backend of a packet, each with what it remembers, and what each has broken. */
#ifndef HP_SIMULATE_SCHEMES_H
#define HP_SIMULATE_SCHEMES_H

#include "core/motion.h"
#include "site.h"
#include "table.h"

/* How long a flow had been silent when it was broken. */
enum silence {
	SILENT_SECOND, /* less than a second */
	SILENT_MINUTE,
	SILENT_HOUR,
	SILENT_WINDOW, /* not longer than the window */
	SILENT_LONGER,
	SILENCES
};

/* The state of one of ours. */
struct ours {
	struct motion motion;
	uint32_t *before; /* as large as the ring */
	bool has_before;
	bool has_chance;
};

struct schemes {
	const struct site *site;
	uint32_t window_ms;
	struct table tables[SCHEMES];
	struct ours ours[2]; /* SCHEME_OURS, SCHEME_CHANCE */
	uint64_t broken[SCHEMES][SILENCES];
	uint64_t passed_on; /* packets that a backend passed on, by the second chance */
	double differ;	    /* the largest share of slots where now and before differed while moving */
};

extern const char *const scheme_names[SCHEMES];

/* Exits when there is no memory. Tables have no bounds yet. */
void schemes_init(struct schemes *schemes, const struct site *site, uint32_t window_s);
void schemes_destroy(struct schemes *schemes);

/* A packet of a flow: through every scheme that has not broken it. kind: HP_PACKET_OPENING, _UNDER_WAY or _FIN. */
void schemes_packet(struct schemes *schemes, struct flow *flows, uint32_t number, int kind, uint32_t now_ms);

/* A SYN that a flood sent. */
void schemes_flood(struct schemes *schemes, struct flow *flows, uint32_t hash, uint32_t now_ms);

/* Another ring than schemes->site has now is about to come; and it has come. */
void schemes_before_change(struct schemes *schemes, uint32_t now_ms);
void schemes_after_change(struct schemes *schemes);

/* A removed backend is given up. */
void schemes_give_up(struct schemes *schemes, struct flow *flows, uint32_t backend);

/* The flow has ended: nothing may name it any longer. */
void schemes_forget(struct schemes *schemes, const struct flow *flow);

/* What a daemon does now and then: windows end, what is over is forgotten. */
void schemes_sweep(struct schemes *schemes, struct flow *flows, uint32_t now_ms);

#endif
