#include "bootstrap.h"

#include <stdatomic.h>
#include <stdint.h>

#define HEAD_BYTES sizeof(size_t)

_Alignas(64) char bootstrap_arena[BOOTSTRAP_BYTES];
/* Bytes handed out; relaxed: blocks of different callers never overlap by construction. */
static atomic_size_t arena_used;

void *bootstrap_alloc(size_t bytes, size_t alignment)
{
	size_t used = atomic_load_explicit(&arena_used, memory_order_relaxed);
	size_t start;

	if (alignment < 16)
		alignment = 16;
	if (bytes > BOOTSTRAP_BYTES || alignment > 4096)
		return NULL;
	do {
		uintptr_t at = (uintptr_t)bootstrap_arena + used + HEAD_BYTES;

		start = ((at + alignment - 1) & ~(alignment - 1)) - (uintptr_t)bootstrap_arena;
		if (start + bytes > BOOTSTRAP_BYTES)
			return NULL;
	} while (!atomic_compare_exchange_weak_explicit(
	    &arena_used, &used, start + bytes, memory_order_relaxed, memory_order_relaxed));
	((size_t *)(bootstrap_arena + start))[-1] = bytes;
	return bootstrap_arena + start;
}

size_t bootstrap_size(const void *memory)
{
	return ((const size_t *)memory)[-1];
}
