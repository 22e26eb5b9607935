/*
 * Memory for the recorder itself, straight from mmap: the recorder never allocates from the heap it
 * watches.
 */
#ifndef PAGES_H
#define PAGES_H

#include <stddef.h>

/*
 * `bytes` (rounded up to pages) of zeroed private memory, owned by the caller; NULL when the kernel
 * refuses. Any thread, signal-safe; errno untouched.
 */
void *pages_map(size_t bytes);

/* The same, without a promise of memory behind it (MAP_NORESERVE). */
void *pages_reserve(size_t bytes);

/*
 * PAGES_HUGE_BYTES as pages_map(), aligned to that, in one huge page where the kernel has one to
 * spare: for tables that are read all over the place.
 */
#define PAGES_HUGE_BYTES ((size_t)2 << 20)
void *pages_map_huge(void);

/* `memory` from pages_map or pages_reserve, with the same `bytes`. */
void pages_unmap(void *memory, size_t bytes);

/* Gives the memory back but keeps the addresses: they read as zero from now on. */
void pages_drop(void *memory, size_t bytes);

#endif
