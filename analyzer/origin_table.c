/*
 * Linear probing, at most half full. While it is small it just grows, and none is forgotten: the
 * denser it is, the more of it stays in the cache. What is found changes places with what is in its
 * home: so those often asked for are at home mostly, where callers look first. The other one is
 * farther from its own then, but no place between is free.
 */
#include "origin_table.h"

#include <errno.h>
#include <stdlib.h>

#define SIZE_FIRST 8192
#define SIZE_MIN   131072 /* from which on it is asked who has live blocks */
#define NUMBER_MAX (UINT32_MAX >> 1)

uint32_t origin_table_find(struct origin_table *table, uint64_t bytes, uint64_t what)
{
	size_t home = origin_table_home_of(bytes, what, table->shift), at = home;
	uint32_t number;

	for (; (number = table->index[at]) != 0; at = (at + 1) & (table->size - 1)) {
		const struct origin *known = &table->origins[number];

		if (known->bytes == bytes && known->what == what)
			break;
	}
	if (number != 0) {
		table->index[at] = table->index[home];
		table->index[home] = number;
	}
	return number;
}

static void enter(struct origin_table *table, uint32_t number)
{
	const struct origin *origin = &table->origins[number];
	size_t at = origin_table_home_of(origin->bytes, origin->what, table->shift);

	while (table->index[at] != 0)
		at = (at + 1) & (table->size - 1);
	table->index[at] = number;
	table->used++;
}

static void set_index(struct origin_table *table, uint32_t *index, size_t size)
{
	table->index = index;
	table->size = size;
	table->shift = (unsigned)__builtin_clzll(size) + 1;
	table->used = 0;
}

int origin_table_init(struct origin_table *table)
{
	*table = (struct origin_table){.count = 1};
	set_index(table, calloc(SIZE_FIRST, sizeof(*table->index)), SIZE_FIRST);
	table->origins = malloc((SIZE_FIRST / 2 + 1) * sizeof(*table->origins));
	if (table->index == NULL || table->origins == NULL)
		return -ENOMEM;
	table->origins[0] = (struct origin){.what = ORIGIN_FORGOTTEN};
	return 0;
}

void origin_table_fini(struct origin_table *table)
{
	free(table->origins);
	free(table->index);
	*table = (struct origin_table){0};
}

/* Moves all, or what has live blocks, to a new index, and gives the numbers of the others free. */
static void take_over(struct origin_table *table, uint32_t *index, size_t size, bool all)
{
	uint32_t *old = table->index;
	size_t old_size = table->size;

	set_index(table, index, size);
	for (size_t i = 0; i < old_size; i++) {
		struct origin *origin = &table->origins[old[i]];

		if (old[i] == 0)
			continue;
		if (all || origin->live != 0) {
			enter(table, old[i]);
			continue;
		}
		origin->what = ORIGIN_FORGOTTEN;
		origin->site = table->free;
		table->free = old[i];
	}
	free(old);
}

/* How large an index is wanted that has room. */
static size_t next_size(const struct origin_table *table, bool all)
{
	size_t live = 0, size = SIZE_MIN;

	if (all)
		return table->size * 4;
	for (size_t i = 0; i < table->size; i++)
		live += table->index[i] != 0 && table->origins[table->index[i]].live != 0;
	while (size / 2 < live * 2)
		size *= 2;
	return size;
}

int origin_table_renew(struct origin_table *table)
{
	bool all = table->size < SIZE_MIN;
	size_t size = next_size(table, all);
	struct origin *origins;
	uint32_t *index;

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
	take_over(table, index, size, all);
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
	enter(table, number);
	return number;
}
