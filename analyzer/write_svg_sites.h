/*
 * What is stacked in the picture: the call stacks that the timeline follows, put together by the
 * name a person would call them by (function, file and line), or one by one.
 */
#ifndef WRITE_SVG_SITES_H
#define WRITE_SVG_SITES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct profile;
struct profile_frame;
struct profile_stack;
struct writer_options;

struct svg_site {
	const struct profile_stack *stack; /* of the member largest at the peak */
	size_t members;
	uint64_t peak_bytes, peak_blocks;
};

struct svg_sites {
	struct svg_site *sites; /* largest at the peak first */
	size_t count;
	uint64_t *bytes; /* [point * count + rank] */
	uint64_t *peak;	 /* at the very moment of the peak, by rank */
	/* at the peak, of all that is not among `sites` */
	uint64_t other_bytes, other_blocks, other_stacks;
};

/*
 * At most options->top sites, none of which was empty at the peak (unless asked for a number, none
 * with less than a thousandth of it). The profile is to outlive them;
 * svg_sites_fini() frees what is inside. Returns 0 or -ENOMEM.
 */
int svg_sites_init(struct svg_sites *sites, const struct profile *profile,
		   const struct writer_options *options);
void svg_sites_fini(struct svg_sites *sites);

/* Frame `above` frames above the one a stack is called by; NULL when there is none. */
const struct profile_frame *svg_frame(const struct profile_stack *stack, size_t above);

/* Whether two frames would be printed alike. */
bool svg_same_frame(const struct profile_frame *a, const struct profile_frame *b);

#endif
