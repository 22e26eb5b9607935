/*
 * The blocks that are live: address -> what is known of the block.
 *
 * Open addressing with linear probing and backward-shift deletion (Knuth 6.4, algorithm R), so
 * there are no tombstones and the table does not wear out. A slot is 24 bytes; the size is a power
 * of two and at most 5/8 are used.
 */
#ifndef LIVE_TABLE_H
#define LIVE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct live_block {
	uint64_t address; /* 0: free slot; a recorded address 0 becomes LIVE_ADDRESS_ZERO */
	uint64_t bytes;
	uint32_t site;
	uint32_t owner; /* thread << 3 | family */
};

#define LIVE_ADDRESS_ZERO UINT64_MAX

struct live_table {
	struct live_block *slots;
	size_t mask;
	unsigned shift; /* 64 less the bits of the mask */
	size_t count;
	size_t limit; /* grows above this */
};

/* Returns 0 or -ENOMEM; live_table_fini() frees. */
int live_table_init(struct live_table *table);
void live_table_fini(struct live_table *table);

/* Doubles the table. Returns 0 or -ENOMEM with the table as it was. */
int live_table_grow(struct live_table *table);

static inline size_t live_table_home(const struct live_table *table, uint64_t address)
{
	return (address >> 4 ^ address << 60) * 0x9e3779b97f4a7c15ULL >> table->shift;
}

static inline void live_table_prefetch(const struct live_table *table, uint64_t address)
{
	__builtin_prefetch(&table->slots[live_table_home(table, address)], 1);
}

/* The slot of `address` or the free one where it would go. */
static inline struct live_block *live_table_find(const struct live_table *table, uint64_t address)
{
	size_t at = live_table_home(table, address);

	while (table->slots[at].address != address && table->slots[at].address != 0)
		at = (at + 1) & table->mask;
	return &table->slots[at];
}

/* Frees the slot and closes the gap. */
static inline void live_table_remove(struct live_table *table, struct live_block *block)
{
	size_t hole = (size_t)(block - table->slots);
	size_t at = hole;

	for (;;) {
		at = (at + 1) & table->mask;
		if (table->slots[at].address == 0)
			break;
		/* May move into the hole unless its home lies after the hole. */
		if (((at - live_table_home(table, table->slots[at].address)) & table->mask) >=
		    ((at - hole) & table->mask)) {
			table->slots[hole] = table->slots[at];
			hole = at;
		}
	}
	table->slots[hole].address = 0;
	table->count--;
}

#endif
