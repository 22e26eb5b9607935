/*
 * From "this call happened" to words in the thread's ring. All functions run on the event path: no
 * lock, no system call but for a flush every few thousand events, no allocation, errno untouched.
 */
#ifndef RECORD_H
#define RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "memprof/trace.h"
#include "thread.h"
#include "unwind.h"

struct record_settings {
	const struct unwind_backend *backend;
	unsigned max_depth;
	bool maps; /* record the program's own anonymous maps */
};

/* Whether the program's own anonymous maps are wanted. */
bool record_maps(void);

/* Before the first event. */
void record_init(const struct record_settings *settings);

/* A block of `bytes` was got at `address`; log2 of the alignment asked for, or 0. */
void record_acquire(struct thread *thread, unsigned kind, const void *address, size_t bytes,
		    unsigned alignment_log2, const struct unwind_origin *origin);

/* A block is about to be given back. Before the real call. */
void record_release(struct thread *thread, unsigned kind, const void *address);

/* The stamp a realloc's release carries: before the real call. */
uint64_t record_before(struct thread *thread);

/* `old` (NULL: none) became `address`; `before` is what record_before() gave. */
void record_realloc(struct thread *thread, unsigned kind, const void *old, const void *address,
		    size_t bytes, uint64_t before, const struct unwind_origin *origin);

/* A block given back by a call that acquired nothing after all: realloc(p, 0). */
void record_release_at(struct thread *thread, unsigned kind, const void *address, uint64_t tick);

/*
 * Whether the ring's last event of `address` is its acquisition, by malloc or, inside new[], new:
 * then that was the inner half of a call of `kind` for `bytes`, and now bears its name. To be asked
 * only where the thread has acquired something since that call began: the ring may be searched.
 */
bool record_relabel(struct thread *thread, unsigned kind, const void *address, size_t bytes,
		    unsigned alignment_log2);

/* A call of `kind` for `bytes` returned no block. */
void record_failed(struct thread *thread, unsigned kind, size_t bytes,
		   const struct unwind_origin *origin);

/* Anonymous memory the program mapped itself, and its end. */
void record_map(struct thread *thread, unsigned kind, const void *address, size_t bytes,
		const struct unwind_origin *origin);
void record_unmap(struct thread *thread, unsigned kind, const void *address, size_t bytes,
		  uint64_t before);
void record_remap(struct thread *thread, const void *old, size_t old_bytes, const void *address,
		  size_t bytes, uint64_t before, const struct unwind_origin *origin);

/*
 * Makes the thread's ring whole again after an event or a flush was left half-way, by a longjmp out
 * of a signal handler: what was committed stays, what was not is gone.
 */
void record_recover(struct thread *thread);

/* Notes the resident size now, whatever the time of the last look. */
void record_resident(struct thread *thread);

#endif
