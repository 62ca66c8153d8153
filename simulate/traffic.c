/* Traffic: see traffic.h. Facts and figures of the papers that are named; what is not of them is said to be ours. */
#include "traffic.h"

#define SECOND	     1000.0
#define LONGEST_MS   (24 * 3600 * SECOND) /* ours: no silence is longer than a day */
#define KEEPALIVE_MS 75000u		  /* ours: the time after which common web servers close an idle connection */

const char *const traffic_names[TRAFFIC_KINDS] = {"web", "datacentre", "interactive"};

static uint32_t milliseconds(double ms)
{
	return ms < 1 ? 1 : ms > LONGEST_MS ? (uint32_t)LONGEST_MS : (uint32_t)ms;
}

static uint16_t count16(double n)
{
	return n < 1 ? 1 : n > UINT16_MAX ? UINT16_MAX : (uint16_t)n;
}

/* A browser's connection. Pages a visit: inverse Gaussian, mean 2.98, shape 6.24 (Huberman et al., "Strong Regularities
 * in World Wide Web Surfing", Science 280, 1998). Within a page: objects Pareto 1, 2.43, and pauses Weibull 1.46, 0.382;
 * between pages pauses Pareto 1 s, 1.5 (Barford and Crovella, "Generating Representative Web Workloads for Network and
 * Server Performance Evaluation", SIGMETRICS 1998). The server closes it after a silence of KEEPALIVE_MS. */
static uint32_t next_web(struct random *random, struct traffic *traffic, bool *is_last)
{
	double pause_s = KEEPALIVE_MS / SECOND;

	*is_last = false;
	if (traffic->left_inner) {
		traffic->left_inner--;
		pause_s = random_weibull(random, 1.46, 0.382);
	} else if (traffic->left) {
		double objects = random_pareto(random, 1, 2.43);

		traffic->left--;
		traffic->left_inner = (uint8_t)(objects > UINT8_MAX ? UINT8_MAX : objects);
		pause_s = random_pareto(random, 1, 1.5);
	}
	*is_last = pause_s * SECOND >= KEEPALIVE_MS;
	return *is_last ? KEEPALIVE_MS : milliseconds(pause_s * SECOND);
}

/* A flow between servers. Durations: four of five end within 10 s, one of a thousand lasts longer than 200 s (Kandula et
 * al., "The Nature of Datacenter Traffic: Measurements & Analysis", IMC 2009), which a lognormal of these two quantiles
 * says here. Six packets, evenly at random, stand for all (ours). */
static struct traffic open_datacentre(struct random *random)
{
	double duration_ms = exp(1.181 + 1.332 * random_normal(random)) * SECOND;

	return (struct traffic){.left_ms = milliseconds(duration_ms), .pace_ms = milliseconds(duration_ms / 6)};
}

static uint32_t next_datacentre(struct random *random, struct traffic *traffic, bool *is_last)
{
	uint32_t pause_ms = milliseconds(random_exponential(random, traffic->pace_ms));

	*is_last = pause_ms >= traffic->left_ms;
	if (*is_last)
		return traffic->left_ms;
	traffic->left_ms -= pause_ms;
	return pause_ms;
}

/* Somebody at a terminal. Packets a connection: log2-normal, mean log2 100, deviation 2.24. Pauses: 15 in 100 are above
 * 1 s; Pareto of shape 0.9, of the upper 3 in 100 of shape 0.95 (Paxson and Floyd, "Wide Area Traffic: The Failure of
 * Poisson Modeling", ToN 3, 1995). What comes within a second of the last packet is one burst, of which first and last
 * packet are simulated. */
static struct traffic open_interactive(struct random *random)
{
	return (struct traffic){.left = count16(0.15 * exp2(log2(100) + 2.24 * random_normal(random)))};
}

static double pause_interactive(struct random *random)
{
	const double all = 0.15, upper = 0.03;
	double rank = all * random_unit(random), border = pow(upper / all, -1 / 0.9);

	return rank > upper ? pow(rank / all, -1 / 0.9) : border * pow(rank / upper, -1 / 0.95);
}

static uint32_t next_interactive(struct random *random, struct traffic *traffic, bool *is_last)
{
	bool within_burst = !traffic->left_inner;

	traffic->left_inner = within_burst;
	*is_last = false;
	if (within_burst)
		return 100 + random_below(random, 800);
	traffic->left--;
	*is_last = !traffic->left;
	return milliseconds(pause_interactive(random) * SECOND);
}

struct traffic traffic_open(struct random *random, enum traffic_kind kind)
{
	struct traffic traffic = {0};

	switch (kind) {
	case TRAFFIC_WEB:
		traffic.left = count16(random_inverse_gaussian(random, 2.98, 6.24) + 0.5);
		break;
	case TRAFFIC_DATACENTRE:
		traffic = open_datacentre(random);
		break;
	case TRAFFIC_INTERACTIVE:
		traffic = open_interactive(random);
		break;
	case TRAFFIC_KINDS:
		break;
	}
	traffic.kind = (uint8_t)kind;
	return traffic;
}

uint32_t traffic_next(struct random *random, struct traffic *traffic, bool *is_last)
{
	switch ((enum traffic_kind)traffic->kind) {
	case TRAFFIC_WEB:
		return next_web(random, traffic, is_last);
	case TRAFFIC_DATACENTRE:
		return next_datacentre(random, traffic, is_last);
	case TRAFFIC_INTERACTIVE:
		return next_interactive(random, traffic, is_last);
	case TRAFFIC_KINDS:
		break;
	}
	*is_last = true;
	return 1;
}
