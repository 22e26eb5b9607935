#include "trace_columns.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define COLUMN_ROOM 40 /* bytes an event takes at most */

static void *check(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

/* What a segment has had: by key, numbered in order. */
struct seen {
	uint64_t key;
	uint32_t number_1; /* plus 1; 0: slot not in use */
	uint64_t size;	   /* shapes: of the last event */
};

struct seen_table {
	struct seen *slots;
	size_t capacity; /* a power of two, never more than half full */
	uint32_t count;	 /* numbers given */
};

struct columns {
	uint8_t *at[TRACE_COLUMNS];
	uint64_t expected, released, stack;
	struct seen_table shapes, addresses;
};

static void seen_init(struct seen_table *table, size_t most)
{
	table->capacity = 16;
	while (table->capacity < most * 2)
		table->capacity *= 2;
	table->slots = check(calloc(table->capacity, sizeof(*table->slots)));
}

/* The slot of `key`, or the free one where it belongs. */
static struct seen *seen_find(struct seen_table *table, uint64_t key)
{
	size_t at = XXH3_64bits(&key, sizeof(key)) & (table->capacity - 1);

	while (table->slots[at].number_1 != 0 && table->slots[at].key != key)
		at = (at + 1) & (table->capacity - 1);
	return &table->slots[at];
}

static void put_varint(uint8_t **at, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*(*at)++ = (uint8_t)(value | 0x80);
	*(*at)++ = (uint8_t)value;
}

/* `low` is the column of the low bytes. */
static void put_short(uint8_t **at, uint8_t **low, uint64_t value)
{
	if (value >= 32512) {
		*(*at)++ = TRACE_SHORT_LONG;
		put_varint(at, value);
	} else if (value >= 128) {
		*(*at)++ = (uint8_t)(TRACE_SHORT_HIGH + value / 256);
		*(*low)++ = (uint8_t)value;
	} else {
		*(*at)++ = (uint8_t)value;
	}
}

static uint64_t zigzag(uint64_t value)
{
	return value << 1 ^ (uint64_t)((int64_t)value >> 63);
}

static int class_of(uint64_t word)
{
	switch (word & 0xff) {
#define CASE(symbol, number, name, class, family)                                                  \
	case number:                                                                               \
		return TRACE_CLASS_##class;
		TRACE_EVENT_KINDS(CASE)
#undef CASE
	default:
		abort();
	}
}

static size_t words_of(int class)
{
	static const uint8_t words[] = {0, 4, 2, 6, 4, 3, 7, 4, 2};

	return words[class];
}

static bool has_stack(int class)
{
	return class != TRACE_CLASS_RELEASE && class != TRACE_CLASS_UNMAP &&
	       class != TRACE_CLASS_SAMPLE;
}

static struct seen *put_shape(struct columns *columns, const uint64_t *word, int class)
{
	uint8_t **at = columns->at;
	uint32_t stack = has_stack(class) ? (uint32_t)word[3] : 0;
	uint8_t aux = has_stack(class) ? (uint8_t)(word[3] >> 32) : 0;
	uint64_t key = (word[0] & 0xff) << 40 | (uint64_t)aux << 32 | stack;
	struct seen *shape = seen_find(&columns->shapes, key);

	put_varint(&at[TRACE_COLUMN_SHAPE], shape->number_1);
	if (shape->number_1 != 0)
		return shape;
	*shape = (struct seen){.key = key, .number_1 = ++columns->shapes.count};
	*at[TRACE_COLUMN_DEFINITION]++ = (uint8_t)word[0];
	if (has_stack(class)) {
		*at[TRACE_COLUMN_DEFINITION]++ = aux;
		put_varint(&at[TRACE_COLUMN_DEFINITION], zigzag(stack - columns->stack));
		columns->stack = stack;
	}
	return shape;
}

static void put_size(struct columns *columns, struct seen *shape, uint64_t size)
{
	uint8_t **at = &columns->at[TRACE_COLUMN_SIZE];
	uint8_t **low = &columns->at[TRACE_COLUMN_SIZE_LOW];

	if (size == shape->size) {
		put_short(at, low, TRACE_SIZE_SAME);
	} else if (size > UINT64_MAX - TRACE_SIZE_BASE) {
		put_short(at, low, TRACE_SIZE_RAW);
		put_varint(at, size);
	} else {
		put_short(at, low, size + TRACE_SIZE_BASE);
	}
	shape->size = size;
}

/* Returns false when the address is fresh. */
static bool put_known(struct columns *columns, uint64_t address)
{
	struct seen *seen = seen_find(&columns->addresses, address);
	uint32_t number_1 = ++columns->addresses.count;
	bool known = seen->number_1 != 0;

	put_short(&columns->at[TRACE_COLUMN_ADDRESS], &columns->at[TRACE_COLUMN_ADDRESS_LOW],
		  known ? number_1 - seen->number_1 : 0);
	*seen = (struct seen){.key = address, .number_1 = number_1};
	return known;
}

static void put_difference(uint8_t **at, uint8_t **far, uint64_t difference)
{
	uint64_t code = zigzag((uint64_t)((int64_t)difference >> 4)) << 1 | (difference % 16 != 0);

	*(*at)++ = (uint8_t)((code & 0x7f) | (code > 0x7f ? 0x80 : 0));
	if (code > 0x7f)
		put_varint(far, code >> 7);
	if (difference % 16 != 0)
		*(*at)++ = difference % 16;
}

static void put_acquired(struct columns *columns, uint64_t address, uint64_t bytes)
{
	uint64_t chunk = (bytes + 23) / 16 * 16;

	if (put_known(columns, address))
		return;
	if (bytes > UINT64_MAX - 23 || chunk < 32)
		chunk = 32;
	put_difference(&columns->at[TRACE_COLUMN_FRESH], &columns->at[TRACE_COLUMN_FAR],
		       address - columns->expected);
	columns->expected = address + chunk;
}

static void put_released(struct columns *columns, uint64_t address)
{
	if (put_known(columns, address))
		return;
	put_difference(&columns->at[TRACE_COLUMN_RELEASED], &columns->at[TRACE_COLUMN_FAR],
		       address - columns->released);
	if (address != 0)
		columns->released = address;
}

/* `time` is that in TIME. */
static void put_event(struct columns *columns, const uint64_t *word, int class, uint64_t time,
		      unsigned shift)
{
	uint8_t **extra = &columns->at[TRACE_COLUMN_EXTRA];
	struct seen *shape = put_shape(columns, word, class);

	if (class == TRACE_CLASS_SAMPLE)
		put_size(columns, shape, word[1]);
	else if (class != TRACE_CLASS_RELEASE)
		put_size(columns, shape, word[2]);
	if (class == TRACE_CLASS_REALLOC || class == TRACE_CLASS_REMAP) {
		put_released(columns, word[4]);
		put_varint(extra, time < word[5] >> shift ? 0 : time - (word[5] >> shift));
	}
	if (class == TRACE_CLASS_REMAP)
		put_varint(extra, word[6]);
	if (class == TRACE_CLASS_FAILED)
		*(*extra)++ = (uint8_t)word[1];
	else if (class == TRACE_CLASS_RELEASE || class == TRACE_CLASS_UNMAP)
		put_released(columns, word[1]);
	else if (class != TRACE_CLASS_SAMPLE)
		put_acquired(columns, word[1], word[2]);
}

uint8_t *trace_columns_encode(const uint64_t *words, size_t count, struct trace_events *events)
{
	size_t room = (size_t)events->events * COLUMN_ROOM + 1;
	uint8_t *space = check(malloc(room * TRACE_COLUMNS));
	uint8_t *joined = check(malloc(room * TRACE_COLUMNS));
	uint8_t *to = joined;
	struct columns columns = {0};
	uint64_t before = count ? words[0] >> 8 >> events->tick_shift : 0;
	uint64_t same = 0;

	if (events->events > TRACE_EVENTS_MAX)
		abort();
	seen_init(&columns.shapes, events->events);
	seen_init(&columns.addresses, events->events * 2);
	for (size_t i = 0; i < TRACE_COLUMNS; i++)
		columns.at[i] = space + i * room;
	for (size_t i = 0; i < count;) {
		const uint64_t *word = words + i;
		uint64_t time = word[0] >> 8 >> events->tick_shift;
		int class = class_of(word[0]);

		if (time < before)
			time = before;
		if (!(events->flags & TRACE_EVENTS_RUNS)) {
			put_varint(&columns.at[TRACE_COLUMN_TIME], time - before);
		} else if (time != before) {
			put_varint(&columns.at[TRACE_COLUMN_TIME], same);
			put_varint(&columns.at[TRACE_COLUMN_TIME], time - before);
			same = 0;
		}
		same++;
		before = time;
		put_event(&columns, word, class, time, events->tick_shift);
		events->last_tick = word[0] >> 8;
		i += words_of(class);
	}
	for (size_t i = 0; i < TRACE_COLUMNS; i++) {
		events->column_bytes[i] = (uint32_t)(columns.at[i] - (space + i * room));
		to = mempcpy(to, space + i * room, events->column_bytes[i]);
	}
	free(columns.shapes.slots);
	free(columns.addresses.slots);
	free(space);
	return joined;
}
