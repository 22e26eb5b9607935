/* What of the table of live blocks is not on the path of every event. */
#include "live_table.h"

#include <errno.h>
#include <stdlib.h>

#define SLOTS_BITS_MIN 12

static int allocate(struct live_table *table, unsigned bits)
{
	size_t size = (size_t)1 << bits;

	table->slots = calloc(size, sizeof(*table->slots));
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
	free(table->slots);
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
	free(old);
	return 0;
}
