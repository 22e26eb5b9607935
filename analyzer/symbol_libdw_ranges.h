/* Address ranges that may nest and overlap, each with a number: who lies around an address? */
#ifndef SYMBOL_LIBDW_RANGES_H
#define SYMBOL_LIBDW_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbol_range {
	uint64_t start; /* first address and one past the last */
	uint64_t end;
	uint64_t reach; /* greatest end up to here in the list; set by symbol_ranges_sort() */
	uint32_t value;
};

/* Storage is the caller's; all zero is empty. */
struct symbol_ranges {
	struct symbol_range *list;
	size_t count;
	size_t room;
};

void symbol_ranges_fini(struct symbol_ranges *ranges);

/* Empty and backward ranges are passed over. False without memory. */
bool symbol_ranges_add(struct symbol_ranges *ranges, uint64_t start, uint64_t end, uint32_t value);

/* To be called after the last addition and before the first search. */
void symbol_ranges_sort(struct symbol_ranges *ranges);

/*
 * Walks the ranges around `address`, the one that starts last first, which is the innermost where
 * they nest. symbol_ranges_search() gives the cursor for symbol_ranges_next(), which moves it and
 * returns NULL at the end.
 */
size_t symbol_ranges_search(const struct symbol_ranges *ranges, uint64_t address);
const struct symbol_range *symbol_ranges_next(const struct symbol_ranges *ranges, uint64_t address,
					      size_t *cursor);

#endif
