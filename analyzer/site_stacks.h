/*
 * From the return addresses of sites to their frames, and which sites are one to a reader.
 *
 * Two return addresses on one line are two sites to the replay and one to people: stacks that are
 * equal in function, file and line in every frame (where no line is known: in module and offset)
 * get the same number here.
 */
#ifndef SITE_STACKS_H
#define SITE_STACKS_H

#include "profile.h"

struct callstack_table;
struct site_stacks;
struct trace_reader;

/*
 * `reader` must outlive site_stacks_finish(), `callstacks` the stacks. Returns NULL and errno
 * without memory.
 */
struct site_stacks *site_stacks_new(struct trace_reader *reader,
				    const struct callstack_table *callstacks,
				    const struct profile_options *options);

/* Ends all frames and stacks that were given out. NULL is allowed. */
void site_stacks_free(struct site_stacks *stacks);

/*
 * The stacks of the sites 0 .. count - 1 but of those for which numbers[site] is SITE_STACKS_NONE;
 * the others' numbers are written there: those of the different stacks, in order of first mention,
 * from where the last call ended. Stacks of two calls never have one number. Returns 0 or -ENOMEM.
 */
#define SITE_STACKS_NONE UINT32_MAX
int site_stacks_add(struct site_stacks *stacks, uint32_t *numbers, size_t count);

size_t site_stacks_count(const struct site_stacks *stacks);

/* Makes *stack, which is good until site_stacks_free(). */
void site_stacks_get(struct site_stacks *stacks, uint32_t number, struct profile_stack *stack);

/*
 * Must be called after the last add: frees what only adding needs, and makes ready for
 * site_stacks_whole(). Returns 0 or -ENOMEM.
 */
int site_stacks_finish(struct site_stacks *stacks);

/*
 * One frame of a stack, below its count; which takes a way of that length, or, for the stack that
 * was asked for last, from the frame before.
 */
const struct profile_frame *site_stacks_frame(struct site_stacks *stacks, uint32_t number,
					      size_t at);

/* All frames of a stack; see profile_stack_frames(). */
const struct profile_frame *const *site_stacks_whole(struct site_stacks *stacks, uint32_t number);

#endif
