/*
 * A list sorted by start. `reach` bounds the walk back from an address: before the first range
 * whose reach is not beyond the address, none can hold it.
 */
#include "symbol_libdw_ranges.h"

#include <stdlib.h>

void symbol_ranges_fini(struct symbol_ranges *ranges)
{
	free(ranges->list);
	*ranges = (struct symbol_ranges){0};
}

bool symbol_ranges_add(struct symbol_ranges *ranges, uint64_t start, uint64_t end, uint32_t value)
{
	if (start >= end)
		return true;
	if (ranges->count == ranges->room) {
		size_t room = ranges->room ? ranges->room * 2 : 16;
		struct symbol_range *list = realloc(ranges->list, room * sizeof(*list));

		if (!list)
			return false;
		ranges->list = list;
		ranges->room = room;
	}
	ranges->list[ranges->count++] = (struct symbol_range){start, end, end, value};
	return true;
}

/* Of ranges with one start the widest comes first, so that the walk meets it last. */
static int compare(const void *a, const void *b)
{
	const struct symbol_range *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if (x->end != y->end)
		return x->end > y->end ? -1 : 1;
	return (x->value > y->value) - (x->value < y->value);
}

static bool is_sorted(const struct symbol_ranges *ranges)
{
	for (size_t i = 1; i < ranges->count; i++)
		if (compare(&ranges->list[i - 1], &ranges->list[i]) > 0)
			return false;
	return true;
}

void symbol_ranges_sort(struct symbol_ranges *ranges)
{
	if (!is_sorted(ranges))
		qsort(ranges->list, ranges->count, sizeof(*ranges->list), compare);
	for (size_t i = 0; i < ranges->count; i++) {
		struct symbol_range *range = &ranges->list[i];

		range->reach = range->end;
		if (i > 0 && range[-1].reach > range->reach)
			range->reach = range[-1].reach;
	}
}

size_t symbol_ranges_search(const struct symbol_ranges *ranges, uint64_t address)
{
	size_t low = 0, high = ranges->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ranges->list[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct symbol_range *symbol_ranges_next(const struct symbol_ranges *ranges, uint64_t address,
					      size_t *cursor)
{
	while (*cursor > 0) {
		const struct symbol_range *range = &ranges->list[*cursor - 1];

		if (range->reach <= address)
			break;
		(*cursor)--;
		if (range->end > address)
			return range;
	}
	return NULL;
}
