/* A mapping that is moved by its page tables must stay one mapping: all of it is advised. */
#include "huge.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_BYTES ((size_t)2 << 20)

/* Huge ones, where there would be more than one: what is not touched costs nothing. */
static size_t whole_pages(size_t bytes)
{
	size_t page = bytes < HUGE_BYTES ? (size_t)sysconf(_SC_PAGESIZE) : HUGE_BYTES;

	return (bytes + page - 1) & ~(page - 1);
}

/* A mapping; where it can have a huge page, it begins at one. */
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

/* Moves a mapping to where a longer one is. */
static void *move(void *array, size_t old_bytes, size_t bytes)
{
	char *place = map(bytes);
	void *moved;

	if (place == NULL || array == NULL)
		return place;
	moved = mremap(array, old_bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place);
	if (moved != MAP_FAILED)
		return moved;
	munmap(place, bytes);
	return NULL;
}

void *huge_resize(void *array, size_t old_bytes, size_t bytes)
{
	size_t had = whole_pages(old_bytes), wanted = whole_pages(bytes);
	void *moved;

	if (array != NULL && wanted <= had) {
		if (wanted < had)
			munmap((char *)array + wanted, had - wanted);
		return array;
	}
	moved = move(array, had, wanted);
	if (moved != NULL && wanted >= HUGE_BYTES)
		madvise(moved, wanted, MADV_HUGEPAGE);
	return moved;
}

void huge_free(void *array, size_t bytes)
{
	if (array != NULL && bytes != 0)
		munmap(array, whole_pages(bytes));
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
	if (count != 0)
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
	*pieces = (struct huge_pieces){.bytes = pieces->bytes};
}
