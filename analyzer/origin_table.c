/*
 * Linear probing, at most half full. While it is small it just grows, and none is forgotten: the
 * denser it is, the more of it stays in the cache. What is found changes places with what is in its
 * home: so those often asked for are at home mostly, where callers look first. The other one is
 * farther from its own then, but no place between is free.
 *
 * Numbers are given again from the lowest on: what is kept by number, here and elsewhere, is then
 * filled from one end to the other.
 */
#include "origin_table.h"

#include "huge.h"

#include <errno.h>
#include <string.h>

#define SIZE_FIRST 8192
#define SIZE_MIN   131072 /* from which on it is asked who has live blocks */
#define NUMBER_MAX (UINT32_MAX >> 3)

/* How an origin stands in the index. */
static struct origin_slot slot_of(uint64_t bytes, uint64_t what, uint32_t number)
{
	if (bytes > UINT32_MAX)
		return (struct origin_slot){.number = number};
	return (struct origin_slot){.what = what, .bytes = (uint32_t)bytes, .number = number};
}

static bool is_at(const struct origin_table *table, const struct origin_slot *slot, uint64_t bytes,
		  uint64_t what)
{
	const struct origin *known;

	if (slot->what != 0)
		return slot->what == what && slot->bytes == bytes;
	known = &table->origins[slot->number];
	return known->bytes == bytes && known->what == what;
}

uint32_t origin_table_find(struct origin_table *table, uint64_t bytes, uint64_t what)
{
	size_t home = origin_table_home_of(bytes, what, table->shift), at = home;
	struct origin_slot *index = table->index, found;

	while (index[at].number != 0 && !is_at(table, &index[at], bytes, what))
		at = (at + 1) & (table->size - 1);
	found = index[at];
	if (found.number != 0) {
		index[at] = index[home];
		index[home] = found;
	}
	return found.number;
}

static void enter(struct origin_table *table, uint32_t number)
{
	const struct origin *origin = &table->origins[number];
	size_t at = origin_table_home_of(origin->bytes, origin->what, table->shift);

	while (table->index[at].number != 0)
		at = (at + 1) & (table->size - 1);
	table->index[at] = slot_of(origin->bytes, origin->what, number);
	table->used++;
}

/* An empty index in place of the one that there is. */
static int make_index(struct origin_table *table, size_t size)
{
	struct origin_slot *index = table->index;

	if (size == table->size) {
		memset(index, 0, size * sizeof(*index));
	} else {
		index = huge_resize(NULL, 0, size * sizeof(*index));
		if (index == NULL)
			return -ENOMEM;
		huge_free(table->index, table->size * sizeof(*index));
	}
	table->index = index;
	table->size = size;
	table->shift = (unsigned)__builtin_clzll(size) + 1;
	table->used = 0;
	return 0;
}

/* Room for numbers below `room`; more than there can be costs nothing. */
static int make_room(struct origin_table *table, size_t room)
{
	struct origin *origins;

	if (room <= table->room)
		return 0;
	origins =
	    huge_resize(table->origins, table->room * sizeof(*origins), room * sizeof(*origins));
	if (origins == NULL)
		return -ENOMEM;
	table->origins = origins;
	table->room = room;
	return 0;
}

int origin_table_init(struct origin_table *table)
{
	*table = (struct origin_table){.count = 1};
	if (make_index(table, SIZE_FIRST) != 0)
		return -ENOMEM;
	return make_room(table, SIZE_FIRST);
}

void origin_table_fini(struct origin_table *table)
{
	huge_free(table->origins, table->room * sizeof(*table->origins));
	huge_free(table->index, table->size * sizeof(*table->index));
	*table = (struct origin_table){0};
}

bool origin_table_forgets(const struct origin_table *table)
{
	return table->size >= SIZE_MIN;
}

/* Enters all, or what has live blocks, and gives the numbers of the others free. */
static void take_over(struct origin_table *table, const uint8_t *live, bool all)
{
	table->free = 0;
	for (uint32_t number = (uint32_t)table->count; --number != 0;) {
		if (all || live[number] != 0) {
			enter(table, number);
			continue;
		}
		table->origins[number].site = table->free;
		table->free = number;
	}
}

/* How large an index is wanted that has room. */
static size_t next_size(const struct origin_table *table, const uint8_t *live, size_t least)
{
	size_t count = 0, size = SIZE_MIN;

	for (size_t i = 1; i < table->count; i++)
		count += live[i] != 0;
	while (size / 2 < count * 2 || size / 2 - count < least)
		size *= 2;
	return size;
}

int origin_table_renew(struct origin_table *table, const uint8_t *live, size_t least)
{
	bool all = !origin_table_forgets(table);
	size_t size = all ? table->size * 4 : next_size(table, live, least);

	if (size > NUMBER_MAX || make_room(table, size) != 0 || make_index(table, size) != 0)
		return -ENOMEM;
	take_over(table, live, all);
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
