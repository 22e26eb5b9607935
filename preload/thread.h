/*
 * What each thread of the program has of ours: a guard against recording ourselves, a ring, and the
 * unwinder's memory. A thread gets them at its first event; when it is gone another takes them
 * over.
 *
 * Initial-exec TLS holds only what the first instructions of a hook need; the rest is in pages.
 */
#ifndef THREAD_H
#define THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "pack.h"
#include "ring.h"
#include "stage.h"
#include "tls.h"
#include "unwind.h"

/*
 * Values of thread_generation that are no generation. A generation has the number of the recording
 * in its upper half; the lower half is sole.h's.
 */
#define GENERATION_FORKED 0 /* what the kernel leaves of it in a child (MADV_WIPEONFORK) */
#define GENERATION_OFF	  UINT64_MAX
#define GENERATION_NEW	  (UINT64_MAX - 1)
#define GENERATION_NONE	  (UINT64_MAX >> 1) /* of a thread that never recorded: equals none */

struct pending; /* pending.h */

struct thread {
	struct ring ring;
	void *unwind_state;
	struct unwind_counts unwind_counts;
	uint64_t ring_events; /* events in the ring now */
	uint64_t acquired;    /* blocks got and given back by this thread, for the closing words */
	uint64_t released;
	uint64_t failed;
	const struct pending *pending; /* operator new under way, the innermost */
	uint64_t lost;		       /* events of this ring that could not be recorded */
	/* sole.h's: stamps need no fence; so it was for all that is in the ring; when it asked for
	 * that; in how many rings it may ask again; how many it waits then. */
	volatile bool sole;
	bool sole_ring;
	uint64_t sole_asked;
	unsigned sole_rings_left;
	unsigned sole_wait;
	uint32_t serial; /* of the owner */
	uint32_t tid;
	_Atomic uint32_t state; /* enum in thread.c */
	struct pack_state pack;
	struct stage stage; /* last: it is large, and not of the event path */
};

/*
 * Changes when recording starts, stops or the process forks, and as sole.h says, so that one
 * comparison on the event path notices all of them. Points to a page that a fork wipes once
 * recording has begun.
 */
extern const volatile uint64_t *thread_generation;

static inline uint64_t thread_generation_now(void)
{
	return __atomic_load_n(thread_generation, __ATOMIC_ACQUIRE);
}

/* What the first event of a process or of a forked child sets off; lifecycle.c, above us, has it.
 */
struct thread_process {
	void (*start)(void);
	void (*forked)(void);
	void (*disable)(const char *why);
};

extern const struct thread_process thread_process;

struct thread *thread_enter_slowly(uintptr_t frame);

/* Whether the state in `tls` is one of the recording that is going on. */
static inline bool thread_is_recording(const struct thread_tls *tls)
{
	return tls->thread && tls->generation >> 32 == thread_generation_now() >> 32;
}

/*
 * The beginning of a hook: this thread's state if the event is to be recorded, then thread_leave()
 * must follow; NULL if not (we caused it ourselves, or recording is off). `frame` is the hook's
 * frame address, whose second word is the return address, with the phase it begins in: GUARD_REAL
 * before the real call, nothing when the event is written first. Signal-safe; errno untouched.
 */
static inline struct thread *thread_enter(uintptr_t frame)
{
	struct thread_tls *tls = &thread_tls;

	if (__builtin_expect(tls->guard != 0 || tls->generation != thread_generation_now(), 0))
		return thread_enter_slowly(frame);
	tls_guard(frame);
	return tls->thread;
}

/* The hook's next phase; `frame` as for thread_enter. A handler may have had the guard meanwhile.
 */
static inline void thread_phase(uintptr_t frame)
{
	tls_guard(frame);
}

static inline void thread_leave(void)
{
	tls_set_guard(0);
}

/* Sets up what thread exits are noticed by. Once, from the library's constructor. */
void thread_init(void);

/* Which unwinder the threads get memory for. Before the first thread_enter that records. */
void thread_use(const struct unwind_backend *backend);

/* In a forked child: forgets all threads, which are not here. */
void thread_forked(void);

/* Calls `visit` for each thread there ever was. Their owners may be running. */
void thread_each(void (*visit)(struct thread *thread, void *context), void *context);

#endif
