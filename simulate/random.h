/* Random numbers and the distributions that traffic is drawn from. Equal seeds give equal numbers. */
#ifndef HP_SIMULATE_RANDOM_H
#define HP_SIMULATE_RANDOM_H

#include <math.h>
#include <stdint.h>

#include "abi.h"

struct random {
	uint64_t state;
};

static inline uint64_t random_bits(struct random *random)
{
	random->state += 0x9e3779b97f4a7c15ULL;
	return hp_mix(random->state);
}

/* From 0 to below `range`. */
static inline uint32_t random_below(struct random *random, uint32_t range)
{
	return (uint32_t)(((random_bits(random) >> 32) * range) >> 32);
}

/* Above 0, at most 1. */
static inline double random_unit(struct random *random)
{
	return (double)((random_bits(random) >> 11) + 1) * 0x1p-53;
}

static inline double random_exponential(struct random *random, double mean)
{
	return -mean * log(random_unit(random));
}

static inline double random_pareto(struct random *random, double least, double shape)
{
	return least * pow(random_unit(random), -1 / shape);
}

static inline double random_weibull(struct random *random, double scale, double shape)
{
	return scale * pow(-log(random_unit(random)), 1 / shape);
}

/* Box and Muller's, of which one half is thrown away. */
static inline double random_normal(struct random *random)
{
	double radius = sqrt(-2 * log(random_unit(random)));

	return radius * cos(2 * M_PI * random_unit(random));
}

/* Michael, Schucany and Haas, "Generating Random Variates Using Transformations with Multiple Roots", 1976. */
static inline double random_inverse_gaussian(struct random *random, double mean, double shape)
{
	double normal = random_normal(random), y = normal * normal;
	double x = mean + mean * mean * y / (2 * shape) - mean / (2 * shape) * sqrt(4 * mean * shape * y + mean * mean * y * y);

	return random_unit(random) <= mean / (mean + x) ? x : mean * mean / x;
}

#endif
