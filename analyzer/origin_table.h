/*
 * Where blocks come from: each different (site, owner) has a number, so that a live block need
 * carry but that. Grows with sites and threads, not with blocks, save for blocks so large that
 * their size does not fit beside the number.
 */
#ifndef ORIGIN_TABLE_H
#define ORIGIN_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct origin {
	uint32_t site;
	uint32_t owner;	      /* thread << 3 | family */
	uint64_t large_bytes; /* size of blocks of 2^32 - 1 bytes and more; else 0 */
};

struct origin_table {
	struct origin *origins;
	size_t count;
	uint32_t *index; /* open addressing: number + 1; 0: free */
	size_t size;	 /* of the index, a power of two */
};

/* Returns 0 or -ENOMEM; origin_table_fini() frees. */
int origin_table_init(struct origin_table *table);
void origin_table_fini(struct origin_table *table);

/* Enters what is not there at index[at]. Returns 0 or -ENOMEM. */
int origin_table_add(struct origin_table *table, const struct origin *origin, size_t at,
		     uint32_t *number);

static inline size_t origin_table_hash(const struct origin *origin)
{
	uint64_t h = ((uint64_t)origin->owner << 32 | origin->site) + origin->large_bytes;

	h *= 0x9e3779b97f4a7c15ULL;
	return (size_t)(h ^ h >> 32);
}

/* The number of an origin, entered when it is new. Returns 0 or -ENOMEM. */
static inline int origin_table_find(struct origin_table *table, const struct origin *origin,
				    uint32_t *number)
{
	size_t mask = table->size - 1;
	size_t at = origin_table_hash(origin) & mask;

	for (; table->index[at] != 0; at = (at + 1) & mask) {
		const struct origin *known = &table->origins[table->index[at] - 1];

		if (known->site == origin->site && known->owner == origin->owner &&
		    known->large_bytes == origin->large_bytes) {
			*number = table->index[at] - 1;
			return 0;
		}
	}
	return origin_table_add(table, origin, at, number);
}

#endif
