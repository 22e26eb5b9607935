#include "pages.h"

#include <stdint.h>
#include <sys/mman.h>

#include "sys.h"

static void *map(size_t bytes, int flags)
{
	long memory = SYS6(mmap, 0, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
	/* The kernel returns errors as the last page of the address space. */
	return memory < 0 && memory > -4096 ? NULL : (void *)memory;
}

void *pages_map(size_t bytes)
{
	return map(bytes, 0);
}

void *pages_reserve(size_t bytes)
{
	return map(bytes, MAP_NORESERVE);
}

void *pages_map_huge(void)
{
	char *memory = map(2 * PAGES_HUGE_BYTES, MAP_NORESERVE);
	size_t before;

	if (!memory)
		return NULL;
	before = -(uintptr_t)memory % PAGES_HUGE_BYTES;
	if (before)
		pages_unmap(memory, before);
	pages_unmap(memory + before + PAGES_HUGE_BYTES, PAGES_HUGE_BYTES - before);
	SYS3(madvise, memory + before, PAGES_HUGE_BYTES, MADV_HUGEPAGE);
	return memory + before;
}

void pages_unmap(void *memory, size_t bytes)
{
	SYS2(munmap, memory, bytes);
}

void pages_drop(void *memory, size_t bytes)
{
	SYS3(madvise, memory, bytes, MADV_DONTNEED);
}
