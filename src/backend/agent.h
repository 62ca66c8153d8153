/* The agent's deeds, up, down, status and doctor, and the memory they share. */
#ifndef HP_BACKEND_AGENT_H
#define HP_BACKEND_AGENT_H

#include <stdbool.h>

#include "backend/setup.h"
#include "base/err.h"

#define AGENT_STATE "/run/halfproxy-backend"

/* What the command line asks for. */
struct agent_request {
	struct ip vips[SETUP_LIST_MOST];
	size_t vip_count;
	uint32_t methods; /* SETUP_…; 0: none named */
	struct prefix senders[SETUP_LIST_MOST];
	size_t sender_count;
	const char *interface; /* NULL: found by routes */
	uint32_t mtu;	       /* 0: the interface's */
	enum {
		AGENT_KEY_UNSAID, /* as it was, none at first */
		AGENT_KEY_NONE,
		AGENT_KEY_SET,
	} gre_key_said;
	uint32_t gre_key; /* host order */
	enum {
		AGENT_CHANCE_UNSAID, /* as it was, on at first */
		AGENT_CHANCE_ON,
		AGENT_CHANCE_OFF,
	} second_chance;
	struct setup_map maps[SETUP_MAPS_MOST];
	size_t map_count;
	bool is_mapping; /* --map was said, be it none: these take the place of those before */
	uint32_t mss;	 /* 0: what the MTU leaves */
	bool is_bounding; /* --mss was said */
	bool is_json;
	bool is_fixing; /* doctor mends what is safe to mend */
};

/* Make this host a backend for the VIPs; without VIPs, put right whatever an earlier `up` set up. Prints what was done,
 * a line each. What is done is noted in the state file before it is done, so that a killed `up` can be taken back; an
 * `up` that fails takes back what it did itself. */
int agent_up(const struct agent_request *request, struct err *e);

/* Take it back: the VIPs named, or all. A setting that somebody changed since stays as it is, and is told. */
int agent_down(const struct agent_request *request, struct err *e);

/* Go from one setup back to an earlier or smaller one: VIPs, tunnels, settings and lo, in this order. What cannot be
 * taken back stays noted. *setup is brought up to date and saved. */
int agent_retreat(struct setup *setup, const struct setup *target, struct err *e);

/* Print each item as ok or wrong with its fix. Returns 0 all ok, 1 something wrong, or -errno. */
int agent_status(const struct agent_request *request, struct err *e);

/* Look at all that Direct Server Return needs of this host, for what is set up or for the VIPs named, and print it. With
 * is_fixing mend first what is safe, and look again. Returns 0 all ok, 1 warnings, 2 something wrong, or -errno. */
int agent_doctor(const struct agent_request *request, struct err *e);

/* The state file of this network namespace. */
const char *agent_state_path(char path[static 128]);

/* Read the state file. One of an earlier boot is no memory of this namespace, and counts as none. */
int agent_load(struct setup *setup, struct err *e);
int agent_save(const struct setup *setup, struct err *e);

/* Wait until no other agent is at work. Returns a descriptor that holds the lock until it is closed, or -errno. */
int agent_lock(struct err *e);

#endif
