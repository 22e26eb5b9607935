/*
 * Arrays come from one pool of memory, in a few lengths; a free one is kept for the next line that
 * needs its length. A region without blocks is given back.
 */
#include "live_table.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define SLOTS_BITS_MIN 8
#define POOL_UNITS_MIN 4096
#define POOL_UNITS_MAX (UINT32_MAX - LIVE_LINE_GRANULES)
#define UNIT_BYTES     (LIVE_UNIT_BLOCKS * sizeof(struct live_block))

/* Lengths in units: steps of a half and a third, so that little of an array is not used. */
static const uint8_t class_units[LIVE_CLASSES] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32};

/*
 * By `room`: with fewer blocks half of the next shorter length is enough, so that one block more or
 * less moves nothing. A line keeps the shortest while its region has blocks.
 */
static const uint8_t shrinks_below[LIVE_CLASSES + 1] = {0, 0, 2, 3, 4, 5, 7, 9, 13, 17, 25};

_Static_assert(sizeof(struct live_line) == 16, "four lines to a cache line");

bool live_table_popcnt;

static int allocate_slots(struct live_table *table, unsigned bits)
{
	size_t size = (size_t)1 << bits;
	struct live_slot *slots = calloc(size, sizeof(*slots));

	if (slots == NULL)
		return -ENOMEM;
	table->slots = slots;
	table->mask = size - 1;
	table->shift = 64 - bits;
	return 0;
}

int live_table_init(struct live_table *table)
{
	void *pool = mmap(NULL, POOL_UNITS_MIN * UNIT_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*table = (struct live_table){0};
	if (pool == MAP_FAILED)
		return -ENOMEM;
	table->pool = pool;
	table->pool_room = POOL_UNITS_MIN;
	table->pool_units = 1; /* moves reach one block before an array, and one behind */
#ifdef __x86_64__
	live_table_popcnt = __builtin_cpu_supports("popcnt");
#endif
	return allocate_slots(table, SLOTS_BITS_MIN);
}

void live_table_fini(struct live_table *table)
{
	for (size_t i = 0; table->slots != NULL && i <= table->mask; i++)
		if (table->slots[i].key_1 != 0)
			free(table->slots[i].region);
	free(table->slots);
	if (table->pool != NULL)
		munmap(table->pool, table->pool_room * UNIT_BYTES);
	*table = (struct live_table){0};
}

static int grow_slots(struct live_table *table)
{
	struct live_slot *old = table->slots;
	size_t size = table->mask + 1;

	if (allocate_slots(table, 64 - table->shift + 1) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < size; i++)
		if (old[i].key_1 != 0)
			*live_table_slot(table, old[i].key_1 - 1) = old[i];
	free(old);
	return 0;
}

static int add_region(struct live_table *table, uint64_t key, struct live_slot **slot)
{
	struct live_region *region;

	if ((table->count + 1) * 2 > table->mask + 1) {
		if (grow_slots(table) != 0)
			return -ENOMEM;
		*slot = live_table_slot(table, key);
	}
	region = calloc(1, sizeof(*region));
	if (region == NULL)
		return -ENOMEM;
	**slot = (struct live_slot){.key_1 = key + 1, .region = region};
	table->count++;
	return 0;
}

/* Frees the slot and closes the gap (Knuth 6.4, algorithm R). */
static void remove_region(struct live_table *table, struct live_slot *slot)
{
	size_t hole = (size_t)(slot - table->slots), at = hole;

	free(slot->region);
	for (;;) {
		size_t home;

		at = (at + 1) & table->mask;
		if (table->slots[at].key_1 == 0)
			break;
		home = (table->slots[at].key_1 - 1) * 0x9e3779b97f4a7c15ULL >> table->shift;
		/* May move into the hole unless its home lies after the hole. */
		if (((at - home) & table->mask) >= ((at - hole) & table->mask)) {
			table->slots[hole] = table->slots[at];
			hole = at;
		}
	}
	table->slots[hole].key_1 = 0;
	table->count--;
}

/* ---- arrays ---- */

static struct live_block *array_at(const struct live_table *table, uint32_t units)
{
	return table->pool + (size_t)units * LIVE_UNIT_BLOCKS;
}

/* Pages that were never written cost nothing, so the pool is doubled without a thought. */
static int grow_pool(struct live_table *table)
{
	size_t room = table->pool_room * 2;
	void *pool;

	if (room > POOL_UNITS_MAX)
		return -ENOMEM;
	pool =
	    mremap(table->pool, table->pool_room * UNIT_BYTES, room * UNIT_BYTES, MREMAP_MAYMOVE);
	if (pool == MAP_FAILED)
		return -ENOMEM;
	table->pool = pool;
	table->pool_room = room;
	return 0;
}

static int take_array(struct live_table *table, unsigned class, uint32_t *units)
{
	uint32_t first = table->free_arrays[class];

	if (first != 0) {
		*units = first - 1;
		/* The number of the next free one stands in the array itself. */
		table->free_arrays[class] = array_at(table, *units)->origin;
		return 0;
	}
	if (table->pool_units + class_units[class] >= table->pool_room && grow_pool(table) != 0)
		return -ENOMEM;
	*units = (uint32_t)table->pool_units;
	table->pool_units += class_units[class];
	return 0;
}

static void give_array(struct live_table *table, unsigned class, uint32_t units)
{
	array_at(table, units)->origin = table->free_arrays[class];
	table->free_arrays[class] = units + 1;
}

/* A longer array, or a shorter one, for the line's `count` blocks. */
static int move_array(struct live_table *table, struct live_line *line, unsigned count,
		      unsigned class)
{
	uint32_t units;

	if (take_array(table, class, &units) != 0)
		return -ENOMEM;
	if (line->room != 0) {
		memcpy(array_at(table, units), array_at(table, line->blocks),
		       count * sizeof(struct live_block));
		give_array(table, line->room - 1, line->blocks);
	}
	line->blocks = units;
	line->room = (uint8_t)(class + 1);
	line->length = class_units[class] * LIVE_UNIT_BLOCKS;
	line->shrinks = shrinks_below[line->room];
	return 0;
}

int live_table_insert(struct live_table *table, uint64_t address, struct live_block **block)
{
	uint64_t key = live_table_granule(address) / LIVE_LINE_GRANULES / LIVE_REGION_LINES;
	struct live_place place = live_table_place(table, address);
	unsigned count;

	if (place.line == NULL) {
		if (add_region(table, key, &place.slot) != 0)
			return -ENOMEM;
		place = live_table_place(table, address);
	}
	count = live_table_ones(place.line->used);
	if (count == place.line->length &&
	    move_array(table, place.line, count, place.line->room) != 0) {
		if (place.slot->region->live == 0)
			live_table_drop(table, place.slot);
		return -ENOMEM;
	}
	return live_table_enter(table, &place, address, block);
}

void live_table_shrink(struct live_table *table, struct live_line *line, unsigned count)
{
	move_array(table, line, count, line->room - 2);
}

void live_table_drop(struct live_table *table, struct live_slot *slot)
{
	for (size_t i = 0; i < LIVE_REGION_LINES; i++) {
		const struct live_line *line = &slot->region->lines[i];

		if (line->room != 0)
			give_array(table, line->room - 1, line->blocks);
	}
	remove_region(table, slot);
}
