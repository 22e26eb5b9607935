/*
 * Memory for the time before the next allocator's functions are known: dlsym itself may allocate.
 * A fixed arena; blocks are never reused, and freeing one is a no-op.
 */
#ifndef BOOTSTRAP_H
#define BOOTSTRAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A zeroed block of `bytes`, aligned to `alignment` (a power of two), or NULL when the arena is
 * full. Any thread.
 */
void *bootstrap_alloc(size_t bytes, size_t alignment);

#define BOOTSTRAP_BYTES (64 * 1024)
extern char bootstrap_arena[BOOTSTRAP_BYTES];

/* Whether `memory` is a block of the arena. Inline: free and malloc_usable_size ask each time. */
static inline bool bootstrap_owns(const void *memory)
{
	return (uintptr_t)memory - (uintptr_t)bootstrap_arena < BOOTSTRAP_BYTES;
}

/* Requested size of a block of the arena. */
size_t bootstrap_size(const void *memory);

#endif
