/*
 * What the user asked for, from the environment: one table in options.c. The names and values are
 * the contract of docs/man/memprof.1; the launcher has an option for each.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct options {
	const char *out;      /* MEMPROF_OUT: file name pattern; copied, for good */
	const char *unwind;   /* MEMPROF_UNWIND */
	const char *compress; /* MEMPROF_COMPRESS */
	uint64_t depth;	      /* MEMPROF_DEPTH, frames */
	uint64_t sample;      /* MEMPROF_SAMPLE, mean bytes between samples; 0: exact */
	uint64_t children;    /* MEMPROF_CHILDREN */
	uint64_t mmap;	      /* MEMPROF_MMAP */
	uint64_t quiet;	      /* MEMPROF_QUIET */
	uint64_t start;	      /* MEMPROF_START */
};

/*
 * Fills `options` from `environment` (NULL: all defaults). Returns 0, or -EINVAL with what is wrong
 * and what would be right in `error`, one line without newline.
 */
int options_parse(struct options *options, char *const *environment, char *error,
		  size_t error_bytes);

/*
 * Whether `environment` has a name that begins with MEMPROF_ and is no setting: then one line about
 * the first of them, with the name that was probably meant, in `line` (at least 256 bytes).
 */
bool options_unknown(char *const *environment, char *line, size_t line_bytes);

#endif
