/*
 * The stack that was walked last: stacks that follow each other have most of their outer frames in
 * common, so that only the inner ones are walked again, by their rules.
 *
 * Frames are kept outermost first, each with the words that the step from it to its caller read
 * (its *checks*, see memo.h) and with its id. A walk that comes upon one of them, by pc, sp and, if
 * what is beyond depends on it, fp, knows the rest if all checks from there outward hold: as a
 * step is a pure function of the frame and of those words.
 */
#ifndef UNWIND_LAST_H
#define UNWIND_LAST_H

#include <stdbool.h>
#include <stdint.h>

#include "memo.h"
#include "unwind_step.h"

#define UNWIND_DEPTH_MAX   1024 /* MEMPROF_DEPTH goes no higher */
#define UNWIND_LAST_FRAMES (2 * UNWIND_DEPTH_MAX)
#define UNWIND_STEP_CHECKS 3 /* at most: return address, fp, CFA */

/* A frame as it was walked. */
struct unwind_fresh {
	struct unwind_frame frame;
	struct unwind_reads reads; /* of the step to its caller */
	bool open;		   /* its rule must be asked for each time */
};

/* What there is beyond the outermost frame. */
enum unwind_end {
	UNWIND_END_NONE,    /* nothing: it is where the thread began */
	UNWIND_END_UNKNOWN, /* must be asked for each time */
	UNWIND_END_DEEP,    /* frames that were not walked */
};

struct unwind_last_frame {
	uintptr_t pc;
	uintptr_t sp;
	uintptr_t fp;
	uint32_t node;	 /* its id, if it is not cut off */
	uint16_t checks; /* how many there are of it and of all beyond it */
	bool needs_fp;	 /* what is beyond depends on fp */
	bool open;
};

struct unwind_last {
	unsigned count; /* of frames; while it changes, those that are sound */
	unsigned first; /* those before are cut off: ids begin with this one, */
	uint32_t outer; /* below this */
	enum unwind_end end;
	bool opens; /* there may be open frames */
	struct unwind_last_frame frames[UNWIND_LAST_FRAMES];
	struct memo_check checks[UNWIND_LAST_FRAMES * UNWIND_STEP_CHECKS];
};

/*
 * How many of the frames, from the outermost on, a walk that begins at `sp` may come upon, which
 * may read up to `top`. Nothing of the stack is read, nor is anything sure yet.
 */
unsigned unwind_last_below(const struct unwind_last *last, uintptr_t sp, uintptr_t top);

/* Of these, how many a walk that has come to `sp` has still before it. */
static inline unsigned unwind_last_ahead(const struct unwind_last *last, unsigned count,
					 uintptr_t sp)
{
	while (count > 0 && last->frames[count - 1].sp < sp)
		count--;
	return count;
}

/*
 * A walk has come upon the innermost of `count` frames: `count` if all that is beyond it is as it
 * was; else how many frames are beyond the one from where it is not. Memory may have been given
 * back, so one word is read after the other, going outward, each of them where a walk would read.
 */
unsigned unwind_last_holds(const struct unwind_last *last, unsigned count);

/* Whether a walk has come upon a kept frame. */
static inline bool unwind_last_is(const struct unwind_last_frame *kept,
				  const struct unwind_frame *frame)
{
	return kept->sp == frame->sp && kept->pc == frame->pc &&
	       (!kept->needs_fp || kept->fp == frame->fp);
}

/*
 * Puts `count` fresh frames, innermost first, inside the first `joined` ones, where there must be
 * room. Returns how many there are then; last->count is the caller's to set, once they have ids.
 */
unsigned unwind_last_put(struct unwind_last *last, unsigned joined,
			 const struct unwind_fresh *fresh, unsigned count, enum unwind_end end);

/* The first of `count` frames whose stack has more than `max_depth`: those before it are cut off.
 */
unsigned unwind_last_cut(const struct unwind_last *last, unsigned count, unsigned max_depth);

#endif
