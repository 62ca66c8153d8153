/* What a scheme remembers: see table.h. */
#include "table.h"

#include <stdio.h>
#include <stdlib.h>

static uint32_t take(struct table *table)
{
	uint32_t entry = table->free;

	if (entry) {
		table->free = table->entries[entry].newer;
		return entry;
	}
	if (table->used + 1 >= table->room) {
		table->room = table->room ? table->room + table->room / 2 : 1024;
		table->entries = realloc(table->entries, table->room * sizeof(*table->entries));
		if (!table->entries) {
			perror("halfproxy-simulate: remembered flows");
			exit(1);
		}
	}
	return ++table->used;
}

static void unlink_entry(struct table *table, uint32_t number)
{
	struct entry *entry = &table->entries[number];

	if (entry->newer)
		table->entries[entry->newer].older = entry->older;
	else
		table->newest = entry->older;
	if (entry->older)
		table->entries[entry->older].newer = entry->newer;
	else
		table->oldest = entry->newer;
}

static void link_newest(struct table *table, uint32_t number)
{
	struct entry *entry = &table->entries[number];

	entry->newer = 0;
	entry->older = table->newest;
	if (table->newest)
		table->entries[table->newest].newer = number;
	else
		table->oldest = number;
	table->newest = number;
}

static void note_peaks(struct table *table)
{
	if (table->fresh > table->peak_fresh)
		table->peak_fresh = table->fresh;
	if (table->kept > table->peak_kept)
		table->peak_kept = table->kept;
	if (table->fresh + table->kept > table->peak)
		table->peak = table->fresh + table->kept;
}

void table_remove(struct table *table, struct flow *flows, uint32_t number)
{
	struct entry *entry = &table->entries[number];

	if (entry->is_kept) {
		table->kept--;
	} else {
		unlink_entry(table, number);
		table->fresh--;
	}
	if (entry->flow)
		flows[entry->flow].entry[table->scheme] = 0;
	*entry = (struct entry){.newer = table->free};
	table->free = number;
}

uint32_t table_add(struct table *table, struct flow *flows, uint32_t flow, uint32_t backend, uint32_t now_ms)
{
	uint32_t number;

	while (table->fresh >= table->fresh_most) {
		table_remove(table, flows, table->oldest);
		table->evicted++;
	}
	number = take(table);
	table->entries[number] =
		(struct entry){.flow = flow, .backend = (uint16_t)backend, .since_ms = now_ms, .seen_ms = now_ms};
	link_newest(table, number);
	table->fresh++;
	note_peaks(table);
	if (flow)
		flows[flow].entry[table->scheme] = number;
	return number;
}

void table_touch(struct table *table, uint32_t number)
{
	if (table->entries[number].is_kept || table->newest == number)
		return;
	unlink_entry(table, number);
	link_newest(table, number);
}

bool table_keep(struct table *table, uint32_t number)
{
	if (table->kept >= table->kept_most)
		return false;
	unlink_entry(table, number);
	table->entries[number].is_kept = 1;
	table->fresh--;
	table->kept++;
	note_peaks(table);
	return true;
}

void table_destroy(struct table *table)
{
	free(table->entries);
	*table = (struct table){.entries = NULL};
}
