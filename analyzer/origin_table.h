/*
 * Where blocks come from: each different (stack, owner, size) has a number, so that a live block
 * need carry but that. An origin of which no block is live may be forgotten when there are many,
 * and its number given to another: memory grows with what is live.
 */
#ifndef ORIGIN_TABLE_H
#define ORIGIN_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct origin {
	uint64_t bytes;
	uint32_t stack;
	uint32_t owner; /* thread << 3 | family */
	uint32_t site;	/* of the stack */
	uint32_t live;	/* blocks; the caller counts them */
};

struct origin_table {
	struct origin *origins; /* number 0 is none, and forgotten */
	size_t count;		/* of the numbers given out so far, and number 0 */
	uint32_t *index;	/* open addressing: number; 0: free */
	size_t size;		/* of the index, a power of two */
	size_t used;		/* of it */
	uint32_t free; /* a number to be given again, the next stands in its `site`; 0: none */
};

/* Returns 0 or -ENOMEM; origin_table_fini() frees. */
int origin_table_init(struct origin_table *table);
void origin_table_fini(struct origin_table *table);

/* Whether room has to be made before another origin is added. */
static inline bool origin_table_full(const struct origin_table *table)
{
	return table->used >= table->size / 2;
}

/*
 * Makes room. Pointers to origins end, and the numbers of those without live blocks, who have
 * ORIGIN_FORGOTTEN for their owner then. Returns 0 or -ENOMEM.
 */
#define ORIGIN_FORGOTTEN UINT32_MAX
int origin_table_renew(struct origin_table *table);

/* The number of an origin that is not there, for which there is room. */
uint32_t origin_table_add(struct origin_table *table, const struct origin *origin);

static inline size_t origin_table_hash(uint64_t bytes, uint32_t stack, uint32_t owner)
{
	uint64_t h = ((uint64_t)owner << 32 | stack) + (bytes << 20 | bytes >> 44);

	h *= 0x9e3779b97f4a7c15ULL;
	return (size_t)(h >> 32);
}

/* The number of an origin; 0 when it is not there. */
static inline uint32_t origin_table_find(const struct origin_table *table, uint64_t bytes,
					 uint32_t stack, uint32_t owner)
{
	size_t mask = table->size - 1;
	size_t at = origin_table_hash(bytes, stack, owner) & mask;
	uint32_t number;

	for (; (number = table->index[at]) != 0; at = (at + 1) & mask) {
		const struct origin *known = &table->origins[number];

		if (known->bytes == bytes && known->stack == stack && known->owner == owner)
			break;
	}
	return number;
}

#endif
