/* The kind dns: a question for a name's records. c-ares writes it and reads the answer; the way there is
 * probe_datagram.c's.
 *
 * Good is an answer to this very question, without an error, that holds such a record, and the expected address if
 * there is one. A datagram with another id is not believed, as anybody may have sent it: the answer may still come. */
#include <ares.h>
#include <ares_dns.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/probe_internal.h"

#define ANSWER_BYTES_MOST 1232 /* as EDNS tells the server: no fragment on any way */
#define ADDRESSES_MOST	  64

static const char *rcode_words(unsigned int rcode)
{
	static const char *const words[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"};

	return rcode < sizeof(words) / sizeof(words[0]) ? words[rcode] : "an error";
}

static const char *record_words(uint16_t record)
{
	static const struct {
		uint16_t record;
		const char *words;
	} rows[] = {{ns_t_a, "A"},   {ns_t_ns, "NS"},	{ns_t_cname, "CNAME"}, {ns_t_soa, "SOA"}, {ns_t_ptr, "PTR"},
			{ns_t_mx, "MX"}, {ns_t_txt, "TXT"}, {ns_t_aaaa, "AAAA"},   {ns_t_srv, "SRV"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].record == record)
			return rows[i].words;
	return "such a";
}

/* Names differ in neither case nor a dot at the end. */
static bool is_name(const char *a, const char *b)
{
	size_t a_length = strlen(a), b_length = strlen(b);

	a_length -= a_length && a[a_length - 1] == '.';
	b_length -= b_length && b[b_length - 1] == '.';
	return a_length == b_length && !strncasecmp(a, b, a_length);
}

/* Whether the message has one question, and it is ours. */
static bool is_our_question(const struct config_health *health, const uint8_t *bytes, size_t count)
{
	const uint8_t *question = bytes + NS_HFIXEDSZ;
	char *name;
	long used;
	bool is_ours;

	if (DNS_HEADER_QDCOUNT(bytes) != 1 ||
		ares_expand_name(question, bytes, (int)count, &name, &used) != ARES_SUCCESS)
		return false;
	question += used;
	is_ours = is_name(name, health->name) && question + NS_QFIXEDSZ <= bytes + count &&
		  DNS_QUESTION_TYPE(question) == health->record && DNS_QUESTION_CLASS(question) == ns_c_in;
	ares_free_string(name);
	return is_ours;
}

/* Whether the expected address is among those of the answer. */
static bool holds_address(const struct ip *wanted, const uint8_t *bytes, size_t count)
{
	struct ares_addrttl four[ADDRESSES_MOST];
	struct ares_addr6ttl six[ADDRESSES_MOST];
	int found = ADDRESSES_MOST;

	if (ip_is4(wanted)) {
		if (ares_parse_a_reply(bytes, (int)count, NULL, four, &found) != ARES_SUCCESS)
			return false;
		for (int i = 0; i < found; i++)
			if (!memcmp(&four[i].ipaddr, ip_bytes4(wanted), 4))
				return true;
		return false;
	}
	if (ares_parse_aaaa_reply(bytes, (int)count, NULL, six, &found) != ARES_SUCCESS)
		return false;
	for (int i = 0; i < found; i++)
		if (!memcmp(&six[i].ip6addr, wanted->byte, 16))
			return true;
	return false;
}

static void judge_answer(struct probe *probe, const uint8_t *bytes, size_t count)
{
	const struct config_health *health = probe->health;
	const char *record = record_words(health->record);
	struct ip wanted;

	if (DNS_HEADER_RCODE(bytes))
		probe_say(probe, HEALTH_WRONG, "DNS %s for %s", rcode_words(DNS_HEADER_RCODE(bytes)), health->name);
	else if (!is_our_question(health, bytes, count))
		probe_say(probe, HEALTH_WRONG, "the answer is to another question");
	else if (!DNS_HEADER_ANCOUNT(bytes))
		probe_say(probe, HEALTH_WRONG, "%s has no %s record", health->name, record);
	else if (health->expect_bytes && ip_parse(&wanted, health->expect) && !holds_address(&wanted, bytes, count))
		probe_say(probe, HEALTH_WRONG, "%s is not among the addresses of %s", health->expect, health->name);
	else
		probe_say(probe, HEALTH_GOOD, "%s", "");
}

static bool judge(struct probe *probe, const uint8_t *bytes, size_t count)
{
	const struct probe_datagram *ask = (const struct probe_datagram *)probe;

	if (count < NS_HFIXEDSZ || !DNS_HEADER_QR(bytes)) {
		probe_say(probe, HEALTH_WRONG, "the answer is not DNS");
		return true;
	}
	if (DNS_HEADER_QID(bytes) != ask->id) {
		probe_say(probe, HEALTH_WRONG, "the answer bears another id than the question");
		return false;
	}
	judge_answer(probe, bytes, count);
	return true;
}

static struct probe *start(struct probe_shared *shared, const struct config_health *health,
			   const struct probe_target *target, probe_done *done, void *context, struct err *e)
{
	unsigned char *question = NULL;
	int bytes = 0, code;
	struct probe *probe;
	uint16_t id = 0;

	if (getrandom(&id, sizeof(id), 0) != sizeof(id)) {
		err_set(e, -errno, "an id for the question: %m");
		return NULL;
	}
	code = ares_create_query(health->name, ns_c_in, health->record, id, 1, &question, &bytes, ANSWER_BYTES_MOST);
	if (code != ARES_SUCCESS) {
		err_set(e, -EINVAL, "a question for %s: %s", health->name, ares_strerror(code));
		return NULL;
	}
	probe = probe_datagram_start(shared, health, target, done, context, question, (size_t)bytes, judge,
				     id, e);
	ares_free_string(question);
	return probe;
}

const struct probe_kind probe_dns = {"dns", start, probe_end};
