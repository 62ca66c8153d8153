/* The nearest word: see nearest.h. */
#include "base/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define WORD_MOST 63
#define FAR 99

static bool is_same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Levenshtein's distance with swapped neighbours as one step, three rows at a time; long words are far from
 * everything. */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][WORD_MOST + 1], count_a = strlen(a), count_b = strlen(b);

	if (count_a > WORD_MOST || count_b > WORD_MOST)
		return FAR;
	for (size_t j = 0; j <= count_b; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= count_a; i++) {
		const size_t *above = rows[(i - 1) % 3], *two_above = rows[(i + 1) % 3];
		size_t *row = rows[i % 3];

		row[0] = i;
		for (size_t j = 1; j <= count_b; j++) {
			row[j] = least(least(above[j] + 1, row[j - 1] + 1), above[j - 1] + !is_same(a[i - 1], b[j - 1]));
			if (i > 1 && j > 1 && is_same(a[i - 1], b[j - 2]) && is_same(a[i - 2], b[j - 1]))
				row[j] = least(row[j], two_above[j - 2] + 1);
		}
	}
	return rows[count_a % 3][count_b];
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
