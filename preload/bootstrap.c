#include "bootstrap.h"

#include <stdatomic.h>
#include <stdint.h>

#define ARENA_BYTES (64 * 1024)
#define HEAD_BYTES  sizeof(size_t)

static _Alignas(64) char arena[ARENA_BYTES];
/* Bytes handed out; relaxed: blocks of different callers never overlap by construction. */
static atomic_size_t arena_used;

bool bootstrap_owns(const void *memory)
{
	return (uintptr_t)memory - (uintptr_t)arena < ARENA_BYTES;
}

void *bootstrap_alloc(size_t bytes, size_t alignment)
{
	size_t used = atomic_load_explicit(&arena_used, memory_order_relaxed);
	size_t start;

	if (alignment < 16)
		alignment = 16;
	if (bytes > ARENA_BYTES || alignment > 4096)
		return NULL;
	do {
		uintptr_t at = (uintptr_t)arena + used + HEAD_BYTES;

		start = ((at + alignment - 1) & ~(alignment - 1)) - (uintptr_t)arena;
		if (start + bytes > ARENA_BYTES)
			return NULL;
	} while (!atomic_compare_exchange_weak_explicit(
	    &arena_used, &used, start + bytes, memory_order_relaxed, memory_order_relaxed));
	((size_t *)(arena + start))[-1] = bytes;
	return arena + start;
}

size_t bootstrap_size(const void *memory)
{
	return ((const size_t *)memory)[-1];
}
