/* The nearest word: see nearest.h. */
#include "base/nearest.h"

#include <stddef.h>
#include <string.h>

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Levenshtein's distance, two rows at a time; long words are far from everything. */
static size_t distance(const char *a, const char *b)
{
	size_t row[40], count_a = strlen(a), count_b = strlen(b);

	if (count_a > 32 || count_b > 32)
		return 99;
	for (size_t j = 0; j <= count_b; j++)
		row[j] = j;
	for (size_t i = 1; i <= count_a; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= count_b; j++) {
			size_t above = row[j];

			row[j] = least(least(row[j] + 1, row[j - 1] + 1), corner + (a[i - 1] != b[j - 1]));
			corner = above;
		}
	}
	return row[count_b];
}

const char *nearest_word(const char *word, const char *const *words)
{
	size_t best = least(3, (strlen(word) + 2) / 2);
	const char *found = NULL;

	for (; *words; words++)
		if (distance(word, *words) < best) {
			best = distance(word, *words);
			found = *words;
		}
	return found;
}
