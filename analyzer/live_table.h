/*
 * The blocks that are live: address -> a number that the caller keeps for the block.
 *
 * Blocks lie close to each other, and what a program does next lies close to what it did last. So
 * this table is laid out as the heap is: a *region* stands for 512 granules of 16 bytes of
 * addresses and has an array of 4-byte entries. An entry stands for two granules, of which the
 * lowest bit tells the one at which the block begins: most allocators hand out none of less than 32
 * bytes with their own. Where two blocks begin within one entry's bytes, the region gets an entry
 * for each granule. Regions are found by hashing, eight neighbours by one hash.
 *
 * An address that 16 does not divide lies in a space of its own for each remainder: the low four
 * bits count as the highest ones.
 */
#ifndef LIVE_TABLE_H
#define LIVE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIVE_REGION_GRANULES 512
#define LIVE_UNIT_ENTRIES    256 /* arrays lie at multiples of this many entries */
#define LIVE_NEIGHBOURS	     8	 /* regions whose slots are next to each other */
#define LIVE_HASH	     UINT64_C(0x9e3779b97f4a7c15)

struct live_slot {
	uint64_t mark;	   /* live_table_mark() of the region | shift; 0: free */
	uint32_t *entries; /* in the pool */
};

struct live_table {
	struct live_slot *slots; /* open addressing */
	size_t mask;
	unsigned shift; /* 64 less the bits of the mask */
	size_t count;	/* regions; some may have no block any more */
	size_t limit;	/* with so many it is time to look for those */
	uint32_t *pool;
	size_t pool_units, pool_room;
	size_t populated;	 /* units whose pages are there already */
	uint32_t free_arrays[2]; /* by `shift`: the first free one, units + 1; 0: none */
};

/* Where an address is, or would be; until the next insertion. */
struct live_place {
	uint32_t *entry;  /* NULL: no block is near */
	uint64_t granule; /* the lowest bit counts */
};

/* Returns 0 or -ENOMEM; live_table_fini() frees. */
int live_table_init(struct live_table *table);
void live_table_fini(struct live_table *table);

/*
 * Enters a block with a number from 1 to LIVE_NUMBER_MAX at `address`, where there is none. Returns
 * 0 or -ENOMEM.
 */
#define LIVE_NUMBER_MAX (UINT32_MAX >> 1)
int live_table_insert(struct live_table *table, uint64_t address, uint32_t number);

/*
 * Sets marks[number >> shift] for the number of each block, and marks[0]; all entries are looked
 * at, which are live_table_entries() at most.
 */
void live_table_mark_all(const struct live_table *table, uint8_t *marks, unsigned shift);

static inline size_t live_table_entries(const struct live_table *table)
{
	return table->pool_units * LIVE_UNIT_ENTRIES;
}

/* The slot of a region, where another has that which is its own. NULL: no such region. */
const struct live_slot *live_table_probe(const struct live_table *table, uint64_t key);

/* Granules, with the odd addresses' spaces one after the other. */
static inline uint64_t live_table_granule(uint64_t address)
{
	return address >> 4 | address << 60;
}

/*
 * What tells a region from others. A slot's own differs by its shift of granules to entries: 1, or
 * 0 where each has one.
 */
static inline uint64_t live_table_mark(uint64_t key)
{
	return (key + 1) * 2;
}

/* The entry of a granule in a slot's region. */
static inline uint32_t *live_table_entry(const struct live_slot *slot, uint64_t granule,
					 uint64_t shift)
{
	return slot->entries + (granule % LIVE_REGION_GRANULES >> shift);
}

/* The slot that a region has if no other was there first. */
static inline size_t live_table_home_of(uint64_t key, unsigned shift)
{
	return (key / LIVE_NEIGHBOURS * LIVE_HASH >> shift) ^ key % LIVE_NEIGHBOURS;
}

static inline size_t live_table_home(const struct live_table *table, uint64_t key)
{
	return live_table_home_of(key, table->shift);
}

static inline __attribute__((always_inline)) struct live_place
live_table_place(const struct live_table *table, uint64_t address)
{
	uint64_t granule = live_table_granule(address), key = granule / LIVE_REGION_GRANULES;
	const struct live_slot *slot = &table->slots[live_table_home(table, key)];

	uint64_t shift = slot->mark ^ live_table_mark(key);

	if (__builtin_expect(shift > 1, 0)) {
		slot = live_table_probe(table, key);
		if (slot == NULL)
			return (struct live_place){.granule = granule};
		shift = slot->mark & 1;
	}
	return (struct live_place){.entry = live_table_entry(slot, granule, shift),
				   .granule = granule};
}

/* The number of the block that begins at a place; 0: none does. */
static inline uint32_t live_table_number(const struct live_place *place)
{
	if (__builtin_expect(place->entry == NULL || ((*place->entry ^ place->granule) & 1) != 0,
			     0))
		return 0;
	return *place->entry >> 1;
}

/* As live_table_insert(), where `place` is the address's. */
static inline int live_table_enter(struct live_table *table, const struct live_place *place,
				   uint64_t address, uint32_t number)
{
	if (__builtin_expect(place->entry == NULL || *place->entry != 0, 0))
		return live_table_insert(table, address, number);
	*place->entry = number << 1 | (place->granule & 1);
	return 0;
}

/* Another number for the block at a place, which has one. */
static inline void live_table_replace(const struct live_place *place, uint32_t number)
{
	*place->entry = number << 1 | (place->granule & 1);
}

/* Takes out the block at a place, which has one. */
static inline void live_table_remove(const struct live_place *place)
{
	*place->entry = 0;
}

#endif
