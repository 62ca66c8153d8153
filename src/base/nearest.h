/* Which word somebody may have meant. */
#ifndef HP_BASE_NEAREST_H
#define HP_BASE_NEAREST_H

/* The nearest of a list of words (ended by NULL) to a misspelt one, or NULL when none is near: at most two
 * letters inserted, left out, changed or swapped with their neighbour, and fewer in short words. */
const char *nearest_word(const char *word, const char *const *words);

#endif
