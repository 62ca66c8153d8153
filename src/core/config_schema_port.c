/* The option `port` of a service: see config_schema.h. */
#include <stdlib.h>
#include <string.h>

#include "core/config_read.h"

#define WHAT "port (a number, a range, a list of them, or `any`)"

static bool is_any(const struct yaml_node *value)
{
	return value->kind == YAML_SCALAR && !strcmp(value->text, "any");
}

/* FIRST-LAST: the two numbers. Returns false, with *first untouched, for what does not look like it. */
static bool split_range(const char *text, unsigned long *first, unsigned long *last)
{
	unsigned long low, high;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	low = strtoul(text, &end, 10);
	if (end[0] != '-' || end[1] < '0' || end[1] > '9')
		return false;
	high = strtoul(end + 1, &end, 10);
	if (*end)
		return false;
	*first = low;
	*last = high;
	return true;
}

static bool read_range(struct config_reader *reader, const struct yaml_node *value, unsigned long first,
		       unsigned long last, struct config_ports *out)
{
	if (!first || first > 65535 || !last || last > 65535) {
		config_error(reader, value, "port range %s is out of range: 1 to 65535", value->text);
		return false;
	}
	if (first > last) {
		config_error(reader, value, "port range %s runs backwards: write %lu-%lu", value->text, last, first);
		return false;
	}
	*out = (struct config_ports){(uint16_t)first, (uint16_t)last};
	return true;
}

/* A port, or a range of them. */
static bool read_ports(struct config_reader *reader, const struct yaml_node *value, struct config_ports *out)
{
	unsigned long first, last;
	uint64_t port;

	if (value->kind == YAML_SCALAR && split_range(value->text, &first, &last))
		return read_range(reader, value, first, last, out);
	if (!config_read_number(reader, value, 1, 65535, WHAT, &port))
		return false;
	*out = (struct config_ports){(uint16_t)port, (uint16_t)port};
	return true;
}

static bool is_apart(struct config_reader *reader, const struct yaml_node *value, const struct config_service *service,
		     const struct config_ports *ports)
{
	char one[CONFIG_PORT_TEXT_BYTES], other[CONFIG_PORT_TEXT_BYTES];

	for (size_t i = 0; i < service->port_count; i++)
		if (ports->first <= service->ports[i].last && ports->last >= service->ports[i].first) {
			config_error(reader, value, "port %s stands in this list already, in %s", config_port_format(ports, one),
				     config_port_format(&service->ports[i], other));
			return false;
		}
	return true;
}

static bool add(struct config_reader *reader, const struct yaml_node *value, struct config_service *service)
{
	struct config_ports ports = {0, 0};

	if (!is_any(value) && (!read_ports(reader, value, &ports) || !is_apart(reader, value, service, &ports)))
		return false;
	service->ports = config_read_grow(service->ports, service->port_count, sizeof(ports));
	service->ports[service->port_count++] = ports;
	return true;
}

static bool add_list(struct config_reader *reader, const struct yaml_node *list, struct config_service *service)
{
	bool is_right = true;
	size_t count = 0;

	if (!list->first)
		config_error(reader, list, "port is an empty list: name at least one port, or any");
	for (const struct yaml_node *node = list->first; node; node = node->next) {
		if (is_any(node))
			config_error(reader, node, "any is every port: it stands alone, not in a list");
		else if (++count == CONFIG_PORTS_MOST + 1)
			config_error(reader, node, "port lists more than %d ports and ranges: join them to ranges, or write any",
				     CONFIG_PORTS_MOST);
		is_right = !is_any(node) && count <= CONFIG_PORTS_MOST && add(reader, node, service) && is_right;
	}
	return is_right && list->first;
}

void config_schema_port(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;

	draft->port = value;
	if (!(value->kind == YAML_LIST ? add_list : add)(reader, value, draft->service))
		draft->is_key_wrong = true;
}
