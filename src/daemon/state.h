/* What must outlive the daemon until the next boot: the running text and the one before it, overrides, and a
 * change that waits for its confirmation. Files in a folder, each replaced whole.
 *
 * A crash is not a change: a daemon that finds pins goes on with the running text, unless the configuration's
 * file has been edited since. Knows no packet and no loop. */
#ifndef HP_DAEMON_STATE_H
#define HP_DAEMON_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ip.h"

#define STATE_FOLDER "/run/halfproxy"
#define STATE_FILE_MOST_BYTES (64u << 20)

struct state_text {
	char *bytes; /* NULL: none */
	size_t count;
};

/* How far a drain is. */
enum state_drain {
	STATE_DRAIN_NONE,
	STATE_DRAIN_ON,
	STATE_DRAIN_EMPTY, /* no flow is left */
	STATE_DRAIN_CUT,   /* its deadline has cut those that were */
};

/* Who answers for the VIPs. */
enum state_role {
	STATE_ROLE_NONE, /* nobody has said */
	STATE_ROLE_ACTIVE,
	STATE_ROLE_STANDBY, /* another director does */
};

/* What an operator says of a backend in place of the text. A row says at least one thing. */
struct state_override {
	char *service;
	struct ip backend;
	bool has_weight;
	uint32_t weight;
	enum state_drain drain;
	uint64_t since_s;    /* boot clock: when it was drained */
	uint64_t deadline_s; /* boot clock: when flows that are left are cut; 0: never */
};

struct state {
	char folder[256];
	size_t made_from; /* length of the path of the first folder that was made; 0: none was */
	bool is_new;	  /* nothing was in it */
	struct state_text running;
	struct state_text previous; /* what undo goes back to */
	uint64_t file_hash;	    /* of the configuration's file when it was last read */
	bool is_file;		    /* running is the file's text as it was then */
	uint64_t confirm_by_s;	    /* boot clock; 0: nothing waits */
	enum state_role role;
	bool is_maintenance; /* no VIP is announced */
	struct state_override *overrides;
	size_t override_count;
};

/* Make the folder (0755) and read what is there. Damaged or missing files count as absent. A folder that cannot be
 * written to is refused. */
int state_open(struct state *state, const char *folder, struct err *e);

/* Undo state_open, for a start that failed: remove the files if there were none, and the folders that it made. */
void state_take_back(const struct state *state);
void state_close(struct state *state);

/* Forget the files. For --unload. */
void state_remove(const char *folder);

/* Write the small file: marks and overrides. */
int state_save(const struct state *state, struct err *e);

/* Make `text` the running one and the former running one the previous, on disk as well. Takes text's bytes. */
int state_advance(struct state *state, struct state_text *text, struct err *e);

/* Read a whole file. Returns 0 with *text owned by the caller, or -errno with *e written. */
int state_read_file(const char *path, struct state_text *text, struct err *e);
void state_text_free(struct state_text *text);
uint64_t state_text_hash(const struct state_text *text);

/* A backend's row, or NULL; one that is there or made, to be filled in, or NULL without memory. It is valid until a row
 * is made or taken away. */
struct state_override *state_override_find(const struct state *state, const char *service, const struct ip *backend);
struct state_override *state_override_take(struct state *state, const char *service, const struct ip *backend);

/* "draining", "empty" or "cut"; NULL for none. */
const char *state_drain_name(enum state_drain drain);

/* "active" or "standby"; NULL for none. */
const char *state_role_name(enum state_role role);
/* STATE_ROLE_NONE for any other text. */
enum state_role state_role_named(const char *name);

/* Take away rows that say nothing. */
void state_override_trim(struct state *state);

/* Drop the rows of a service. Returns how many there were. */
size_t state_override_drop(struct state *state, const char *service);

/* Seconds on the clock that goes on over suspends and that a restart of the daemon does not reset. */
uint64_t state_boot_s(void);

#endif
