/* What of the table of live blocks is not on the path of every event. */
#include "live_table.h"

#include <errno.h>
#include <sys/mman.h>

#define SLOTS_BITS_MIN 12
#define HUGE_BYTES_MIN (8 * 1024 * 1024)

/*
 * Zeroed memory for slots. Lookups are spread over all of it: with huge pages the processor needs
 * few translations for that, and the kernel few faults to give it.
 */
static void *map_slots(size_t bytes)
{
	void *memory =
	    mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	if (bytes >= HUGE_BYTES_MIN)
		madvise(memory, bytes, MADV_HUGEPAGE);
	return memory;
}

static int allocate(struct live_table *table, unsigned bits)
{
	size_t size = (size_t)1 << bits;

	table->slots = map_slots(size * sizeof(*table->slots));
	if (table->slots == NULL)
		return -ENOMEM;
	table->mask = size - 1;
	table->shift = 64 - bits;
	table->limit = size / 8 * 5;
	return 0;
}

int live_table_init(struct live_table *table)
{
	*table = (struct live_table){0};
	return allocate(table, SLOTS_BITS_MIN);
}

void live_table_fini(struct live_table *table)
{
	if (table->slots != NULL)
		munmap(table->slots, (table->mask + 1) * sizeof(*table->slots));
	*table = (struct live_table){0};
}

int live_table_grow(struct live_table *table)
{
	struct live_block *old = table->slots;
	size_t size = table->mask + 1;

	if (allocate(table, 64 - table->shift + 1) != 0) {
		table->slots = old;
		return -ENOMEM;
	}
	for (size_t i = 0; i < size; i++)
		if (old[i].address != 0)
			*live_table_find(table, old[i].address) = old[i];
	munmap(old, size * sizeof(*old));
	return 0;
}
