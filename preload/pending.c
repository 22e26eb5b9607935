#include "pending.h"

#include "arch.h"
#include "stack_bounds.h"
#include "thread.h"

#define FRAME_BYTES 1024 /* no hook has a frame as large */

/*
 * Stacks grow down: see guard_is_stale(). What is pending may be gone with all the stack it was on,
 * a coroutine's, or have been overwritten.
 */
static bool is_under_way(const struct pending *pending, uintptr_t frame)
{
	uintptr_t at = (uintptr_t)pending;

	if (frame >= at || !stack_bounds_readable(at) ||
	    !stack_bounds_readable(at + sizeof(*pending) - sizeof(uintptr_t)))
		return false;
	frame = pending->frame;
	return frame > at && frame - at < FRAME_BYTES &&
	       stack_bounds_readable(frame + sizeof(uintptr_t)) &&
	       arch_strip_pc(((const uintptr_t *)frame)[1]) == arch_strip_pc(pending->origin.pc);
}

bool pending_has(struct thread *thread, uintptr_t frame)
{
	if (thread->pending && !is_under_way(thread->pending, frame))
		thread->pending = NULL;
	return thread->pending != NULL;
}
