/*
 * Conditions of --fail-if: a figure of the profile, a comparison, a number: "peak>100M".
 */
#ifndef CONDITION_H
#define CONDITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct profile;

#define CONDITION_TEXT 64

struct condition {
	char text[CONDITION_TEXT]; /* as it was written, for messages */
	unsigned figure;	   /* row of the table in condition.c */
	unsigned comparison;
	uint64_t limit;
};

/*
 * Parses one condition of `length` bytes. K, M, G and T multiply by powers of 1024. Returns 0, or
 * writes what is wrong into `error` and returns -1.
 */
int condition_parse(const char *text, size_t length, struct condition *condition, char *error,
		    size_t error_bytes);

/* Whether it holds; *found becomes the figure that was compared. */
bool condition_holds(const struct condition *condition, const struct profile *profile,
		     uint64_t *found);

#endif
