/*
 * Counters of completed calls in a shared mapping of a file, one pair a thread: what a program has
 * told when it ends, however that is.
 */
#ifndef PUBLISHED_H
#define PUBLISHED_H

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "truth.h"

#define PUBLISHED_THREADS 64

static struct published {
	_Alignas(64) _Atomic uint64_t running; /* workers that have begun */
	struct published_thread {
		_Alignas(64) _Atomic uint64_t allocated; /* after each malloc; release */
		_Atomic uint64_t freed;
	} threads[PUBLISHED_THREADS];
} * published;

static inline void published_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	TRUTH_REQUIRE(fd >= 0 && ftruncate(fd, sizeof(*published)) == 0);
	published = mmap(NULL, sizeof(*published), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TRUTH_REQUIRE(published != MAP_FAILED);
	close(fd);
}

static inline void *published_malloc(struct published_thread *self, size_t bytes)
{
	void *block = malloc(bytes);

	atomic_fetch_add_explicit(&self->allocated, 1, memory_order_release);
	return block;
}

static inline void published_free(struct published_thread *self, void *block)
{
	free(block);
	atomic_fetch_add_explicit(&self->freed, 1, memory_order_release);
}

#endif
