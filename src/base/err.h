/* An error on its way to the boundary that reports it: a code and a sentence.
 *
 * The function returns, the boundary reports. Knows no log and no terminal. */
#ifndef HP_BASE_ERR_H
#define HP_BASE_ERR_H

#define ERR_TEXT_BYTES 1024

struct err {
	char text[ERR_TEXT_BYTES];
};

/* Write the sentence of an error and hand its code back.
 *
 * e     may be NULL: the code alone is returned.
 * code  negative errno; %m in the format names it.
 * Returns code, so that `return err_set(e, -errno, "...: %m")` reads in one line. A text longer than
 * ERR_TEXT_BYTES - 1 is cut. */
int err_set(struct err *e, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Put what a caller knows in front of the sentence: "NEW: OLD". Returns code. */
int err_add(struct err *e, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
