/* Mapped ports: see portmap.h. */
#include "backend/portmap.h"

#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool parse_port(uint16_t *port, const char *text, char end, const char **rest)
{
	char *stop;
	unsigned long value;

	if (!isdigit((unsigned char)*text))
		return false;
	value = strtoul(text, &stop, 10);
	if (!value || value > UINT16_MAX || *stop != end)
		return false;
	*port = (uint16_t)value;
	*rest = stop + 1;
	return true;
}

bool portmap_parse(struct setup_map *map, const char *text)
{
	struct setup_map out = {0};

	if (!strncmp(text, "tcp/", 4))
		out.protocol = IPPROTO_TCP;
	else if (!strncmp(text, "udp/", 4))
		out.protocol = IPPROTO_UDP;
	text += out.protocol ? 4 : 0;
	if (!parse_port(&out.port, text, ':', &text) || !parse_port(&out.server, text, '\0', &text) || out.port == out.server)
		return false;
	*map = out;
	return true;
}

const char *portmap_format(const struct setup_map *map, char text[static PORTMAP_TEXT_BYTES])
{
	snprintf(text, PORTMAP_TEXT_BYTES, "%s%u:%u", map->protocol == IPPROTO_TCP ? "tcp/" : map->protocol ? "udp/" : "",
		 map->port, map->server);
	return text;
}

bool portmap_has(const struct setup_map *map, uint8_t protocol)
{
	return !map->protocol || map->protocol == protocol;
}

static int check_pair(const struct setup_map *a, const struct setup_map *b, struct err *e)
{
	bool is_tcp = portmap_has(a, IPPROTO_TCP) && portmap_has(b, IPPROTO_TCP);
	bool is_udp = portmap_has(a, IPPROTO_UDP) && portmap_has(b, IPPROTO_UDP);
	char one[PORTMAP_TEXT_BYTES], other[PORTMAP_TEXT_BYTES];

	if (!is_tcp && !is_udp)
		return 0;
	portmap_format(a, one);
	portmap_format(b, other);
	if (a->port == b->port)
		return err_set(e, -EINVAL, "--map %s and --map %s give port %u two servers", one, other, a->port);
	if (a->server == b->port || a->port == b->server)
		return err_set(e, -EINVAL, "--map %s and --map %s: what comes for port %u goes to another port, so no server of "
					   "a map can have it", one, other, a->server == b->port ? b->port : a->port);
	if (is_udp && a->server == b->server)
		return err_set(e, -EINVAL, "--map %s and --map %s: answers of a UDP server leave from one port, so it can serve "
					   "one; if they are for TCP, say tcp/%s and tcp/%s", one, other,
			       a->protocol ? one + 4 : one, b->protocol ? other + 4 : other);
	return 0;
}

int portmap_check(const struct setup_map *maps, size_t count, struct err *e)
{
	int code = 0;

	for (size_t i = 0; !code && i < count; i++)
		for (size_t j = 0; !code && j < i; j++)
			code = check_pair(&maps[j], &maps[i], e);
	return code;
}

size_t portmap_row_count(const struct setup_map *maps, size_t count)
{
	size_t rows = 0;

	for (size_t i = 0; i < count; i++)
		rows += portmap_has(&maps[i], IPPROTO_TCP) + 2u * portmap_has(&maps[i], IPPROTO_UDP);
	return rows;
}

uint16_t portmap_other(const struct setup_map *maps, size_t count, uint8_t protocol, bool is_answer, uint16_t port)
{
	for (size_t i = 0; i < count; i++)
		if (portmap_has(&maps[i], protocol) && port == (is_answer ? maps[i].server : maps[i].port))
			return !is_answer ? maps[i].server : protocol == IPPROTO_UDP ? maps[i].port : 0;
	return 0;
}
