#include "thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "clock.h"
#include "codec.h"
#include "flush.h"
#include "pages.h"
#include "record.h"
#include "sole.h"
#include "stop.h"
#include "sys.h"
#include "trace_file.h"

#define THREADS_MAX 65536
/* A guard found set by a hook whose frame lies outside the guarded one by less than this was left
 * behind by a longjmp or an exception, not by a hook that runs below us. */
#define STACK_DISTANCE_MAX (64U << 20)

enum {
	STATE_OWNED,
	STATE_DYING,   /* its exit has begun: free as soon as the kernel knows the thread no more */
	STATE_CLAIMED, /* a new thread is looking whether it may have it */
};

__thread struct thread_tls thread_tls __attribute__((tls_model("initial-exec"))) = {
    .generation = GENERATION_NONE,
};

static const volatile uint64_t generation_new = GENERATION_NEW;
const volatile uint64_t *thread_generation = &generation_new;

static const struct unwind_backend *backend;
static _Atomic(struct thread *) threads[THREADS_MAX];
static atomic_uint thread_slots;   /* entries of `threads` in use */
static atomic_uint threads_dying;  /* a hint: nothing to look for while 0 */
static atomic_uint threads_serial; /* serial numbers given */
static pthread_key_t exit_key;
static bool exit_key_made;

static uint32_t own_tid(void)
{
	return (uint32_t)SYS0(gettid);
}

/* Handlers that jump away or cancel the thread come before or after, never within. */
static uint64_t hold_signals(void)
{
	uint64_t all = UINT64_MAX, old = 0;

	SYS4(rt_sigprocmask, SIG_SETMASK, &all, &old, sizeof(all));
	return old;
}

static void let_signals(uint64_t old)
{
	SYS4(rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof(old));
}

/*
 * The caller's id if it is a thread of the recorded process; 0 in a child that shares its memory
 * (vfork, CLONE_VM) and acts for a thread whose id it cannot ask for.
 */
static uint32_t recorded_tid(void)
{
	return SYS0(getpid) == trace_file_header()->pid ? own_tid() : 0;
}

/*
 * Runs when the thread ends, perhaps before other destructors that still free. No hook is at work
 * then: a guard that is set was left by one that the thread was cancelled in.
 */
static void at_thread_exit(void *memory)
{
	struct thread *thread = memory;
	struct thread_tls *tls = &thread_tls;

	if (tls->thread != thread || !thread_is_recording(tls))
		return;
	if (tls->guard && !(tls->guard & GUARD_PHASES))
		record_recover(thread);
	tls_guard((uintptr_t)__builtin_frame_address(0) | GUARD_OWN);
	flush_all(thread);
	thread->tid = recorded_tid();
	tls_set_guard(0);
	STOP_POINT("thread.flushed");
	atomic_store_explicit(&thread->state, STATE_DYING, memory_order_release);
	atomic_fetch_add_explicit(&threads_dying, 1, memory_order_relaxed);
}

void thread_init(void)
{
	exit_key_made = pthread_key_create(&exit_key, at_thread_exit) == 0;
}

void thread_use(const struct unwind_backend *chosen)
{
	backend = chosen;
}

static bool is_gone(uint32_t tid)
{
	/* We have its number: the thread that had it before is gone. */
	if (tid && tid == recorded_tid())
		return true;
	/* Not getpid(), which is another's in a vfork child. */
	return SYS3(tgkill, trace_file_header()->pid, tid, 0) == -ESRCH;
}

static unsigned slots_used(void)
{
	unsigned count = atomic_load_explicit(&thread_slots, memory_order_acquire);

	return count < THREADS_MAX ? count : THREADS_MAX;
}

/* The ring of a thread that is gone, emptied of what it left; NULL when there is none. */
static struct thread *inherit(void)
{
	if (!atomic_load_explicit(&threads_dying, memory_order_relaxed))
		return NULL;
	for (unsigned i = 0; i < slots_used(); i++) {
		struct thread *thread = atomic_load_explicit(&threads[i], memory_order_acquire);
		uint32_t expected = STATE_DYING;

		if (!thread || !atomic_compare_exchange_strong_explicit(
				   &thread->state, &expected, STATE_CLAIMED, memory_order_acquire,
				   memory_order_relaxed))
			continue;
		if (is_gone(thread->tid)) {
			atomic_fetch_sub_explicit(&threads_dying, 1, memory_order_relaxed);
			flush_all(thread);
			STOP_POINT("thread.inherited");
			return thread;
		}
		atomic_store_explicit(&thread->state, STATE_DYING, memory_order_release);
	}
	return NULL;
}

static struct thread *make(void)
{
	unsigned slot = atomic_fetch_add_explicit(&thread_slots, 1, memory_order_relaxed);
	struct thread *thread;

	if (slot >= THREADS_MAX)
		return NULL;
	thread = pages_map(sizeof(*thread));
	if (!thread)
		return NULL;
	atomic_store_explicit(&thread->state, STATE_CLAIMED, memory_order_relaxed);
	thread->unwind_state = backend->state_bytes ? pages_map(backend->state_bytes) : NULL;
	if ((backend->state_bytes && !thread->unwind_state) || ring_init(&thread->ring, slot) < 0)
		return NULL;
	stage_init(&thread->stage, thread->ring.stage);
	codec_threads(slot + 1);
	atomic_store_explicit(&threads[slot], thread, memory_order_release);
	return thread;
}

/* The ring is empty here, so whoever reads it finds no event under the wrong name. */
static void take_ownership(struct thread *thread)
{
	struct trace_ring *control = thread->ring.control;

	thread->serial = atomic_fetch_add_explicit(&threads_serial, 1, memory_order_relaxed);
	thread->tid = recorded_tid();
	thread->pending = NULL;
	control->thread = thread->serial;
	control->tid = thread->tid;
	STOP_POINT("thread.named");
	control->start_tick = clock_ticks();
	memset(control->name, 0, sizeof(control->name));
	SYS2(prctl, PR_GET_NAME, control->name);
	atomic_store_explicit(&thread->state, STATE_OWNED, memory_order_release);
}

static struct thread *attach(struct thread_tls *tls)
{
	struct thread *thread = inherit();

	if (!thread)
		thread = make();
	if (!thread) {
		thread_process.disable("no memory for another thread's ring");
		return NULL;
	}
	take_ownership(thread);
	tls->thread = thread;
	sole_attach(thread);
	/* May allocate; the guard is set. */
	if (exit_key_made)
		tls->claimed = pthread_setspecific(exit_key, thread) == 0;
	return thread;
}

/* In a signal handler on a stack of its own, which says nothing about the guarded frame's. */
static bool is_on_other_stack(uintptr_t guard)
{
	stack_t stack;

	return SYS2(sigaltstack, NULL, &stack) == 0 && (stack.ss_flags & SS_ONSTACK) &&
	       guard - (uintptr_t)stack.ss_sp >= stack.ss_size;
}

/*
 * A guard that is set means we are inside another hook, unless that hook's frame is gone: stacks
 * grow down, so a frame at or above the guarded one has outlived it, and so has one whose return
 * address was overwritten since.
 */
static bool guard_is_stale(uintptr_t guard, uintptr_t frame)
{
	bool stale;

	if (frame >= guard)
		stale = frame - guard < STACK_DISTANCE_MAX;
	else
		stale = guard - frame < STACK_DISTANCE_MAX &&
			((const uintptr_t *)guard)[1] != thread_tls.guard_return;
	/* Asked last: each operator delete that calls free comes this way. */
	return stale && !is_on_other_stack(guard);
}

/* A call from a handler that interrupted the writing of an event: the ring is not to be touched. */
static void count_lost(struct thread_tls *tls)
{
	if (!thread_is_recording(tls))
		return;
	tls->thread->lost++;
	tls->thread->ring.control->lost_events = tls->thread->lost;
	__atomic_fetch_add(&trace_file_header()->lost_events, 1, __ATOMIC_RELAXED);
}

/* Whether an event that arrives while the guard is set can be recorded all the same. */
static bool may_nest(struct thread_tls *tls, uintptr_t frame)
{
	uintptr_t phase = tls->guard & GUARD_PHASES;

	/* The ring is whole while the next allocator is at work. */
	if (phase & GUARD_REAL)
		return true;
	if (guard_is_stale(tls->guard & ~(uintptr_t)GUARD_PHASES, frame)) {
		if (!phase && thread_is_recording(tls))
			record_recover(tls->thread);
		return true;
	}
	if (!(phase & GUARD_OWN))
		count_lost(tls);
	return false;
}

/*
 * What a first event sets off: of the process, of a forked child, of a thread. Returns this
 * thread's state; NULL when recording is off. The guard is set.
 */
static struct thread *begin(struct thread_tls *tls)
{
	uint64_t generation = thread_generation_now();

	if (generation == GENERATION_NEW)
		thread_process.start();
	else if (generation == GENERATION_FORKED)
		thread_process.forked();
	generation = thread_generation_now();
	if (generation == GENERATION_OFF || generation == GENERATION_NEW ||
	    generation == GENERATION_FORKED)
		return NULL;
	return attach(tls);
}

struct thread *thread_enter_slowly(uintptr_t frame)
{
	uintptr_t address = frame & ~(uintptr_t)GUARD_PHASES;
	struct thread_tls *tls = &thread_tls;
	int saved_errno = errno;
	struct thread *thread;
	uint64_t signals;

	/* Inside operator new, most often. */
	if (tls->guard & GUARD_REAL && tls->generation == thread_generation_now()) {
		tls_guard(frame);
		return tls->thread;
	}
	if (tls->guard && !may_nest(tls, address))
		return NULL;
	if (thread_generation_now() == GENERATION_OFF) {
		tls_set_guard(0);
		return NULL;
	}
	if (thread_is_recording(tls)) {
		tls_guard(frame);
		sole_revoke(tls->thread);
		return tls->thread;
	}
	/* A handler that finds GUARD_OWN set would be taken for part of what we do. */
	signals = hold_signals();
	tls_guard(address | GUARD_OWN);
	thread = begin(tls);
	tls_set_guard(thread ? frame : 0);
	let_signals(signals);
	errno = saved_errno;
	return thread;
}

void thread_forked(void)
{
	unsigned count = slots_used();

	for (unsigned i = 0; i < count; i++)
		atomic_store_explicit(&threads[i], NULL, memory_order_relaxed);
	atomic_store_explicit(&thread_slots, 0, memory_order_relaxed);
	atomic_store_explicit(&threads_dying, 0, memory_order_relaxed);
	atomic_store_explicit(&threads_serial, 0, memory_order_relaxed);
}

void thread_each(void (*visit)(struct thread *thread, void *context), void *context)
{
	for (unsigned i = 0; i < slots_used(); i++) {
		struct thread *thread = atomic_load_explicit(&threads[i], memory_order_acquire);

		if (thread)
			visit(thread, context);
	}
}
