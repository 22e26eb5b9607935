/*
 * C++ operator new and delete, by their mangled names (Itanium C++ ABI). They forward, so that an
 * allocator whose new does not call malloc is seen, and so that new freed by free can be told.
 *
 * A new handler is the program's own code, run inside the real function; so is what throws, and
 * what a signal's handler does. Calls that arrive meanwhile are therefore recorded, and the one
 * among them that made the block, if it is in the ring still, is then given our name.
 *
 * A throwing new leaves through us: this file is compiled with -fexceptions, and the failed call is
 * recorded on the way. The two functions of libgcc that takes are weak: in a program that has no
 * C++ they are not there and not needed, and libgcc is not added to it.
 */
#include <stdatomic.h>

#include "bootstrap.h"
#include "interpose.h"

__asm__(".weak __gcc_personality_v0\n\t.weak _Unwind_Resume");

typedef const void *nothrow_t; /* a reference to std::nothrow */

/* The next definition of `name`, found once; `caller` helps where libstdc++ was loaded privately.
 */
static void *next(_Atomic(void *) *kept, const char *name, void *caller)
{
	void *found = atomic_load_explicit(kept, memory_order_acquire);

	if (__builtin_expect(found != NULL, 1))
		return found;
	found = real_find_for(name, caller);
	if (found)
		atomic_store_explicit(kept, found, memory_order_release);
	return found;
}

/* What is left of a call when an exception passes. */
static __attribute__((noinline, cold)) void failed_by_exception(struct pending *pending)
{
	struct thread *thread = pending->thread;

	thread->pending = pending->outer;
	thread_phase(pending->frame);
	if (!thread->pending || !pending_has(thread, pending->frame))
		record_failed(thread, pending->kind, pending->bytes, &pending->origin);
	thread_leave();
}

static inline void leave_by_exception(struct pending *pending)
{
	if (pending->thread)
		failed_by_exception(pending);
}

static void finish(struct thread *thread, const struct pending *pending, const void *block,
		   unsigned alignment_log2)
{
	if (!thread)
		return;
	thread->pending = pending->outer;
	thread_phase(pending->frame);
	if (block && thread->acquired != pending->acquired &&
	    record_relabel(thread, pending->kind, block, pending->bytes, alignment_log2))
		thread_leave();
	else
		hook_acquired(thread, pending->frame, pending->kind, block, pending->bytes,
			      alignment_log2, &pending->origin);
}

/*
 * One operator new: `parameters` of it, `arguments` to hand on, `alignment` asked for. Where there
 * is no next definition malloc does the work.
 */
#define OPERATOR_NEW(symbol, kind_name, parameters, arguments, alignment)                          \
	EXPORT void *symbol parameters;                                                            \
	void *symbol parameters                                                                    \
	{                                                                                          \
		static _Atomic(void *) kept;                                                       \
		struct pending pending __attribute__((cleanup(leave_by_exception))) = {            \
		    .frame = HOOK_FRAME,                                                           \
		    .kind = TRACE_EVENT_##kind_name,                                               \
		    .bytes = bytes,                                                                \
		    .origin = *HOOK_ORIGIN,                                                        \
		};                                                                                 \
		struct thread *thread;                                                             \
		void *(*call)parameters;                                                           \
		void *block;                                                                       \
                                                                                                   \
		if (!real_ready())                                                                 \
			return bootstrap_alloc(bytes, alignment);                                  \
		thread = thread_enter(HOOK_FRAME | GUARD_REAL);                                    \
		if (thread) {                                                                      \
			pending.acquired = thread->acquired;                                       \
			pending.outer = thread->pending;                                           \
			thread->pending = &pending;                                                \
		}                                                                                  \
		pending.thread = thread;                                                           \
		call = next(&kept, #symbol, __builtin_return_address(0));                          \
		block = call ? call arguments : real.malloc(bytes);                                \
		pending.thread = NULL;                                                             \
		finish(thread, &pending, block, hook_log2(alignment));                             \
		return block;                                                                      \
	}

OPERATOR_NEW(_Znwm, NEW, (size_t bytes), (bytes), 0)
OPERATOR_NEW(_Znam, NEW_ARRAY, (size_t bytes), (bytes), 0)
OPERATOR_NEW(_ZnwmRKSt9nothrow_t, NEW, (size_t bytes, nothrow_t tag), (bytes, tag), 0)
OPERATOR_NEW(_ZnamRKSt9nothrow_t, NEW_ARRAY, (size_t bytes, nothrow_t tag), (bytes, tag), 0)
OPERATOR_NEW(_ZnwmSt11align_val_t, NEW, (size_t bytes, size_t align), (bytes, align), align)
OPERATOR_NEW(_ZnamSt11align_val_t, NEW_ARRAY, (size_t bytes, size_t align), (bytes, align), align)
OPERATOR_NEW(_ZnwmSt11align_val_tRKSt9nothrow_t, NEW, (size_t bytes, size_t align, nothrow_t tag),
	     (bytes, align, tag), align)
OPERATOR_NEW(_ZnamSt11align_val_tRKSt9nothrow_t, NEW_ARRAY,
	     (size_t bytes, size_t align, nothrow_t tag), (bytes, align, tag), align)

#define OPERATOR_DELETE(symbol, kind_name, parameters, arguments)                                  \
	EXPORT void symbol parameters;                                                             \
	void symbol parameters                                                                     \
	{                                                                                          \
		static _Atomic(void *) kept;                                                       \
		struct thread *thread;                                                             \
		void(*call) parameters;                                                            \
                                                                                                   \
		if (!block || bootstrap_owns(block) || !real_ready())                              \
			return;                                                                    \
		thread = thread_enter(HOOK_FRAME);                                                 \
		if (thread) {                                                                      \
			record_release(thread, TRACE_EVENT_##kind_name, block);                    \
			thread_phase(HOOK_FRAME | GUARD_OWN);                                      \
		}                                                                                  \
		call = next(&kept, #symbol, __builtin_return_address(0));                          \
		if (call)                                                                          \
			call arguments;                                                            \
		else                                                                               \
			real.free(block);                                                          \
		if (thread)                                                                        \
			thread_leave();                                                            \
	}

OPERATOR_DELETE(_ZdlPv, DELETE, (void *block), (block))
OPERATOR_DELETE(_ZdaPv, DELETE_ARRAY, (void *block), (block))
OPERATOR_DELETE(_ZdlPvm, DELETE, (void *block, size_t bytes), (block, bytes))
OPERATOR_DELETE(_ZdaPvm, DELETE_ARRAY, (void *block, size_t bytes), (block, bytes))
OPERATOR_DELETE(_ZdlPvRKSt9nothrow_t, DELETE, (void *block, nothrow_t tag), (block, tag))
OPERATOR_DELETE(_ZdaPvRKSt9nothrow_t, DELETE_ARRAY, (void *block, nothrow_t tag), (block, tag))
OPERATOR_DELETE(_ZdlPvSt11align_val_t, DELETE, (void *block, size_t align), (block, align))
OPERATOR_DELETE(_ZdaPvSt11align_val_t, DELETE_ARRAY, (void *block, size_t align), (block, align))
OPERATOR_DELETE(_ZdlPvmSt11align_val_t, DELETE, (void *block, size_t bytes, size_t align),
		(block, bytes, align))
OPERATOR_DELETE(_ZdaPvmSt11align_val_t, DELETE_ARRAY, (void *block, size_t bytes, size_t align),
		(block, bytes, align))
OPERATOR_DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, DELETE,
		(void *block, size_t align, nothrow_t tag), (block, align, tag))
OPERATOR_DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, DELETE_ARRAY,
		(void *block, size_t align, nothrow_t tag), (block, align, tag))
