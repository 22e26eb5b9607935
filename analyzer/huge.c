/*
 * A mapping that is moved by its page tables must stay one mapping: all of it is advised. And where
 * a small page is there can be no huge one: what grows into huge pages is copied once.
 */
#include "huge.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_BYTES ((size_t)2 << 20)
#define HUGE_LEAST ((size_t)512 << 10) /* takes less time in one huge page than in small ones */
#define HEAP_SMALL ((size_t)1 << 20)   /* a report of a small trace needs no more */
#define HEAP_BLOCK ((size_t)100 << 10) /* below M_MMAP_THRESHOLD */

static size_t whole_pages(size_t bytes)
{
	size_t page = bytes < HUGE_LEAST ? (size_t)sysconf(_SC_PAGESIZE) : HUGE_BYTES;

	return (bytes + page - 1) & ~(page - 1);
}

/* A mapping of whole pages; where it can have a huge one, it begins at one. */
static char *map(size_t bytes)
{
	size_t more = bytes < HUGE_BYTES ? 0 : HUGE_BYTES, before;
	char *memory = mmap(NULL, bytes + more, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	if (more == 0)
		return memory;
	before = -(uintptr_t)memory % HUGE_BYTES;
	if (before != 0)
		munmap(memory, before);
	munmap(memory + before + bytes, more - before);
	return memory + before;
}

/* ---- arrays ---- */

void huge_free(void *array, size_t bytes)
{
	if (array != NULL && bytes != 0)
		munmap(array, whole_pages(bytes));
}

/* Moves a mapping of whole pages to where a longer one is. */
static void *move(void *array, size_t old_bytes, size_t bytes)
{
	char *place = map(bytes);
	void *moved;

	if (place == NULL)
		return NULL;
	if (old_bytes < HUGE_BYTES) {
		if (bytes >= HUGE_BYTES)
			madvise(place, bytes, MADV_HUGEPAGE);
		if (array != NULL) {
			memcpy(place, array, old_bytes);
			munmap(array, old_bytes); /* it is rounded up already */
		}
		return place;
	}
	moved = mremap(array, old_bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place);
	if (moved != MAP_FAILED)
		return moved;
	munmap(place, bytes);
	return NULL;
}

void *huge_resize(void *array, size_t old_bytes, size_t bytes)
{
	size_t had = array == NULL ? 0 : whole_pages(old_bytes), wanted = whole_pages(bytes);

	if (array == NULL || wanted > had)
		return move(array, had, wanted);
	if (wanted < had)
		munmap((char *)array + wanted, had - wanted);
	return array;
}

/* ---- pieces ---- */

static int add_block(struct huge_pieces *pieces)
{
	size_t count = pieces->block_count;
	void **larger = reallocarray(pieces->blocks, count + 1, sizeof(*larger));

	if (larger == NULL)
		return -1;
	pieces->blocks = larger;
	larger[count] = map(HUGE_BYTES);
	if (larger[count] == NULL)
		return -1;
	if (count != 0 || pieces->expected * pieces->bytes >= HUGE_LEAST)
		madvise(larger[count], HUGE_BYTES, MADV_HUGEPAGE);
	pieces->block_count++;
	pieces->left = HUGE_BYTES / pieces->bytes;
	return 0;
}

void *huge_pieces_take(struct huge_pieces *pieces)
{
	char *block;

	if (pieces->left == 0 && add_block(pieces) != 0)
		return NULL;
	block = pieces->blocks[pieces->block_count - 1];
	pieces->left--;
	return block + pieces->left * pieces->bytes;
}

void huge_pieces_fini(struct huge_pieces *pieces)
{
	for (size_t i = 0; i < pieces->block_count; i++)
		munmap(pieces->blocks[i], HUGE_BYTES);
	free(pieces->blocks);
	*pieces = (struct huge_pieces){.bytes = pieces->bytes, .expected = pieces->expected};
}

/* ---- the heap ---- */

void huge_heap(size_t step)
{
	uintptr_t from = (uintptr_t)sbrk(0), to;
	void *volatile blocks[2]; /* the second one does not fit into what the heap begins with */

	mallopt(M_TOP_PAD, (int)step);
	for (size_t i = 0; i < 2; i++)
		blocks[i] = malloc(HEAP_BLOCK);
	for (size_t i = 0; i < 2; i++)
		free(blocks[i]);
	from = (from + HEAP_SMALL + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
	to = (uintptr_t)sbrk(0) & ~(HUGE_BYTES - 1);
	if (from < to)
		madvise((void *)from, to - from, MADV_HUGEPAGE);
}
