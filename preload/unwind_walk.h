/*
 * What a thread's walk is made of, for unwind_memo.c, which walks, unwind_cut.c, for stacks that
 * are too deep, unwind_settle.c, which finds the id, and unwind_keep.c, which puts what was walked
 * into the memo.
 *
 * A walk is a path of pieces, innermost first. A piece is either fresh frames, stepped by their
 * rules, or part of a chain of the memo whose checks held.
 */
#ifndef UNWIND_WALK_H
#define UNWIND_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "memo.h"
#include "stack_bounds.h"
#include "unwind_step.h"

#define UNWIND_DEPTH_MAX  1024 /* MEMPROF_DEPTH goes no higher */
#define UNWIND_PIECES_MAX 24

struct unwind_fresh {
	struct unwind_frame frame;
	struct unwind_reads reads; /* of the step to its caller */
	uint32_t node;
	bool open;     /* its rule must be asked for each time */
	bool needs_fp; /* the walk from here depends on fp */
};

struct unwind_piece {
	memo_position first; /* 0: fresh frames */
	memo_position last;  /* of a chain: its last frame that holds */
	unsigned from, to;   /* of fresh frames: where in `fresh` */
	unsigned cut;	     /* of fresh frames: those from here on are not part of the stack */
	bool complete;	     /* a chain that holds to its outermost frame */
};

struct unwind_walk {
	struct unwind_frame frame;
	uintptr_t top;
	unsigned depth; /* frames in pieces */
	unsigned max_depth;
	unsigned fresh_count;
	unsigned piece_count;
	uint32_t outer; /* id of what is beyond the last piece */
	bool ended;	/* the last frame is the outermost */
	struct unwind_piece pieces[UNWIND_PIECES_MAX];
};

/* Of one thread. */
struct unwind_state {
	struct stack_bounds bounds;
	unsigned breaks; /* broken chains met, and whole ones of several runs */
	unsigned linked;
	unsigned worth;	 /* of looking at all stacks of a set: up when one was known, else down */
	unsigned doubts; /* sets of which not all were looked at */
	struct unwind_walk walk;
	struct memo memo;
	union {
		memo_position positions[UNWIND_DEPTH_MAX];
		uintptr_t pcs[UNWIND_DEPTH_MAX];
	};
	struct unwind_fresh fresh[UNWIND_DEPTH_MAX];
};

/* Takes frames off a walk that reached its depth limit, so that neighbours are cut alike. */
void unwind_cut_back(struct unwind_state *state);

/* The id of the path walked; keeps what was fresh. */
uint32_t unwind_settle(struct unwind_state *state);

/* Puts a piece of fresh frames into the memo; `outer` is the next piece of the path, or NULL. */
void unwind_keep(struct unwind_state *state, const struct unwind_piece *piece,
		 const struct unwind_piece *outer);

#endif
