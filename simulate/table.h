/* What a scheme remembers: entries, each of a flow, or of a stranger that a flood sent.
 *
 * In two parts. `fresh` is a list by last use, bounded, where the least recently used makes room; `kept` is bounded as
 * well and evicts nobody. A plain LRU has no kept part, a plain table no bound. The list is exact, where the kernel's is
 * an approximation: that favours those who live by it. */
#ifndef HP_SIMULATE_TABLE_H
#define HP_SIMULATE_TABLE_H

#include <stdbool.h>

#include "flow.h"

struct entry {
	uint32_t flow; /* 0: the flow has ended, or it is a stranger's */
	uint32_t newer, older; /* by last use, of the fresh; or the next free */
	uint32_t since_ms, seen_ms;
	uint16_t backend; /* 0: the entry is free */
	uint8_t marks;	  /* HP_FLOW_* */
	uint8_t is_kept;
};

struct table {
	enum scheme_kind scheme; /* whose: the member of flow.entry */
	struct entry *entries;	 /* 0 is none */
	uint32_t room, used;	 /* of memory; entries below used have been taken once */
	uint32_t free;
	uint32_t newest, oldest;
	uint32_t fresh, kept;		/* how many */
	uint32_t fresh_most, kept_most; /* UINT32_MAX: no bound */
	uint32_t peak_fresh, peak_kept, peak; /* at any one time */
	uint64_t evicted;
};

/* Remember a flow; number 0 is a stranger. May evict. Exits when there is no memory. */
uint32_t table_add(struct table *table, struct flow *flows, uint32_t flow, uint32_t backend, uint32_t now_ms);

void table_remove(struct table *table, struct flow *flows, uint32_t entry);

/* It becomes the most recently used. */
void table_touch(struct table *table, uint32_t entry);

/* From fresh to kept. Returns false, with nothing done, when that part is full. */
bool table_keep(struct table *table, uint32_t entry);

void table_destroy(struct table *table);

#endif
