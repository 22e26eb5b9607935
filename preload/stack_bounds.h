/*
 * What may be read as stack: from a frame's sp up to a bound known to be mapped.
 *
 * A thread's own stack (main's, or glibc's for a pthread) stays mapped for as long as the thread
 * runs on it, so its range is looked up once. Any other memory that sp points into (sigaltstack,
 * a coroutine's stack) may be given back and shrink; there only what an earlier walk proved to be
 * part of a stack that is still in use is taken on trust, and beyond that /proc/self/maps is read
 * again. Where no mapping is known, the bound is sp itself: nothing is read.
 */
#ifndef STACK_BOUNDS_H
#define STACK_BOUNDS_H

#include <stdbool.h>
#include <stdint.h>

#define STACK_BOUNDS_RANGES 256 /* power of two */

struct stack_range {
	uintptr_t low;
	uintptr_t high; /* one past the last readable byte; 0: not in use */
};

/* Of one thread; zeroed at first. */
struct stack_bounds {
	uintptr_t thread; /* thread pointer of whom `own` belongs to: the struct may be handed on */
	struct stack_range own;
	/* By 16-KiB block of sp, so that hundreds of coroutines are known; touched by those only.
	 */
	struct stack_range other[STACK_BOUNDS_RANGES];
};

/* The slow half of stack_bounds_top: reads /proc/self/maps with raw system calls. */
uintptr_t stack_bounds_find(struct stack_bounds *bounds, uintptr_t sp);

/* Whether sp lies in the own stack of the thread that runs, whose bound is own.high. */
static inline bool stack_bounds_own(const struct stack_bounds *bounds, uintptr_t sp)
{
	return sp >= bounds->own.low && sp < bounds->own.high &&
	       bounds->thread == (uintptr_t)__builtin_thread_pointer();
}

/*
 * The bound for a walk that begins at `sp`: words in [sp, result) may be read. Only the owner of
 * `bounds`, on its own stack; any signal context.
 */
static inline uintptr_t stack_bounds_top(struct stack_bounds *bounds, uintptr_t sp)
{
	if (__builtin_expect(stack_bounds_own(bounds, sp), 1))
		return bounds->own.high;
	return stack_bounds_find(bounds, sp);
}

/*
 * A walk from `sp` ran out of bounds at `wanted`: looks again. The new bound, which may be the
 * same as before.
 */
uintptr_t stack_bounds_extend(struct stack_bounds *bounds, uintptr_t sp, uintptr_t wanted);

/* Whether the word at `address` can be read now: asks the kernel each time. Any context. */
bool stack_bounds_readable(uintptr_t address);

/*
 * As stack_bounds_top(), but of memory that is not the thread's own stack nothing is believed that
 * was found out earlier: for a walk that goes on by a guess, which may lead to what was given back.
 */
uintptr_t stack_bounds_anew(struct stack_bounds *bounds, uintptr_t sp);

/* A walk from `sp` met its outermost frame, having read up to `high`: that much is stack. */
void stack_bounds_proved(struct stack_bounds *bounds, uintptr_t sp, uintptr_t high);

#endif
