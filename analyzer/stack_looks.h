/*
 * How stacks look. A stack is a list of nodes (callstack.h) that shares its outer part with others.
 * Each node knows how its stack looks as a hash, made from its caller's, so that a stack costs what
 * it has and no other: two are compared frame by frame only as far as the nodes they share.
 */
#ifndef STACK_LOOKS_H
#define STACK_LOOKS_H

#include "callstack.h"
#include "code_frames.h"

struct node_look;

/* Where a stack begins. */
struct stack_start {
	uint32_t node;	/* CALLSTACK_ROOT: nothing of it is known */
	uint32_t skip;	/* frames of the allocator, which are no part of it */
	uint32_t count; /* of its frames */
};

/* A way through the frames of a stack, from the innermost. */
struct stack_walk {
	uint32_t node; /* whose frames come after those of `code` */
	struct code code;
	uint32_t at; /* of the frames of `code` */
};

struct stack_looks {
	const struct callstack_table *callstacks;
	struct code_frames codes;
	struct node_look **nodes; /* chunks as in callstack.h */
	struct huge_pieces pieces;
};

/*
 * What is passed must outlive the looks. Returns 0 or -ENOMEM; in both cases stack_looks_fini()
 * frees, and ends all frames. stack_looks_finish() frees what only stack_looks_begin() needs.
 */
int stack_looks_init(struct stack_looks *looks, struct trace_reader *reader,
		     const struct callstack_table *callstacks,
		     const struct profile_options *options);
void stack_looks_finish(struct stack_looks *looks);
void stack_looks_fini(struct stack_looks *looks);

/*
 * Where the stack of a node begins, the way into it from there, and a hash of how it looks. The
 * allocator's own frames are left out, but never all. Returns 0 or -ENOMEM.
 */
int stack_looks_begin(struct stack_looks *looks, uint32_t node, struct stack_start *start,
		      struct stack_walk *walk, uint32_t *hash);

/* Whether a stack looks like another. */
bool stack_looks_same(const struct stack_looks *looks, const struct stack_start *start,
		      const struct stack_start *other);

struct stack_walk stack_walk_from(const struct stack_looks *looks, const struct stack_start *start);

/* To the frames of the next node. Returns false behind the outermost. */
bool stack_walk_on(const struct stack_looks *looks, struct stack_walk *walk);

/* The number of the next frame, in looks->codes. Returns false behind the outermost. */
static inline bool stack_walk_next(const struct stack_looks *looks, struct stack_walk *walk,
				   uint32_t *frame)
{
	while (walk->at == walk->code.count)
		if (!stack_walk_on(looks, walk))
			return false;
	*frame = walk->code.first + walk->at++;
	return true;
}

#endif
