/*
 * What one thread remembers of its call stacks, to know them again without walking.
 *
 * A walk is a pure function of its first frame and of the words it read. Those words are kept as
 * *checks* {where, value}: whoever stands in the same first frame {pc, sp, and fp where the walk
 * depends on it} and finds every check still true has the same stack. Stacks that came more than
 * once lie in sets of a few that may begin with the same {pc, sp}, since one frame often has
 * several stacks that come in turn. Their checks lie in a ring and are overwritten in time;
 * positions count checks ever made, so a position alone tells whether its check still exists.
 *
 * All of it belongs to one thread and is never read by another. A reader that was interrupted for
 * good (longjmp out of a signal handler) leaves it sound: stacks are found only when they are
 * complete.
 */
#ifndef MEMO_H
#define MEMO_H

#include <stdbool.h>
#include <stdint.h>

#include "arch.h"
#include "unwind.h"
#include "unwind_step.h"

#define MEMO_CHECKS  2048 /* power of two */
#define MEMO_SETS    64
#define MEMO_WAYS    4
#define MEMO_LATEST  512
#define MEMO_TAGS    1024
#define MEMO_OF_LATE 32 /* looks */

typedef uint32_t memo_position; /* of a check; 0: none */

struct memo_check {
	uintptr_t value;
	uintptr_t where;
};

/* A whole stack: all that it takes to know it again, but its checks. */
struct memo_stack {
	_Alignas(64) uintptr_t pc; /* of its first frame; 0: not in use */
	uintptr_t sp;
	uintptr_t fp;			 /* of which the bits of */
	uintptr_t fp_mask;		 /* this decide: all or none */
	const struct memo_check *checks; /* outermost first */
	memo_position first;		 /* its first check */
	uint32_t node;
	uint32_t reach; /* no check is so far from sp, or further */
	uint16_t frames;
	uint16_t count; /* of checks */
};

_Static_assert(sizeof(struct memo_stack) == 64, "one to a cache line");

/* A stack that was asked for. */
struct memo_tag {
	uint8_t hash;
	uint8_t when; /* in units of MEMO_OF_LATE looks */
};

struct memo {
	memo_position head;  /* the next check's; everything before is complete */
	uint32_t generation; /* the caller's; 0: nothing was ever kept */
	uint32_t looks;	     /* for stacks seen of late */
	struct memo_check checks[MEMO_CHECKS];
	struct memo_stack stacks[MEMO_SETS][MEMO_WAYS];
	uint8_t latest[MEMO_LATEST]; /* the way of its set that was found last, by finer hash */
	struct memo_tag tags[MEMO_TAGS];
};

/* Not zero: the word that the check is about has changed. */
static inline uintptr_t memo_changed(const struct memo_check *check)
{
	return arch_strip_pc(unwind_load(check->where)) ^ check->value;
}

/* Whether the check at `position` has not been overwritten. Then nor have those made after it. */
static inline bool memo_alive(const struct memo *memo, memo_position position)
{
	/* Positions begin beyond 2 * MEMO_CHECKS, so that 0 is never alive. */
	return memo->head - position - 1 < MEMO_CHECKS;
}

/* Where `latest` tells the way for {pc, sp}; modulo MEMO_SETS it is the set. */
static inline unsigned memo_latest_of(uintptr_t pc, uintptr_t sp)
{
	uint64_t hash = (pc ^ sp << 20) * 0x9e3779b97f4a7c15;
	return (unsigned)(hash >> (64 - __builtin_ctz(MEMO_LATEST)));
}

/*
 * Whether the `count` checks hold. Going outward, one after the other: memory may have been given
 * back, and up to the first that does not hold all are where a walk would read.
 */
static inline __attribute__((always_inline)) bool memo_hold_in_turn(const struct memo_check *checks,
								    unsigned count)
{
	const struct memo_check *check = checks + count;

	while (check > checks)
		if (__builtin_expect(memo_changed(--check) != 0, 0))
			return false;
	return true;
}

/* The same where all can be read: four at a time, with one branch for each four. */
static inline __attribute__((always_inline)) bool memo_hold_at_once(const struct memo_check *checks,
								    unsigned count)
{
	const struct memo_check *check = checks + count;

	if (count < 4)
		return memo_hold_in_turn(checks, count);
	for (; check - checks > 4; check -= 4)
		if (memo_changed(check - 1) | memo_changed(check - 2) | memo_changed(check - 3) |
		    memo_changed(check - 4))
			return false;
	/* Some of these once more, which costs less than counting them. */
	return !(memo_changed(checks) | memo_changed(checks + 1) | memo_changed(checks + 2) |
		 memo_changed(checks + 3));
}

/*
 * Whether the stack that begins at `origin` is this one, and has no more frames than there is room
 * for; words up to `top` may be read. `own`: on the thread's own stack, which is not given back.
 */
static inline __attribute__((always_inline)) bool
memo_is_known(const struct memo *memo, const struct memo_stack *known,
	      const struct unwind_origin *origin, uintptr_t top, unsigned room, bool own)
{
	if (((known->pc ^ origin->pc) | (known->sp ^ origin->sp) |
	     ((known->fp ^ origin->fp) & known->fp_mask)) ||
	    !memo_alive(memo, known->first) || known->reach > top - origin->sp ||
	    known->frames > room)
		return false;
	return own ? memo_hold_at_once(known->checks, known->count)
		   : memo_hold_in_turn(known->checks, known->count);
}

/* The one that began like this, or nearly, when one was found last. */
static inline const struct memo_stack *memo_latest(const struct memo *memo,
						   const struct unwind_origin *origin)
{
	unsigned latest = memo_latest_of(origin->pc, origin->sp);

	return &memo->stacks[latest % MEMO_SETS][memo->latest[latest]];
}

/*
 * The stack that begins at `origin`, and is the latest from now on; NULL: it is not known. Looks at
 * the latest only if told to, after the others. Otherwise as memo_is_known().
 */
const struct memo_stack *memo_find(struct memo *memo, const struct unwind_origin *origin,
				   uintptr_t top, unsigned room, bool own, bool also_latest);

/*
 * Whether this stack was asked for of late, once in the last 32 to 64 times or, by chance, another.
 * Those that come back no sooner are rather walked than kept.
 */
bool memo_seen(struct memo *memo, uint32_t node, uintptr_t sp);

/*
 * Keeps a stack, which has all but where its `checks` are to be: they are copied. Too many of them:
 * nothing is kept.
 */
void memo_keep(struct memo *memo, const struct memo_stack *stack, const struct memo_check *checks);

/* Forgets everything. */
void memo_reset(struct memo *memo, uint32_t generation);

#endif
