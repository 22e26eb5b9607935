/*
 * The blocks that are live: address -> what is known of the block.
 *
 * Blocks lie close to each other, and what a program does next lies close to what it did last. So
 * this table is laid out as the heap is: a *line* stands for 64 granules of 16 bytes of addresses,
 * a bit for each tells where a block begins, and the line's blocks are kept in an array in order
 * of address. A *region* is 64 lines; regions are found by hashing. A block takes 8 bytes, with
 * what lies around it about 12, and neighbours share cache lines and pages.
 *
 * An address that 16 does not divide lies in a space of its own for each remainder: the low four
 * bits count as the highest ones.
 */
#ifndef LIVE_TABLE_H
#define LIVE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct live_block {
	uint32_t origin; /* the caller's */
	uint32_t bytes;	 /* the caller's */
};

#define LIVE_LINE_GRANULES 64
#define LIVE_REGION_LINES  64
#define LIVE_UNIT_BLOCKS   2  /* arrays lie at multiples of this many blocks */
#define LIVE_CLASSES	   10 /* of the arrays' lengths */

struct live_line {
	uint64_t used;	 /* granules at which a block begins */
	uint32_t blocks; /* its array: units into the pool */
	uint8_t room;	 /* of the array: class + 1; 0: no array */
	uint8_t length;	 /* blocks it has room for */
	uint8_t shrinks; /* with fewer blocks than this a shorter one will do */
	uint8_t reserved;
};

struct live_region {
	struct live_line lines[LIVE_REGION_LINES];
	uint32_t live; /* blocks in it */
};

struct live_slot {
	uint64_t key_1; /* number of the region + 1; 0: free */
	struct live_region *region;
};

struct live_table {
	struct live_slot *slots; /* open addressing, linear probing */
	size_t mask;
	unsigned shift; /* 64 less the bits of the mask */
	size_t count;
	struct live_block *pool;
	size_t pool_units, pool_room;
	uint32_t free_arrays[LIVE_CLASSES]; /* first free one of a class, units + 1; 0: none */
};

/* Where an address is, or would be. Ends with the next insertion or removal. */
struct live_place {
	struct live_slot *slot;
	struct live_line *line; /* NULL: no block is near */
	unsigned granule;
};

/* Returns 0 or -ENOMEM; live_table_fini() frees. */
int live_table_init(struct live_table *table);
void live_table_fini(struct live_table *table);

/*
 * Enters a block at `address`, where there is none. *block is where its fields go, until the next
 * insertion or removal. Returns 0 or -ENOMEM.
 */
int live_table_insert(struct live_table *table, uint64_t address, struct live_block **block);

/* Granules, with the odd addresses' spaces one after the other. */
static inline uint64_t live_table_granule(uint64_t address)
{
	return address >> 4 | address << 60;
}

/* The slot of a region or the free one where it would go. */
static inline struct live_slot *live_table_slot(const struct live_table *table, uint64_t key)
{
	size_t at = key * 0x9e3779b97f4a7c15ULL >> table->shift;

	while (table->slots[at].key_1 != key + 1 && table->slots[at].key_1 != 0)
		at = (at + 1) & table->mask;
	return &table->slots[at];
}

static inline struct live_place live_table_place(const struct live_table *table, uint64_t address)
{
	uint64_t granule = live_table_granule(address);
	struct live_place place = {.granule = granule % LIVE_LINE_GRANULES};

	granule /= LIVE_LINE_GRANULES;
	place.slot = live_table_slot(table, granule / LIVE_REGION_LINES);
	if (place.slot->key_1 != 0)
		place.line = &place.slot->region->lines[granule % LIVE_REGION_LINES];
	return place;
}

/* A table of fewer regions stays in the caches by itself. */
#define LIVE_LARGE_REGIONS 128

static inline bool live_table_large(const struct live_table *table)
{
	return table->count >= LIVE_LARGE_REGIONS;
}

/* For an address of which is asked soon. */
static inline void live_table_prefetch(const struct live_table *table, uint64_t address)
{
	struct live_place place = live_table_place(table, address);

	if (place.line != NULL)
		__builtin_prefetch(place.line, 1);
}

/* Whether a block begins at an address. */
static inline bool live_table_has(const struct live_table *table, uint64_t address)
{
	struct live_place place = live_table_place(table, address);

	return place.line != NULL && (place.line->used >> place.granule & 1) != 0;
}

/* Whether the processor has the instruction that counts bits, where that is not certain. */
extern bool live_table_popcnt;

static inline unsigned live_table_ones(uint64_t bits)
{
#if defined(__POPCNT__) || !defined(__x86_64__)
	return (unsigned)__builtin_popcountll(bits);
#else
	if (__builtin_expect(live_table_popcnt, 1)) {
		__asm__("popcnt %1, %0" : "=r"(bits) : "r"(bits) : "cc");
		return (unsigned)bits;
	}
	bits -= bits >> 1 & 0x5555555555555555ULL;
	bits = (bits & 0x3333333333333333ULL) + (bits >> 2 & 0x3333333333333333ULL);
	bits = (bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return (unsigned)(bits * 0x0101010101010101ULL >> 56);
#endif
}

static inline unsigned live_table_rank(const struct live_place *place)
{
	return live_table_ones(place->line->used & ((1ULL << place->granule) - 1));
}

static inline struct live_block *live_table_array(const struct live_table *table,
						  const struct live_line *line)
{
	return table->pool + (size_t)line->blocks * LIVE_UNIT_BLOCKS;
}

/* The block at a place, NULL when there is none; a view until the next insertion or removal. */
static inline struct live_block *live_table_block(const struct live_table *table,
						  const struct live_place *place)
{
	if (place->line == NULL || (place->line->used >> place->granule & 1) == 0)
		return NULL;
	return live_table_array(table, place->line) + live_table_rank(place);
}

/* Two blocks at once: an array has few, and a call would cost more than the move. */
static inline void live_table_move(struct live_block *to, const struct live_block *from)
{
	struct live_block pair[2];

	memcpy(pair, from, sizeof(pair));
	memcpy(to, pair, sizeof(pair));
}

/* As live_table_insert(), where `place` is the address's and has no block. */
static inline int live_table_enter(struct live_table *table, const struct live_place *place,
				   uint64_t address, struct live_block **block)
{
	struct live_line *line = place->line;
	int count, rank;

	if (line == NULL || (count = (int)live_table_ones(line->used)) == line->length)
		return live_table_insert(table, address, block);
	rank = (int)live_table_rank(place);
	*block = live_table_array(table, line) + rank;
	/* The one before `rank` may be moved along: to where the new one will be. */
	for (int at = count - rank; at > 0; at -= 2)
		live_table_move(*block + at - 1, *block + at - 2);
	line->used |= 1ULL << place->granule;
	place->slot->region->live++;
	return 0;
}

/* What is seldom needed once a block is out: the line's array is much too long... */
void live_table_shrink(struct live_table *table, struct live_line *line, unsigned count);

/* ...or the region is empty. */
void live_table_drop(struct live_table *table, struct live_slot *slot);

/* Takes out `block`, which is the one at `place`. */
static inline void live_table_remove(struct live_table *table, const struct live_place *place,
				     struct live_block *block)
{
	struct live_line *line = place->line;
	unsigned after = live_table_ones(line->used >> 1 >> place->granule), count;

	line->used &= ~(1ULL << place->granule);
	/* The one behind the last may be moved along: to where the last was. */
	for (unsigned at = 0; at < after; at += 2)
		live_table_move(block + at, block + at + 1);
	count = (unsigned)(block - live_table_array(table, line)) + after;
	if (__builtin_expect(count < line->shrinks, 0))
		live_table_shrink(table, line, count);
	if (__builtin_expect(--place->slot->region->live == 0, 0))
		live_table_drop(table, place->slot);
}

#endif
