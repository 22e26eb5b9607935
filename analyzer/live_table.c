/*
 * Arrays come from one pool of memory; a free one is all zero. A region whose blocks are all gone
 * stays until so many more have come that it is worth looking for such ones: programs that take and
 * give back the same piece of the heap, again and again, are not rare.
 */
#include "live_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SLOTS_BITS_MIN 8
#define REGIONS_MIN    64
#define PROBE_STEP     (LIVE_NEIGHBOURS + 1) /* past the neighbours; odd, so that it meets all */
#define POOL_UNITS_MIN 1024
#define POOL_UNITS_MAX (UINT32_MAX - 2)
#define POPULATE_UNITS 128
#define UNIT_BYTES     (LIVE_UNIT_ENTRIES * sizeof(uint32_t))

_Static_assert(LIVE_REGION_GRANULES == LIVE_UNIT_ENTRIES * 2, "one unit or two to a region");

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

	*table = (struct live_table){.limit = REGIONS_MIN};
	if (pool == MAP_FAILED)
		return -ENOMEM;
	table->pool = pool;
	table->pool_room = POOL_UNITS_MIN;
	return allocate_slots(table, SLOTS_BITS_MIN);
}

void live_table_fini(struct live_table *table)
{
	free(table->slots);
	if (table->pool != NULL)
		munmap(table->pool, table->pool_room * UNIT_BYTES);
	*table = (struct live_table){0};
}

/* ---- arrays ---- */

static uint32_t *array_at(const struct live_table *table, uint32_t unit)
{
	return table->pool + (size_t)unit * LIVE_UNIT_ENTRIES;
}

static size_t array_units(uint32_t shift)
{
	return shift == 0 ? 2 : 1;
}

static uint32_t unit_of(const struct live_table *table, const struct live_slot *slot)
{
	return (uint32_t)((size_t)(slot->entries - table->pool) / LIVE_UNIT_ENTRIES);
}

/* Tells all slots that the pool has moved to where it is from `old`. */
static void move_entries(struct live_table *table, uintptr_t old)
{
	for (size_t i = 0; i <= table->mask; i++) {
		struct live_slot *slot = &table->slots[i];

		if (slot->mark != 0)
			slot->entries =
			    table->pool + ((uintptr_t)slot->entries - old) / sizeof(*table->pool);
	}
}

/* Pages that were never written cost nothing, so the pool is doubled without a thought. */
static int grow_pool(struct live_table *table)
{
	uintptr_t old = (uintptr_t)table->pool;
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
	if ((uintptr_t)pool != old)
		move_entries(table, old);
	return 0;
}

/* Has the kernel make some pages at once: one by one, on being read and then written, takes long.
 */
static void populate(struct live_table *table)
{
#ifdef MADV_POPULATE_WRITE
	size_t units = table->pool_room - table->populated;

	if (table->pool_units <= table->populated)
		return;
	if (units > POPULATE_UNITS)
		units = POPULATE_UNITS;
	madvise(array_at(table, (uint32_t)table->populated), units * UNIT_BYTES,
		MADV_POPULATE_WRITE);
	table->populated += units;
#else
	(void)table;
#endif
}

static int take_array(struct live_table *table, uint32_t shift, uint32_t *unit)
{
	uint32_t first = table->free_arrays[shift];

	if (first != 0) {
		uint32_t *array = array_at(table, first - 1);

		*unit = first - 1;
		/* The number of the next free one stands in the array itself. */
		table->free_arrays[shift] = array[0];
		array[0] = 0;
		return 0;
	}
	if (table->pool_units + array_units(shift) > table->pool_room && grow_pool(table) != 0)
		return -ENOMEM;
	*unit = (uint32_t)table->pool_units;
	table->pool_units += array_units(shift);
	populate(table);
	return 0;
}

static void give_array(struct live_table *table, uint32_t shift, uint32_t unit)
{
	array_at(table, unit)[0] = table->free_arrays[shift];
	table->free_arrays[shift] = unit + 1;
}

/* ---- regions ---- */

/* The slot of a region or the free one where it would go. */
static struct live_slot *find_slot(const struct live_table *table, uint64_t key)
{
	size_t at = live_table_home(table, key);

	while ((table->slots[at].mark ^ live_table_mark(key)) > 1 && table->slots[at].mark != 0)
		at = (at + PROBE_STEP) & table->mask;
	return &table->slots[at];
}

const struct live_slot *live_table_probe(const struct live_table *table, uint64_t key)
{
	const struct live_slot *slot = find_slot(table, key);

	return slot->mark == 0 ? NULL : slot;
}

static size_t limit_of(size_t count)
{
	return count + count / 2 + REGIONS_MIN;
}

void live_table_mark_all(const struct live_table *table, uint8_t *marks, unsigned shift)
{
	for (size_t i = 0; i <= table->mask; i++) {
		const struct live_slot *slot = &table->slots[i];
		size_t count = array_units(slot->mark & 1) * LIVE_UNIT_ENTRIES;

		/* Without a branch: which entries have blocks is by chance. */
		for (size_t k = 0; slot->mark != 0 && k < count; k++)
			marks[slot->entries[k] >> 1 >> shift] = 1;
	}
}

static bool is_empty(const struct live_slot *slot)
{
	const uint32_t *array = slot->entries;
	size_t count = array_units(slot->mark & 1) * LIVE_UNIT_ENTRIES;

	return array[0] == 0 && memcmp(array, array + 1, (count - 1) * sizeof(*array)) == 0;
}

/*
 * Gives back what regions without blocks have, and makes slots for the others and some more. All
 * entries are looked at, so this waits until there are half as many again.
 */
static int clean(struct live_table *table)
{
	struct live_slot *old = table->slots;
	size_t size = table->mask + 1;
	unsigned bits = SLOTS_BITS_MIN;

	while (limit_of(table->count) > (size_t)1 << bits >> 1)
		bits++;
	if (allocate_slots(table, bits) != 0)
		return -ENOMEM;
	table->count = 0;
	for (size_t i = 0; i < size; i++) {
		if (old[i].mark == 0)
			continue;
		if (is_empty(&old[i])) {
			give_array(table, old[i].mark & 1, unit_of(table, &old[i]));
		} else {
			*find_slot(table, old[i].mark / 2 - 1) = old[i];
			table->count++;
		}
	}
	table->limit = limit_of(table->count);
	free(old);
	return 0;
}

static int add_region(struct live_table *table, uint64_t key)
{
	struct live_slot slot = {.mark = live_table_mark(key) | 1};
	uint32_t unit;

	if (table->count == table->limit && clean(table) != 0)
		return -ENOMEM;
	if (take_array(table, 1, &unit) != 0)
		return -ENOMEM;
	slot.entries = array_at(table, unit);
	*find_slot(table, key) = slot;
	table->count++;
	return 0;
}

/* Gives each granule of a region an entry of its own. */
static int split(struct live_table *table, struct live_slot *slot)
{
	uint32_t *from, *to, unit;

	if (take_array(table, 0, &unit) != 0)
		return -ENOMEM;
	from = slot->entries;
	to = array_at(table, unit);
	for (size_t i = 0; i < LIVE_UNIT_ENTRIES; i++)
		to[i * 2 + (from[i] & 1)] = from[i];
	memset(from, 0, UNIT_BYTES);
	give_array(table, 1, unit_of(table, slot));
	slot->entries = to;
	slot->mark &= ~UINT64_C(1);
	return 0;
}

int live_table_insert(struct live_table *table, uint64_t address, uint32_t number)
{
	struct live_place place = live_table_place(table, address);
	uint64_t key = place.granule / LIVE_REGION_GRANULES;

	if (place.entry == NULL && add_region(table, key) != 0)
		return -ENOMEM;
	place = live_table_place(table, address);
	if (*place.entry != 0) {
		if (split(table, find_slot(table, key)) != 0)
			return -ENOMEM;
		place = live_table_place(table, address);
	}
	live_table_replace(&place, number);
	return 0;
}
