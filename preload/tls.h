/*
 * The few words of each thread that a hook's first instructions need, in initial-exec TLS: no call
 * and no allocation to reach them (facts of ELF TLS: docs/architecture.md).
 *
 * The guard says what this thread is doing for us. A call that arrives while it is set was made by
 * a signal handler or by what we called; the phase tells which, and so what to do with it.
 */
#ifndef TLS_H
#define TLS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Low bits of the guard; frames are aligned to 16. None of them: we are writing an event. */
#define GUARD_REAL   1 /* the next allocator is at work: calls that arrive are a handler's */
#define GUARD_OWN    2 /* what we called may allocate: calls that arrive are part of that */
#define GUARD_PHASES 15

struct thread;

struct thread_tls {
	uintptr_t guard;	/* frame of the hook that is at work, and its phase; 0: none */
	uintptr_t guard_return; /* that hook's return address: the frame is gone when it changed */
	struct thread *thread;
	uint64_t generation; /* `thread` is good while this equals *thread_generation */
	bool claimed;	     /* the exit of this thread will be noticed */
};

extern __thread struct thread_tls thread_tls __attribute__((tls_model("initial-exec")));

/* The guard must be in memory before what it guards: a handler looks from the same thread. */
static inline void tls_set_guard(uintptr_t guard)
{
	atomic_signal_fence(memory_order_seq_cst);
	thread_tls.guard = guard;
	atomic_signal_fence(memory_order_seq_cst);
}

/* Takes the guard for `frame` and a phase: its return address tells later whether it still stands.
 */
static inline void tls_guard(uintptr_t frame)
{
	thread_tls.guard_return = ((const uintptr_t *)(frame & ~(uintptr_t)GUARD_PHASES))[1];
	tls_set_guard(frame);
}

/* Within a hook: what is called until tls_own_end() may allocate. Returns what that needs. */
static inline uintptr_t tls_own_begin(void)
{
	uintptr_t guard = thread_tls.guard;

	tls_set_guard(guard | GUARD_OWN);
	return guard;
}

static inline void tls_own_end(uintptr_t guard)
{
	tls_set_guard(guard);
}

#endif
