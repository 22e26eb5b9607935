/* Linear probing, at most half full. */
#include "origin_table.h"

#include <errno.h>
#include <stdlib.h>

#define SIZE_MIN   131072
#define NUMBER_MAX (UINT32_MAX >> 1)

int origin_table_init(struct origin_table *table)
{
	*table = (struct origin_table){.size = SIZE_MIN, .count = 1};
	table->index = calloc(SIZE_MIN, sizeof(*table->index));
	table->origins = malloc((SIZE_MIN / 2 + 1) * sizeof(*table->origins));
	if (table->index == NULL || table->origins == NULL)
		return -ENOMEM;
	table->origins[0] = (struct origin){.owner = ORIGIN_FORGOTTEN};
	return 0;
}

void origin_table_fini(struct origin_table *table)
{
	free(table->origins);
	free(table->index);
	*table = (struct origin_table){0};
}

static void enter(uint32_t *index, size_t size, const struct origin *origin, uint32_t number)
{
	size_t at = origin_table_hash(origin->bytes, origin->stack, origin->owner) & (size - 1);

	while (index[at] != 0)
		at = (at + 1) & (size - 1);
	index[at] = number;
}

/* Moves what has live blocks to a new index, and gives the numbers of the others free. */
static void take_over(struct origin_table *table, uint32_t *index, size_t size)
{
	table->used = 0;
	for (size_t i = 0; i < table->size; i++) {
		uint32_t number = table->index[i];

		if (number == 0)
			continue;
		if (table->origins[number].live == 0) {
			table->origins[number].owner = ORIGIN_FORGOTTEN;
			table->origins[number].site = table->free;
			table->free = number;
		} else {
			enter(index, size, &table->origins[number], number);
			table->used++;
		}
	}
}

int origin_table_renew(struct origin_table *table)
{
	size_t live = 0, size = SIZE_MIN;
	struct origin *origins;
	uint32_t *index;

	for (size_t i = 0; i < table->size; i++)
		live += table->index[i] != 0 && table->origins[table->index[i]].live != 0;
	while (size / 2 < live * 2)
		size *= 2;
	if (size > NUMBER_MAX)
		return -ENOMEM;
	index = calloc(size, sizeof(*index));
	if (index == NULL)
		return -ENOMEM;
	if (size / 2 + 1 > table->count) {
		origins = reallocarray(table->origins, size / 2 + 1, sizeof(*origins));
		if (origins == NULL) {
			free(index);
			return -ENOMEM;
		}
		table->origins = origins;
	}
	take_over(table, index, size);
	free(table->index);
	table->index = index;
	table->size = size;
	return 0;
}

uint32_t origin_table_add(struct origin_table *table, const struct origin *origin)
{
	uint32_t number = table->free;

	if (number != 0)
		table->free = table->origins[number].site;
	else
		number = (uint32_t)table->count++;
	table->origins[number] = *origin;
	enter(table->index, table->size, origin, number);
	table->used++;
	return number;
}
