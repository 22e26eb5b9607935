/*
 * Memory in huge pages, if the system has them: where a report takes megabytes, being given them
 * page by page takes longer than filling them. Only for what surely is that large, for a huge page
 * is resident as a whole.
 */
#ifndef HUGE_H
#define HUGE_H

#include <stddef.h>

/*
 * An array in pages of its own, made (of NULL and 0 bytes), made longer or shorter. What was never
 * there is zero, and nothing is copied. Returns where it is then; NULL without memory, and nothing
 * has changed. huge_free() takes the bytes it has now.
 */
void *huge_resize(void *array, size_t old_bytes, size_t bytes);
void huge_free(void *array, size_t bytes);

/*
 * Pieces of one size, below HUGE_PIECE_MAX, that are freed all at once. Begin with {.bytes = ...,
 * .expected = ...}, which owns nothing; huge_pieces_fini() frees.
 */
#define HUGE_PIECE_MAX (256 * 1024)
struct huge_pieces {
	size_t bytes;	 /* of a piece; a multiple of 64 */
	size_t expected; /* how many there may be */
	void **blocks;	 /* of 2 MiB; the first is of small pages where few are expected */
	size_t block_count;
	size_t left; /* pieces of the last block */
};

/* A zeroed piece; NULL without memory. */
void *huge_pieces_take(struct huge_pieces *pieces);
void huge_pieces_fini(struct huge_pieces *pieces);

/*
 * Makes malloc()'s heap grow by `step` bytes at a time, and has the first such step in huge pages,
 * but for its beginning.
 */
void huge_heap(size_t step);

#endif
