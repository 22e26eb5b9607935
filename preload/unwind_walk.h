/* What a thread needs to walk its stacks. */
#ifndef UNWIND_WALK_H
#define UNWIND_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "memo.h"
#include "stack_bounds.h"
#include "unwind_last.h"
#include "unwind_step.h"

/* The thread's own stack is the first; others (coroutines', handlers') share the rest. */
#define UNWIND_LASTS 4

struct unwind_walk {
	struct unwind_frame frame;
	uintptr_t origin_sp;
	uintptr_t top;
	unsigned max_depth;
	unsigned fresh_count;
	unsigned joined; /* frames of the last stack that it came upon */
	bool guessed;	 /* on another stack than the thread's own: see look_anew() */
	enum unwind_end end;
};

/* Of one thread. */
struct unwind_state {
	struct stack_bounds bounds;
	unsigned worth;	 /* of looking at all stacks of a set: up when one was known, else down */
	unsigned doubts; /* sets of which not all were looked at */
	struct unwind_walk walk;
	struct memo memo;
	struct unwind_last lasts[UNWIND_LASTS];
	struct unwind_fresh fresh[UNWIND_LAST_FRAMES];
	uintptr_t pcs[UNWIND_DEPTH_MAX];
};

#endif
