/*
 * What the hooks share. A hook is: guard, real call, record; compiled with frame pointers, so that
 * where its caller stands is read from its own frame.
 */
#ifndef INTERPOSE_H
#define INTERPOSE_H

#include <stdint.h>

#include "pending.h"
#include "real.h"
#include "record.h"
#include "thread.h"

#define EXPORT __attribute__((visibility("default")))

#define HOOK_FRAME ((uintptr_t)__builtin_frame_address(0))

#define HOOK_ORIGIN                                                                                \
	(&(struct unwind_origin){                                                                  \
	    (uintptr_t)__builtin_return_address(0),                                                \
	    (uintptr_t)__builtin_dwarf_cfa(),                                                      \
	    *(const uintptr_t *)__builtin_frame_address(0),                                        \
	})

/* The product of a calloc's arguments, for a failed call's record; saturated. */
static inline size_t hook_product(size_t count, size_t bytes)
{
	size_t product;

	return __builtin_mul_overflow(count, bytes, &product) ? SIZE_MAX : product;
}

/* Notes what an acquiring call returned and ends the hook. */
static inline void hook_acquired(struct thread *thread, uintptr_t frame, unsigned kind,
				 const void *block, size_t bytes, unsigned alignment_log2,
				 const struct unwind_origin *origin)
{
	if (!thread)
		return;
	thread_phase(frame);
	if (block)
		record_acquire(thread, kind, block, bytes, alignment_log2, origin);
	else if (!thread->pending || !pending_has(thread, frame))
		record_failed(thread, kind, bytes, origin);
	thread_leave();
}

static inline unsigned hook_log2(size_t alignment)
{
	return alignment ? (unsigned)__builtin_ctzl(alignment) : 0;
}

#endif
