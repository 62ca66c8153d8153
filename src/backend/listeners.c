/* Listeners, out of /proc/net: see listeners.h. */
#include "backend/listeners.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

/* The addresses of /proc/net/{tcp,udp}{,6} are words of the host's order. */
static bool read_socket_address(const char *hex, bool is4, struct ip *out)
{
	uint32_t words[4];

	if (is4) {
		if (sscanf(hex, "%8X", &words[0]) != 1)
			return false;
		*out = ip_from4(words);
		return true;
	}
	if (sscanf(hex, "%8X%8X%8X%8X", &words[0], &words[1], &words[2], &words[3]) != 4)
		return false;
	*out = ip_from6(words);
	return true;
}

static void list_table(const char *table, const struct ip *vip, const char *name, char *out, size_t room)
{
	bool is4 = !strchr(table, '6');
	auto_fclose FILE *file = fopen(table, "re");
	bool is_tcp = strstr(table, "tcp") != NULL;
	char line[512], local[64];
	unsigned int port, state;
	struct ip ip;

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, " %*d: %32[0-9A-F]:%X %*[0-9A-F]:%*X %X", local, &port, &state) != 3)
			continue;
		if (state != (is_tcp ? 10u : 7u) || !read_socket_address(local, is4, &ip))
			continue;
		if (!ip_equal(&ip, vip) && !ip_is_unspecified(&ip))
			continue;
		snprintf(out + strlen(out), room - strlen(out), "%s%s/%u%s", *out ? ", " : "", name, port,
			 ip_is_unspecified(&ip) ? (is_tcp ? "" : " (wildcard: must answer from the VIP by IP_PKTINFO)") : "");
	}
}

void listeners_list(const struct ip *vip, char *out, size_t room)
{
	out[0] = '\0';
	if (ip_is4(vip)) {
		list_table("/proc/net/tcp", vip, "tcp", out, room);
		list_table("/proc/net/udp", vip, "udp", out, room);
	}
	list_table("/proc/net/tcp6", vip, "tcp", out, room);
	list_table("/proc/net/udp6", vip, "udp", out, room);
}
