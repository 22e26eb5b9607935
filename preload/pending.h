/*
 * The call of operator new that a thread has under way, if any: its inner calls are parts of it, so
 * that all their failures are its one. A handler, the new handler or a signal's, may leave it by
 * longjmp, of which nobody is told: whoever asks looks whether its frame still stands.
 */
#ifndef PENDING_H
#define PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "unwind.h"

struct thread; /* thread.h */

/* On the stack of the hook. */
struct pending {
	struct thread *thread;
	uintptr_t frame;
	unsigned kind;
	size_t bytes;
	struct unwind_origin origin;
	uint64_t acquired;	     /* blocks, by the thread before it */
	const struct pending *outer; /* what was pending then */
};

/*
 * Whether a call from the hook's `frame` is part of what the thread has pending. If that one was
 * left for good the thread has nothing pending any more. Some system calls; errno untouched.
 */
bool pending_has(struct thread *thread, uintptr_t frame);

#endif
