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
	uint64_t what; /* how they came: what the caller tells apart; not 0 */
	uint32_t site; /* of the stack */
};

/* All that tells an origin is in one cache line with its number, but of the largest sizes. */
struct origin_slot {
	uint64_t what;	 /* 0: its `bytes` are more than there is room for here, or it is free */
	uint32_t bytes;	 /* of each block */
	uint32_t number; /* 0: free */
};

struct origin_table {
	struct origin *origins;	   /* number 0 is none */
	size_t count;		   /* of the numbers given out so far, and number 0 */
	size_t room;		   /* for numbers */
	struct origin_slot *index; /* open addressing */
	size_t size;		   /* of the index, a power of two */
	unsigned shift;		   /* 64 less its bits */
	size_t used;		   /* of it */
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
 * Whether making room forgets origins: those without live blocks, whose numbers end. If not, it
 * just grows.
 */
bool origin_table_forgets(const struct origin_table *table);

/*
 * Makes room for `least` more; pointers end. If it forgets, `live[0 .. table->count)` tells of each
 * number whether it has live blocks. Returns 0 or -ENOMEM.
 */
int origin_table_renew(struct origin_table *table, const uint8_t *live, size_t least);

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
