/*
 * What is stacked in the picture: the largest of the sites that the timeline follows, each with all
 * its call stacks, or, by stack, one of these.
 */
#ifndef WRITE_SVG_SITES_H
#define WRITE_SVG_SITES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct profile;
struct profile_frame;
struct profile_stack;
struct profile_top;
struct writer_options;

struct svg_sites {
	const struct profile_top *sites; /* largest at the peak first; the profile's */
	size_t count;
	uint64_t *peak; /* at the very moment of the peak, by rank */
	/* at the peak, of all that is not among `sites` */
	uint64_t other_bytes, other_blocks, other_stacks;
};

/* How many sites profile_load() is to follow for these options. */
size_t svg_sites_wanted(const struct writer_options *options);

/*
 * At most as many (unless asked for a number, none with less than a thousandth of the peak). The
 * profile is to outlive them; svg_sites_fini() frees what is inside. Returns 0 or -ENOMEM.
 */
int svg_sites_init(struct svg_sites *sites, const struct profile *profile,
		   const struct writer_options *options);
void svg_sites_fini(struct svg_sites *sites);

/* Frame `above` frames above the one a stack is called by; NULL when there is none. */
const struct profile_frame *svg_frame(const struct profile_stack *stack, size_t above);

/* Whether two frames would be printed alike. */
bool svg_same_frame(const struct profile_frame *a, const struct profile_frame *b);

#endif
