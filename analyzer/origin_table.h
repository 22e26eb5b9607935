/*
 * Where blocks come from: each different (what, size) has a number, so that a live block
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
	uint64_t what; /* how they came: what the caller tells apart */
	uint32_t site; /* of the stack */
	uint32_t live; /* blocks; the caller counts them */
};

struct origin_table {
	struct origin *origins; /* number 0 is none, and forgotten */
	size_t count;		/* of the numbers given out so far, and number 0 */
	uint32_t *index;	/* open addressing: number; 0: free */
	size_t size;		/* of the index, a power of two */
	unsigned shift;		/* 64 less its bits */
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
 * ORIGIN_FORGOTTEN for `what` then. Returns 0 or -ENOMEM.
 */
#define ORIGIN_FORGOTTEN UINT64_MAX
int origin_table_renew(struct origin_table *table);

/* The number of an origin that is not there, for which there is room. */
uint32_t origin_table_add(struct origin_table *table, const struct origin *origin);

/* Where in the index an origin is if no other was there first. */
static inline size_t origin_table_home_of(uint64_t bytes, uint64_t what, unsigned shift)
{
	return (what + (bytes << 20 | bytes >> 44)) * UINT64_C(0x9e3779b97f4a7c15) >> shift;
}

/* The number of an origin, which is at home then; 0 when it is not there. */
uint32_t origin_table_find(struct origin_table *table, uint64_t bytes, uint64_t what);

#endif
