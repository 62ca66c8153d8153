/* The options of a service's health: see config_schema.h. What they mean together is in config_check_health.c. */
#include <stdlib.h>
#include <string.h>

#include "core/config_read.h"

#define INTERVAL_LEAST_MS 10u
#define INTERVAL_MOST_MS  3600000u
#define TIMEOUT_MOST_MS	  60000u
#define STREAK_MOST	  1000
#define HTTP_PATH_MOST	  1024
#define BYTES_MOST	  1024 /* of what is sent and expected */
#define WORDS_MOST	  32   /* of a command */
#define WORD_BYTES_MOST	  4096
#define HEX_MARK	  "hex:"

static struct config_health *health_of(struct config_draft *draft)
{
	return draft->service->health;
}

static void read_type(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	static const struct config_word words[] = {{"tcp", CONFIG_PROBE_TCP},	{"http", CONFIG_PROBE_HTTP},
						    {"https", CONFIG_PROBE_HTTPS}, {"udp", CONFIG_PROBE_UDP},
						    {"dns", CONFIG_PROBE_DNS},	{"icmp", CONFIG_PROBE_ICMP},
						    {"script", CONFIG_PROBE_SCRIPT}, {NULL, 0}};
	struct config_draft *draft = target;
	int choice;

	draft->health.has_type = config_read_choice(reader, value, words, "health.type", &choice);
	if (draft->health.has_type)
		health_of(draft)->type = (enum config_probe)choice;
}

static void read_via(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	static const struct config_word words[] = {{"vip", 0}, {"backend", 1}, {NULL, 0}};
	struct config_draft *draft = target;
	int choice;

	if (config_read_choice(reader, value, words, "health.via", &choice))
		health_of(draft)->via_backend = choice;
}

static void read_path(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;
	const char *text = config_read_word(reader, value, "health.path");

	draft->health.path = value;
	if (!text)
		return;
	if (text[0] != '/' || strchr(text, ' ') || strchr(text, '#') || config_has_control(text) ||
	    strlen(text) > HTTP_PATH_MOST) {
		config_error(reader, value,
			     "health.path \"%s\" must begin with / and hold no blanks and no #, in at most %d bytes, such as "
			     "/healthz",
			     text, HTTP_PATH_MOST);
		return;
	}
	free(health_of(draft)->path);
	health_of(draft)->path = config_read_copy(text);
}

static void read_host(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;
	const char *text = config_read_word(reader, value, "health.host");

	draft->health.host = value;
	if (!text)
		return;
	if (!text[0] || strlen(text) > 253 || config_has_control(text) || strpbrk(text, " /@?#:")) {
		config_error(reader, value,
			     "health.host \"%s\" must be a host's name without a port, of 1 to 253 bytes, such as "
			     "www.example.net",
			     text);
		return;
	}
	health_of(draft)->host = config_read_copy(text);
}

static void read_port(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;
	uint64_t port;

	draft->health.port = value;
	if (config_read_number(reader, value, 1, 65535, "health.port", &port))
		health_of(draft)->port = (uint16_t)port;
}

/* A code of three digits at the text. */
static bool is_code(const char *text)
{
	return text[0] >= '1' && text[0] <= '5' && strspn(text, "0123456789") >= 3;
}

static bool read_codes(struct config_reader *reader, const struct yaml_node *value, struct config_codes *codes)
{
	const char *text = config_read_word(reader, value, "health.status");
	const char *last = text && strchr(text, '-') ? strchr(text, '-') + 1 : text;
	unsigned long low, high;

	if (!text)
		return false;
	low = strtoul(text, NULL, 10);
	high = strtoul(last, NULL, 10);
	if (!is_code(text) || !is_code(last) || strlen(last) != 3 || (last != text && last != text + 4) || low > high) {
		config_error(reader, value,
			     "health.status \"%s\" must be a code of HTTP, 100 to 599, two of them, such as 200-399, or a list "
			     "of such",
			     text);
		return false;
	}
	*codes = (struct config_codes){(uint16_t)low, (uint16_t)high};
	return true;
}

static int compare_codes(const void *left, const void *right)
{
	const struct config_codes *a = left, *b = right;

	return (int)a->first - (int)b->first;
}

/* In order, and what touches as one, so that what means the same is the same. */
static void merge_codes(struct config_health *health)
{
	struct config_codes *at = health->status;

	qsort(health->status, health->status_count, sizeof(*health->status), compare_codes);
	for (size_t i = 1; i < health->status_count; i++) {
		const struct config_codes next = health->status[i];

		if (next.first > at->last + 1)
			*++at = next;
		else if (next.last > at->last)
			at->last = next.last;
	}
	if (health->status_count)
		health->status_count = (size_t)(at - health->status) + 1;
	for (size_t i = health->status_count; i < CONFIG_CODES_MOST; i++)
		health->status[i] = (struct config_codes){0, 0};
}

static void read_status(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;
	struct config_health *health = health_of(draft);
	const struct yaml_node *one = value->kind == YAML_LIST ? value->first : value;

	draft->health.status = value;
	if (!one)
		config_error(reader, value, "health.status is an empty list: name the codes that are good, or leave it out");
	for (; one; one = value->kind == YAML_LIST ? one->next : NULL) {
		if (health->status_count == CONFIG_CODES_MOST) {
			config_error(reader, one, "health.status has more than %d codes or ranges", CONFIG_CODES_MOST);
			break;
		}
		health->status_count += read_codes(reader, one, &health->status[health->status_count]);
	}
	merge_codes(health);
}

static int hex_value(char digit)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = digit ? strchr(digits, digit | ' ') : NULL;

	return at ? (int)(at - digits) : -1;
}

/* A text as it stands, or behind hex: bytes as pairs of digits, since a text of YAML holds no zero byte. */
static void read_bytes(struct config_reader *reader, const struct yaml_node *value, const char *what, char **out,
		       size_t *out_bytes)
{
	const char *text = config_read_word(reader, value, what);
	bool is_hex = text && !strncmp(text, HEX_MARK, strlen(HEX_MARK));
	const char *digits = is_hex ? text + strlen(HEX_MARK) : text;
	size_t count = text ? strlen(digits) : 0;
	char *bytes;

	if (!text)
		return;
	if (!count || count > (is_hex ? 2 * BYTES_MOST : BYTES_MOST) || (is_hex && count % 2)) {
		config_error(reader, value, "%s must be 1 to %d bytes: a text, or " HEX_MARK " and two digits for each", what,
			     BYTES_MOST);
		return;
	}
	bytes = config_read_copy(digits);
	for (size_t i = 0; is_hex && i < count; i += 2) {
		int high = hex_value(digits[i]), low = hex_value(digits[i + 1]);

		if (high < 0 || low < 0) {
			config_error(reader, value, "%s: \"%.2s\" are no hexadecimal digits", what, digits + i);
			free(bytes);
			return;
		}
		bytes[i / 2] = (char)(high << 4 | low);
	}
	free(*out);
	*out = bytes;
	*out_bytes = is_hex ? count / 2 : count;
	bytes[*out_bytes] = '\0';
}

static void read_send(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;

	draft->health.send = value;
	read_bytes(reader, value, "health.send", &health_of(draft)->send, &health_of(draft)->send_bytes);
}

static void read_expect(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;

	draft->health.expect = value;
	read_bytes(reader, value, "health.expect", &health_of(draft)->expect, &health_of(draft)->expect_bytes);
}

static bool is_dns_name(const char *text)
{
	size_t bytes = strlen(text), label = 0;

	if (!strcmp(text, "."))
		return true;
	if (!bytes || bytes > 254 || config_has_control(text) || strchr(text, ' ') || text[0] == '.')
		return false;
	for (; *text; text++) {
		label = *text == '.' ? 0 : label + 1;
		if (label > 63 || (*text == '.' && text[1] == '.'))
			return false;
	}
	return true;
}

static void read_name(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;
	const char *text = config_read_word(reader, value, "health.name");

	draft->health.name = value;
	if (!text)
		return;
	if (!is_dns_name(text)) {
		config_error(reader, value,
			     "health.name \"%s\" is no name of DNS: labels of at most 63 bytes with points between them", text);
		return;
	}
	free(health_of(draft)->name);
	health_of(draft)->name = config_read_copy(text);
}

static void read_record(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	static const struct config_word words[] = {{"A", 1},	{"AAAA", 28}, {"NS", 2},   {"CNAME", 5}, {"SOA", 6},
						    {"PTR", 12}, {"MX", 15},   {"TXT", 16}, {"SRV", 33},  {NULL, 0}};
	struct config_draft *draft = target;
	int choice;

	draft->health.record = value;
	if (config_read_choice(reader, value, words, "health.record", &choice))
		health_of(draft)->record = (uint16_t)choice;
}

/* One word of a command. */
static bool read_argument(struct config_reader *reader, const struct yaml_node *value, struct config_health *health,
			  size_t count)
{
	if (value->kind != YAML_SCALAR) {
		config_error(reader, value, "health.command is a list of words: here is %s", yaml_kind_name(value->kind));
		return false;
	}
	if (strlen(value->text) > WORD_BYTES_MOST) {
		config_error(reader, value, "a word of health.command has %zu bytes: at most %d", strlen(value->text),
			     WORD_BYTES_MOST);
		return false;
	}
	health->command[count] = config_read_copy(value->text);
	return true;
}

static void read_command(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;
	struct config_health *health = health_of(draft);
	const struct yaml_node *word = value->kind == YAML_LIST ? value->first : value;
	size_t count = 0;

	draft->health.command = value;
	if (value->kind == YAML_MAP || !word || config_read_is_empty(word) || word->kind != YAML_SCALAR ||
	    word->text[0] != '/' || (value->kind == YAML_SCALAR && strchr(word->text, ' '))) {
		config_error(reader, value,
			     "health.command must be a program's absolute path, or a list of that and its arguments, such as "
			     "[/usr/local/bin/check, --fast]; no shell reads it");
		return;
	}
	health->command = calloc(WORDS_MOST + 1, sizeof(*health->command));
	if (!health->command)
		abort();
	for (; word; word = word->next, count++) {
		if (count == WORDS_MOST) {
			config_error(reader, word, "health.command has more than %d words", WORDS_MOST);
			return;
		}
		if (!read_argument(reader, word, health, count))
			return;
		if (value->kind == YAML_SCALAR)
			return;
	}
}

static void read_ca(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;

	draft->health.ca = value;
	config_read_path(reader, value, "health.ca", &health_of(draft)->ca);
}

static void read_certificate(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;

	draft->health.certificate = value;
	config_read_path(reader, value, "health.certificate", &health_of(draft)->certificate);
}

static void read_key(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;

	draft->health.key = value;
	config_read_path(reader, value, "health.key", &health_of(draft)->key);
}

static void read_verify(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	static const struct config_word words[] = {{"true", 1}, {"false", 0}, {NULL, 0}};
	struct config_draft *draft = target;
	int choice;

	draft->health.verify = value;
	if (config_read_choice(reader, value, words, "health.verify", &choice))
		health_of(draft)->verify = choice;
}

static void read_interval(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;

	config_read_ms(reader, value, INTERVAL_LEAST_MS, INTERVAL_MOST_MS, "health.interval", &health_of(draft)->interval_ms);
}

static void read_doubt(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;

	draft->health.doubt = value;
	config_read_ms(reader, value, INTERVAL_LEAST_MS, INTERVAL_MOST_MS, "health.doubt", &health_of(draft)->doubt_ms);
}

static void read_timeout(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;

	draft->health.timeout = value;
	config_read_ms(reader, value, 1, TIMEOUT_MOST_MS, "health.timeout", &health_of(draft)->timeout_ms);
}

static void read_rise(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;
	uint64_t number;

	if (config_read_number(reader, value, 1, STREAK_MOST, "health.rise", &number))
		health_of(draft)->rise = (uint32_t)number;
}

static void read_fall(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;
	uint64_t number;

	if (config_read_number(reader, value, 1, STREAK_MOST, "health.fall", &number))
		health_of(draft)->fall = (uint32_t)number;
}

static const struct config_option health_options[] = {
	{"type", read_type, true, "tcp, http, https, udp, dns, icmp or script"},
	{"via", read_via, false, "vip or backend: which address is asked; vip by default"},
	{"path", read_path, false, "of http and https: what is asked for; / by default"},
	{"host", read_host, false, "of http and https: the Host header, and the name in TLS"},
	{"port", read_port, false, "another port than the service's"},
	{"status", read_status, false, "of http and https: the codes that are good, or a list of such; 200-399 by default"},
	{"send", read_send, false, "of udp: what is sent"},
	{"expect", read_expect, false, "what must come back: of udp the beginning, of http a part, of dns an address"},
	{"name", read_name, false, "of dns: the name that is asked for"},
	{"record", read_record, false, "of dns: the type of record; A by default"},
	{"command", read_command, false, "of script: a program and its arguments"},
	{"ca", read_ca, false, "of https: a file of certificates that are trusted; the system's by default"},
	{"certificate", read_certificate, false, "of https: a file with the director's own certificate"},
	{"key", read_key, false, "of https: the file with its key"},
	{"verify", read_verify, false, "of https: whether the certificate has to hold; true by default"},
	{"interval", read_interval, false, "from probe to probe; 2s by default"},
	{"doubt", read_doubt, false, "from probe to probe while in doubt; a quarter of the interval by default"},
	{"timeout", read_timeout, false, "time for the whole answer; 1s by default, or the interval where that is less"},
	{"rise", read_rise, false, "good answers in a row until a backend that failed is up; 2 by default"},
	{"fall", read_fall, false, "bad answers in a row until a backend fails; 3 by default"},
};

void config_schema_health(struct config_reader *reader, const struct yaml_node *value, void *target)
{
	struct config_draft *draft = target;
	struct config_health *health = calloc(1, sizeof(*health));

	if (!health)
		abort();
	draft->health.at = value;
	draft->service->health = health;
	health->references = 1;
	health->verify = true;
	health->interval_ms = 2000;
	health->rise = 2;
	health->fall = 3;
	if (value->kind == YAML_MAP)
		CONFIG_READ_MAP(reader, value, health_options, draft, "health");
	else
		config_error(reader, value, "health must be a mapping, such as {type: http, path: /healthz}, not %s",
			     yaml_kind_name(value->kind));
}
