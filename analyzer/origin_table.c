/* Linear probing, at most half full. */
#include "origin_table.h"

#include <errno.h>
#include <stdlib.h>

#define SIZE_MIN 1024

int origin_table_init(struct origin_table *table)
{
	*table = (struct origin_table){.size = SIZE_MIN};
	table->index = calloc(SIZE_MIN, sizeof(*table->index));
	table->origins = malloc(SIZE_MIN / 2 * sizeof(*table->origins));
	return table->index == NULL || table->origins == NULL ? -ENOMEM : 0;
}

void origin_table_fini(struct origin_table *table)
{
	free(table->origins);
	free(table->index);
	*table = (struct origin_table){0};
}

static int grow(struct origin_table *table)
{
	size_t size = table->size * 2;
	struct origin *origins = reallocarray(table->origins, size / 2, sizeof(*origins));
	uint32_t *index;

	if (origins == NULL)
		return -ENOMEM;
	table->origins = origins;
	index = calloc(size, sizeof(*index));
	if (index == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < table->count; i++) {
		size_t at = origin_table_hash(&origins[i]) & (size - 1);

		while (index[at] != 0)
			at = (at + 1) & (size - 1);
		index[at] = (uint32_t)i + 1;
	}
	free(table->index);
	table->index = index;
	table->size = size;
	return 0;
}

int origin_table_add(struct origin_table *table, const struct origin *origin, size_t at,
		     uint32_t *number)
{
	if (table->count >= UINT32_MAX - 1)
		return -ENOMEM;
	*number = (uint32_t)table->count;
	table->origins[table->count++] = *origin;
	table->index[at] = (uint32_t)table->count;
	/* There is room for one more, always. */
	return table->count * 2 >= table->size ? grow(table) : 0;
}
