/*
 * What the parts of the text report share: where it goes and how it may look.
 *   write_text.c    the header, and the sections from a table
 *   text_sites.c    lists of sites: figures in columns, each with its stack
 *   text_stack.c    one call stack: recursion folded, wrappers and start-up code out of the way
 *   text_verdict.c  judgements in words
 *   text_name.c     names shortened to fit
 *   text_symbols.c  whose debug symbols are missing
 */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ranking.h"

struct grouping;
struct out;
struct profile;
struct profile_frame;
struct profile_site;
struct profile_stack;
struct writer_options;

struct text {
	struct out *out;
	struct out *scratch; /* a memory stream for measuring */
	const struct profile *profile;
	struct grouping *grouping; /* of the profile; the writer's */
	const struct writer_options *options;
	size_t columns;
	size_t top; /* sites a section shows; SIZE_MAX: all */
};

enum text_style { TEXT_PLAIN, TEXT_BOLD, TEXT_DIM, TEXT_BAD, TEXT_GOOD };

/* Switches to a style when colours are allowed; TEXT_PLAIN ends it. */
void text_style(struct text *text, enum text_style style);

/* ---- text_name.c ---- */

/* The name of a frame's function, or module+offset, whole; view into scratch. */
const char *text_frame_name(struct text *text, const struct profile_frame *frame);

/*
 * Writes a C++ or Rust name into `to` (size bytes), made shorter only as far as `columns` asks: no
 * parameters, then no template arguments. What is still too long is for the caller to cut.
 */
void text_shorten(char *to, size_t size, const char *name, size_t columns);

/* ---- text_symbols.c ---- */

struct text_nameless {
	const char *module; /* the profile's */
	uint64_t bytes;	    /* of the peak, in functions of it that have no name */
	bool headline;	    /* that is most of it: stacks are addresses and little else */
};

/* The module whose debug symbols would help most; false: none is worth a word. */
bool text_nameless(struct text *text, struct text_nameless *worst);

/* ---- text_stack.c ---- */

/* Prints a stack, each line behind `indent` spaces, in at most `depth` lines and a last note. */
void text_stack(struct text *text, const struct profile_stack *stack, size_t depth, size_t indent);

/* The frame that a site is called by; NULL when its stack is empty. */
const struct profile_frame *text_site_frame(const struct profile_stack *stack);

/* "load_table (db.c:120)", in at most `columns`. */
void text_site_name(struct text *text, const struct profile_stack *stack, size_t columns);

/* ---- text_sites.c ---- */

/* Gathers the profile's sites for all sections that group them. 0 or -ENOMEM; text_ungroup() frees.
 */
int text_group(struct text *text);
void text_ungroup(struct text *text);

/* The best groups by a metric with their figures and stacks; leaves out those without any. */
int text_sites(struct text *text, enum ranking_metric metric);

/* The sites that held most in mappings of their own when those were at their highest. */
int text_map_sites(struct text *text);

/*
 * A profile of the mappings as if they were the heap, for what ranks and groups sites. A view into
 * `profile`.
 */
struct profile text_map_profile(const struct profile *profile);

/* ---- text_verdict.c ---- */

/* "very likely" and so on, of ranking_suspicion(). */
const char *text_suspicion(unsigned suspicion);

/* Why live blocks are judged as they are: "never freed, 12 blocks over 3.2 s, growing". */
void text_evidence(struct text *text, const struct profile_site *site);

/* How the process ended: "exited with 0", "killed (nothing was lost)". */
void text_end(struct text *text);

/* One line: what to look at first. Returns 0 or -ENOMEM. */
int text_verdict(struct text *text);

#endif
