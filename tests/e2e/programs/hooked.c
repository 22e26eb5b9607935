/*
 * Every hooked C function, in every form it has: what returns a block, what fails, what releases,
 * what does neither. Answers that differ between allocators (realloc to 0 bytes) are booked as they
 * came; what POSIX promises is required. "no-pvalloc" leaves that one out: jemalloc has none, and
 * cannot free what glibc's returns.
 */
#include <errno.h>
#include <limits.h>
#include <malloc.h>

#include "truth.h"

static volatile size_t enormous = PTRDIFF_MAX; /* volatile: the compiler knows it must fail */

static void *book(void *block, size_t bytes)
{
	TRUTH_REQUIRE(block);
	truth_got(block, bytes);
	return block;
}

static void *expect_move(void *old, size_t old_bytes, void *block, size_t bytes)
{
	TRUTH_REQUIRE(block);
	truth_moved(old, old_bytes, block, bytes);
	return block;
}

static void expect_failure(void *block)
{
	TRUTH_REQUIRE(!block);
	truth.failed++;
}

static void all_that_return_blocks(int with_pvalloc)
{
	void *block = NULL;

	truth_free(book(malloc(100), 100), 100);
	truth_free(book(malloc(0), 0), 0);
	truth_free(book(calloc(7, 11), 77), 77);
	block = book(calloc(0, 8), 0);
	truth_free(book(aligned_alloc(64, 640), 640), 640);
	truth_free(book(memalign(256, 1000), 1000), 1000);
	truth_free(block, 0);
	truth_free(book(valloc(5000), 5000), 5000);
	if (with_pvalloc)
		truth_free(book(pvalloc(123), 123), 123);
	TRUTH_REQUIRE(posix_memalign(&block, 4096, 777) == 0);
	truth_free(book(block, 777), 777);
	TRUTH_REQUIRE(posix_memalign(&block, 32, 0) == 0);
	if (block)
		truth_free(book(block, 0), 0);
	truth_free(book(malloc(3 << 20), 3 << 20), 3 << 20);
	book(malloc(12345), 12345); /* stays */
}

/* Copies of freed addresses go through an integer: a freed pointer must not be read. */
static void all_reallocs(void)
{
	void *a = expect_move(NULL, 0, realloc(NULL, 10), 10);
	void *in_the_way;
	size_t bytes = 10;

	a = expect_move(a, bytes, realloc(a, 16), 16); /* mostly in place */
	in_the_way = book(malloc(16), 16);
	a = expect_move(a, 16, realloc(a, 100000), 100000); /* moves */
	a = expect_move(a, 100000, realloc(a, 50), 50);	    /* shrinks */
	a = expect_move(a, 50, realloc(a, 4 << 20), 4 << 20);
	a = expect_move(a, 4 << 20, realloc(a, 8 << 20), 8 << 20); /* mremap inside */
	a = expect_move(a, 8 << 20, reallocarray(a, 10, 30), 300);
	expect_failure(realloc(a, enormous));
	expect_failure(reallocarray(a, enormous, 4));
	truth_free(a, 300); /* the failures kept it */
	a = expect_move(NULL, 0, reallocarray(NULL, 3, 5), 15);
	bytes = malloc_usable_size(a);
	TRUTH_REQUIRE(bytes >= 15);
	truth_free(in_the_way, 16);
	in_the_way = a;
	a = realloc(a, 0);
	if (a) { /* jemalloc, tcmalloc and mimalloc may return a block of 0 bytes */
		truth_moved(in_the_way, 15, a, 0);
		truth_free(a, 0);
	} else {
		truth_gave(in_the_way, 15);
	}
	a = realloc(NULL, 0);
	if (a) {
		truth_moved(NULL, 0, a, 0);
		truth_free(a, 0);
	}
}

static void all_failures(void)
{
	void *block = &block;

	expect_failure(malloc(enormous));
	TRUTH_REQUIRE(errno == ENOMEM);
	expect_failure(calloc(enormous, 3));
	expect_failure(calloc(1, enormous));
	expect_failure(realloc(NULL, enormous));
	expect_failure(reallocarray(NULL, enormous, enormous));
	expect_failure(aligned_alloc(64, enormous & ~(size_t)63));
	expect_failure(memalign(64, enormous));
	expect_failure(valloc(enormous));
	TRUTH_REQUIRE(posix_memalign(&block, 3, 10) == EINVAL);
	truth.failed++;
	TRUTH_REQUIRE(posix_memalign(&block, 64, enormous) == ENOMEM);
	truth.failed++;
	TRUTH_REQUIRE(block == &block); /* untouched */
}

/* C23's sized frees: not in glibc 2.36, so only where a preload offers them. */
extern void free_sized(void *block, size_t bytes) __attribute__((weak));
extern void free_aligned_sized(void *block, size_t alignment, size_t bytes) __attribute__((weak));

static void sized_frees(void)
{
	void *block = book(malloc(61), 61);

	truth_gave(block, 61);
	if (free_sized)
		free_sized(block, 61);
	else
		free(block);
	block = book(aligned_alloc(64, 128), 128);
	truth_gave(block, 128);
	if (free_aligned_sized)
		free_aligned_sized(block, 64, 128);
	else
		free(block);
	truth_note(",\"sized\":%d", free_sized && free_aligned_sized);
}

int main(int argc, char **argv)
{
	int saved, with_pvalloc = argc < 2;

	if (truth_is_baseline(argc, argv)) {
		truth_print(1, &truth);
		return 0;
	}
	for (int round = 0; round < 3; round++) {
		all_that_return_blocks(with_pvalloc);
		if (with_pvalloc)
			expect_failure(pvalloc(enormous));
		all_reallocs();
		all_failures();
	}
	sized_frees();
	free(NULL);
	errno = 4711;
	saved = errno;
	free(book(malloc(40), 40));
	truth_gave(truth.last, 40);
	TRUTH_REQUIRE(errno == saved);
	TRUTH_REQUIRE(malloc_usable_size(NULL) == 0);
	truth_print(1, &truth);
	return 0;
}
