/* The C allocator's functions. */
#include <errno.h>
#include <string.h>

#include "bootstrap.h"
#include "interpose.h"

/*
 * Of these only malloc, calloc, realloc and free are sure not to call another of the family by its
 * public name; for the others what arrives meanwhile is taken for a part of them.
 */
EXPORT void *malloc(size_t bytes);
EXPORT void *calloc(size_t count, size_t bytes);
EXPORT void *realloc(void *old, size_t bytes);
EXPORT void *reallocarray(void *old, size_t count, size_t bytes);
EXPORT void free(void *block);
EXPORT void free_sized(void *block, size_t bytes);
EXPORT void free_aligned_sized(void *block, size_t alignment, size_t bytes);
EXPORT int posix_memalign(void **result, size_t alignment, size_t bytes);
EXPORT void *aligned_alloc(size_t alignment, size_t bytes);
EXPORT void *memalign(size_t alignment, size_t bytes);
EXPORT void *valloc(size_t bytes);
EXPORT void *pvalloc(size_t bytes);
EXPORT size_t malloc_usable_size(void *block);

void *malloc(size_t bytes)
{
	struct thread *thread;
	void *block;

	if (!real_ready())
		return bootstrap_alloc(bytes, 0);
	thread = thread_enter(HOOK_FRAME | GUARD_REAL);
	block = real.malloc(bytes);
	hook_acquired(thread, HOOK_FRAME, TRACE_EVENT_MALLOC, block, bytes, 0, HOOK_ORIGIN);
	return block;
}

void *calloc(size_t count, size_t bytes)
{
	struct thread *thread;
	void *block;

	if (!real_ready())
		return bootstrap_alloc(hook_product(count, bytes), 0);
	thread = thread_enter(HOOK_FRAME | GUARD_REAL);
	block = real.calloc(count, bytes);
	hook_acquired(thread, HOOK_FRAME, TRACE_EVENT_CALLOC, block, hook_product(count, bytes), 0,
		      HOOK_ORIGIN);
	return block;
}

/* A block of the bootstrap arena moves to the real allocator; the old one stays where it is. */
static void *realloc_bootstrap(void *old, size_t bytes)
{
	void *block = malloc(bytes);

	if (block && old)
		memcpy(block, old, bytes < bootstrap_size(old) ? bytes : bootstrap_size(old));
	return block;
}

static void realloc_done(struct thread *thread, uintptr_t frame, unsigned kind, void *old,
			 void *block, size_t bytes, uint64_t before,
			 const struct unwind_origin *origin)
{
	thread_phase(frame);
	if (block)
		record_realloc(thread, kind, old, block, bytes, before, origin);
	else if (old && bytes == 0)
		record_release_at(thread, TRACE_EVENT_REALLOC_FREE, old, before);
	else
		record_failed(thread, kind, bytes, origin);
	thread_leave();
}

void *realloc(void *old, size_t bytes)
{
	struct thread *thread;
	uint64_t before;
	void *block;

	if (!real_ready() || bootstrap_owns(old))
		return realloc_bootstrap(old, bytes);
	thread = thread_enter(HOOK_FRAME | GUARD_REAL);
	before = thread ? record_before(thread) : 0;
	block = real.realloc(old, bytes);
	if (thread)
		realloc_done(thread, HOOK_FRAME, TRACE_EVENT_REALLOC, old, block, bytes, before,
			     HOOK_ORIGIN);
	return block;
}

void *reallocarray(void *old, size_t count, size_t bytes)
{
	struct thread *thread;
	uint64_t before;
	void *block;

	if (!real_ready() || bootstrap_owns(old))
		return realloc_bootstrap(old, hook_product(count, bytes));
	thread = thread_enter(HOOK_FRAME | GUARD_OWN);
	before = thread ? record_before(thread) : 0;
	block = real.reallocarray(old, count, bytes);
	if (thread)
		realloc_done(thread, HOOK_FRAME, TRACE_EVENT_REALLOCARRAY, old, block,
			     hook_product(count, bytes), before, HOOK_ORIGIN);
	return block;
}

/* Whether freeing `block` is the real allocator's business at all. */
static int is_real(void *block)
{
	return block && !bootstrap_owns(block) && real_ready();
}

void free(void *block)
{
	struct thread *thread;

	if (!is_real(block))
		return;
	thread = thread_enter(HOOK_FRAME);
	if (thread) {
		record_release(thread, TRACE_EVENT_FREE, block);
		thread_phase(HOOK_FRAME | GUARD_REAL);
	}
	real.free(block);
	if (thread)
		thread_leave();
}

void free_sized(void *block, size_t bytes)
{
	struct thread *thread;

	if (!is_real(block))
		return;
	thread = thread_enter(HOOK_FRAME);
	if (thread) {
		record_release(thread, TRACE_EVENT_FREE_SIZED, block);
		thread_phase(HOOK_FRAME | GUARD_REAL);
	}
	if (real.free_sized)
		real.free_sized(block, bytes);
	else
		real.free(block);
	if (thread)
		thread_leave();
}

void free_aligned_sized(void *block, size_t alignment, size_t bytes)
{
	struct thread *thread;

	if (!is_real(block))
		return;
	thread = thread_enter(HOOK_FRAME);
	if (thread) {
		record_release(thread, TRACE_EVENT_FREE_ALIGNED_SIZED, block);
		thread_phase(HOOK_FRAME | GUARD_REAL);
	}
	if (real.free_aligned_sized)
		real.free_aligned_sized(block, alignment, bytes);
	else
		real.free(block);
	if (thread)
		thread_leave();
}

int posix_memalign(void **result, size_t alignment, size_t bytes)
{
	struct thread *thread;
	int error;

	if (!real_ready()) {
		*result = bootstrap_alloc(bytes, alignment);
		return *result ? 0 : ENOMEM;
	}
	thread = thread_enter(HOOK_FRAME | GUARD_OWN);
	error = real.posix_memalign(result, alignment, bytes);
	hook_acquired(thread, HOOK_FRAME, TRACE_EVENT_POSIX_MEMALIGN, error ? NULL : *result, bytes,
		      hook_log2(alignment), HOOK_ORIGIN);
	return error;
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
	struct thread *thread;
	void *block;

	if (!real_ready())
		return bootstrap_alloc(bytes, alignment);
	thread = thread_enter(HOOK_FRAME | GUARD_OWN);
	block = real.aligned_alloc(alignment, bytes);
	hook_acquired(thread, HOOK_FRAME, TRACE_EVENT_ALIGNED_ALLOC, block, bytes,
		      hook_log2(alignment), HOOK_ORIGIN);
	return block;
}

void *memalign(size_t alignment, size_t bytes)
{
	struct thread *thread;
	void *block;

	if (!real_ready())
		return bootstrap_alloc(bytes, alignment);
	thread = thread_enter(HOOK_FRAME | GUARD_OWN);
	block = real.memalign(alignment, bytes);
	hook_acquired(thread, HOOK_FRAME, TRACE_EVENT_MEMALIGN, block, bytes, hook_log2(alignment),
		      HOOK_ORIGIN);
	return block;
}

void *valloc(size_t bytes)
{
	struct thread *thread;
	void *block;

	if (!real_ready())
		return bootstrap_alloc(bytes, 4096);
	thread = thread_enter(HOOK_FRAME | GUARD_OWN);
	block = real.valloc(bytes);
	hook_acquired(thread, HOOK_FRAME, TRACE_EVENT_VALLOC, block, bytes, 0, HOOK_ORIGIN);
	return block;
}

void *pvalloc(size_t bytes)
{
	struct thread *thread;
	void *block;

	if (!real_ready())
		return bootstrap_alloc(bytes, 4096);
	thread = thread_enter(HOOK_FRAME | GUARD_OWN);
	block = real.pvalloc(bytes);
	hook_acquired(thread, HOOK_FRAME, TRACE_EVENT_PVALLOC, block, bytes, 0, HOOK_ORIGIN);
	return block;
}

size_t malloc_usable_size(void *block)
{
	if (bootstrap_owns(block))
		return bootstrap_size(block);
	return real_ready() ? real.malloc_usable_size(block) : 0;
}
