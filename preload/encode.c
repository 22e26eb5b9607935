#include "encode.h"

#include <endian.h>
#include <string.h>

#include "clock.h"
#include "codec.h"
#include "encode_tables.h"
#include "event_kind.h"

#define SHAPE_KIND_SHIFT 40
#define SHAPE_LAST_MASK	 0xffffffffffULL /* aux and stack */

#define INLINE static inline __attribute__((always_inline))

static __attribute__((noinline)) uint8_t *put_huge(uint8_t *next, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*next++ = (uint8_t)(value | 0x80);
	*next++ = (uint8_t)value;
	return next;
}

/*
 * A varint of any length: the sevens are moved apart with three shifts and not in a loop, whose
 * end would be mispredicted. Stores eight bytes.
 */
INLINE uint8_t *put_any(uint8_t *next, uint64_t value)
{
	unsigned bits = 63 - (unsigned)__builtin_clzll(value | 1);
	unsigned more = bits * 37 >> 8; /* bits / 7, for less than 64 of them */

	if (__builtin_expect(more >= 8, 0))
		return put_huge(next, value);
	value = (value & 0x000000000fffffffULL) | (value & 0x00fffffff0000000ULL) << 4;
	value = (value & 0x00003fff00003fffULL) | (value & 0x0fffc0000fffc000ULL) << 2;
	value = (value & 0x007f007f007f007fULL) | (value & 0x3f803f803f803f80ULL) << 1;
	value |= 0x8080808080808080ULL & ((1ULL << (8 * more)) - 1);
	value = htole64(value);
	memcpy(next, &value, sizeof(value));
	return next + more + 1;
}

/* One byte or two is a matter of chance in many columns, so there is no branch between. */
INLINE uint8_t *put_varint(uint8_t *next, uint64_t value)
{
	unsigned second = value > 0x7f;
	uint16_t bytes;

	if (__builtin_expect(value > 0x3fff, 0))
		return put_any(next, value);
	bytes = htole16((uint16_t)(value + (value & 0x3f80) + (second << 7)));
	memcpy(next, &bytes, sizeof(bytes));
	return next + 1 + second;
}

/* For what is a byte nearly always. */
INLINE uint8_t *put_small(uint8_t *next, uint64_t value)
{
	if (__builtin_expect(value > 0x7f, 0))
		return put_varint(next, value);
	*next++ = (uint8_t)value;
	return next;
}

/* Which of the two a short takes is a matter of chance, too. */
INLINE void put_short(uint8_t **next, uint8_t **low, uint64_t value)
{
	unsigned two = value > 0x7f;

	if (__builtin_expect(value >= (TRACE_SHORT_LONG - TRACE_SHORT_HIGH) << 8, 0)) {
		*(*next)++ = TRACE_SHORT_LONG;
		*next = put_any(*next, value);
		return;
	}
	**low = (uint8_t)value;
	*low += two;
	*(*next)++ = (uint8_t)(two ? TRACE_SHORT_HIGH + (value >> 8) : value);
}

INLINE uint64_t zigzag(int64_t value)
{
	return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

/*
 * What is carried from event to event. A local variable of one function and never pointed to by
 * what is not inlined, so that its fields are registers.
 */
struct encoder {
	struct encode_tables *tables;
	const uint64_t *ring;
	uint8_t *shape, *time, *address, *size, *definition, *fresh, *extra;
	uint8_t *address_low, *size_low, *released, *far;
	uint64_t expected, last_released;
	uint32_t last_stack;
	uint32_t shapes;
	uint32_t addresses; /* number of the next */
};

/* What the varint has beyond its first byte, which is all of most, goes to `far`. */
INLINE uint8_t *put_difference(uint8_t *next, uint8_t **far, uint64_t difference)
{
	uint64_t code = zigzag((int64_t)difference >> 4) << 1;
	unsigned rest = difference & 15;

	/* Most blocks are aligned to 16. */
	code |= rest != 0;
	if (code <= 0x7f) {
		*next++ = (uint8_t)code;
	} else {
		*next++ = (uint8_t)(code | 0x80);
		*far = put_any(*far, code >> 7);
	}
	if (__builtin_expect(rest != 0, 0))
		*next++ = (uint8_t)rest;
	return next;
}

/* What was not freed yet comes off the top of the heap, one after the other. */
INLINE void put_fresh(struct encoder *encoder, uint64_t address, uint64_t bytes)
{
	uint64_t chunk = (bytes + TRACE_CHUNK_HEAD + 15) & ~15ULL;

	encoder->fresh = put_difference(encoder->fresh, &encoder->far, address - encoder->expected);
	encoder->expected = address + (chunk > TRACE_CHUNK_LEAST ? chunk : TRACE_CHUNK_LEAST);
}

INLINE void put_released(struct encoder *encoder, uint64_t address)
{
	encoder->released =
	    put_difference(encoder->released, &encoder->far, address - encoder->last_released);
	/* realloc(NULL) is no place in the heap. */
	if (address)
		encoder->last_released = address;
}

/*
 * Allocators hand out what was freed last, and most blocks die young: how many addresses ago this
 * one stood is a small number, and the same in each round of a loop. Returns false when that is
 * not known: the address is fresh.
 */
INLINE bool put_known(struct encoder *encoder, uint64_t address)
{
	size_t hash = (address >> 4) * 0x9e3779b97f4a7c15U >> (64 - ADDRESS_BITS);
	uint64_t *slot = &encoder->tables->slots[hash];
	uint64_t entry = address << NUMBER_BITS | encoder->addresses;
	uint64_t found = *slot;

	encoder->addresses++;
	if (__builtin_expect((found ^ entry) >> NUMBER_BITS == 0 && address < ADDRESS_LIMIT, 1)) {
		put_short(&encoder->address, &encoder->address_low, entry - found);
		*slot = entry;
		return true;
	}
	*encoder->address++ = 0;
	if (address < ADDRESS_LIMIT)
		*slot = entry;
	return false;
}

/* The address of a block of `bytes`. */
INLINE void put_acquired(struct encoder *encoder, uint64_t address, uint64_t bytes)
{
	if (!put_known(encoder, address))
		put_fresh(encoder, address, bytes);
}

INLINE void put_old(struct encoder *encoder, uint64_t address)
{
	if (!put_known(encoder, address))
		put_released(encoder, address);
}

INLINE void define(struct encoder *encoder, struct shape *shape, uint64_t key, bool has_stack)
{
	uint32_t stack = (uint32_t)key;

	*shape = (struct shape){.key = key, .code = ++encoder->shapes};
	*encoder->shape++ = 0;
	*encoder->definition++ = (uint8_t)(key >> SHAPE_KIND_SHIFT & (TRACE_EVENT_KIND_MAX - 1));
	if (!has_stack)
		return;
	*encoder->definition++ = (uint8_t)(key >> 32);
	encoder->definition =
	    put_varint(encoder->definition, zigzag((int64_t)stack - (int64_t)encoder->last_stack));
	encoder->last_stack = stack;
}

/* The shape of a kind that has no stack. */
INLINE struct shape *put_plain(struct encoder *encoder, unsigned kind)
{
	struct shape *shape = &encoder->tables->plain[kind];
	uint64_t key = (uint64_t)kind << SHAPE_KIND_SHIFT;

	if (__builtin_expect(shape->key == key, 1))
		encoder->shape = put_small(encoder->shape, shape->code);
	else
		define(encoder, shape, key, false);
	return shape;
}

/* `last` is the word with stack and aux. */
INLINE struct shape *put_shape(struct encoder *encoder, unsigned kind, uint64_t last)
{
	uint64_t key = (uint64_t)kind << SHAPE_KIND_SHIFT | (last & SHAPE_LAST_MASK);
	struct shape *pair = encoder->tables->pairs[key * 0x9e3779b97f4a7c15U >> (64 - SHAPE_BITS)];

	if (__builtin_expect(pair[0].key != key, 0)) {
		if (pair[1].key != key) {
			pair[1] = pair[0];
			define(encoder, pair, key, true);
			return pair;
		}
		pair++;
	}
	encoder->shape = put_small(encoder->shape, pair->code);
	return pair;
}

INLINE void put_size(struct encoder *encoder, struct shape *shape, uint64_t size)
{
	uint64_t code = size == shape->size ? TRACE_SIZE_SAME : size + TRACE_SIZE_BASE;

	shape->size = size;
	if (__builtin_expect(size > UINT64_MAX - TRACE_SIZE_BASE && code != TRACE_SIZE_SAME, 0)) {
		*encoder->size++ = TRACE_SIZE_RAW;
		encoder->size = put_any(encoder->size, size);
		return;
	}
	put_short(&encoder->size, &encoder->size_low, code);
}

/* The rarer classes. `time` is what TIME has of the event. */
INLINE void put_other(struct encoder *encoder, size_t at, unsigned kind, uint64_t time,
		      unsigned shift)
{
	const uint64_t *words = encoder->ring + at;
	unsigned class = event_kind_class[kind];
	bool plain = class == TRACE_CLASS_UNMAP || class == TRACE_CLASS_SAMPLE;
	struct shape *shape = plain ? put_plain(encoder, kind) : put_shape(encoder, kind, words[3]);

	put_size(encoder, shape, words[class == TRACE_CLASS_SAMPLE ? 1 : 2]);
	if (class == TRACE_CLASS_FAILED)
		*encoder->extra++ = (uint8_t)words[1];
	if (class == TRACE_CLASS_REALLOC || class == TRACE_CLASS_REMAP) {
		uint64_t released = words[5] >> shift;

		encoder->extra = put_varint(encoder->extra, time > released ? time - released : 0);
		put_old(encoder, words[4]);
	}
	if (class == TRACE_CLASS_REMAP)
		encoder->extra = put_varint(encoder->extra, words[6]);
	if (class == TRACE_CLASS_UNMAP)
		put_old(encoder, words[1]);
	else if (class != TRACE_CLASS_FAILED && class != TRACE_CLASS_SAMPLE)
		put_acquired(encoder, words[1], words[2]);
}

static struct encoder begin(struct codec *codec, struct encode_tables *tables,
			    const uint64_t *words)
{
	return (struct encoder){.tables = tables,
				.ring = words,
				.shape = codec->space[TRACE_COLUMN_SHAPE],
				.time = codec->space[TRACE_COLUMN_TIME],
				.address = codec->space[TRACE_COLUMN_ADDRESS],
				.size = codec->space[TRACE_COLUMN_SIZE],
				.definition = codec->space[TRACE_COLUMN_DEFINITION],
				.fresh = codec->space[TRACE_COLUMN_FRESH],
				.extra = codec->space[TRACE_COLUMN_EXTRA],
				.address_low = codec->space[TRACE_COLUMN_ADDRESS_LOW],
				.size_low = codec->space[TRACE_COLUMN_SIZE_LOW],
				.released = codec->space[TRACE_COLUMN_RELEASED],
				.far = codec->space[TRACE_COLUMN_FAR],
				.expected = tables->expected,
				.last_released = tables->last_released,
				.last_stack = tables->last_stack,
				.shapes = tables->shapes,
				.addresses = tables->addresses};
}

static void end(const struct encoder *encoder, struct codec *codec)
{
	struct encode_tables *tables = encoder->tables;
	const uint8_t *const ends[TRACE_COLUMNS] = {
	    [TRACE_COLUMN_SHAPE] = encoder->shape,
	    [TRACE_COLUMN_TIME] = encoder->time,
	    [TRACE_COLUMN_ADDRESS] = encoder->address,
	    [TRACE_COLUMN_SIZE] = encoder->size,
	    [TRACE_COLUMN_DEFINITION] = encoder->definition,
	    [TRACE_COLUMN_FRESH] = encoder->fresh,
	    [TRACE_COLUMN_EXTRA] = encoder->extra,
	    [TRACE_COLUMN_ADDRESS_LOW] = encoder->address_low,
	    [TRACE_COLUMN_SIZE_LOW] = encoder->size_low,
	    [TRACE_COLUMN_RELEASED] = encoder->released,
	    [TRACE_COLUMN_FAR] = encoder->far,
	};

	for (size_t i = 0; i < TRACE_COLUMNS; i++)
		codec->part.column_bytes[i] = (uint32_t)(ends[i] - codec->space[i]);
	tables->expected = encoder->expected;
	tables->last_released = encoder->last_released;
	tables->last_stack = encoder->last_stack;
	tables->shapes = encoder->shapes;
	tables->addresses = encoder->addresses;
}

/* `same` events had the time that is over now. */
INLINE void put_step(struct encoder *encoder, uint32_t same, uint64_t step)
{
	encoder->time = put_varint(encoder->time, same);
	encoder->time = put_any(encoder->time, step);
}

/* The least first word of an event whose shifted time is above `time`; saturates. */
INLINE uint64_t quantum_end(uint64_t time, unsigned shift)
{
	uint64_t end = (time + 1) << shift;

	return end >> 56 ? UINT64_MAX : end << 8;
}

INLINE void fill(struct encode_segment *segment, struct encode_tables *tables, struct codec *codec,
		 const uint64_t *ring, size_t count, unsigned shift, bool runs)
{
	struct encoder encoder = begin(codec, tables, ring);
	uint64_t latest = segment->latest;
	uint64_t time = latest >> 8 >> shift;
	uint64_t until = quantum_end(time, shift);
	uint32_t events = 0, stepped = 0 - segment->same;
	size_t size;

	for (size_t at = 0; at < count; at += size, events++) {
		uint64_t first = ring[at];
		unsigned kind = (unsigned)(first & (TRACE_EVENT_KIND_MAX - 1));
		unsigned class = event_kind_class[kind];

		/* The ring is a file that anybody can have written to. */
		size = event_class_words[class];
		if (__builtin_expect(size > count - at, 0))
			break;
		/* A counter that went back (another processor, a bad machine) stands still. */
		if (first > latest)
			latest = first;
		if (!runs) {
			encoder.time = put_varint(encoder.time, (latest >> 8 >> shift) - time);
			time = latest >> 8 >> shift;
		} else if (__builtin_expect(first >= until, 0)) {
			put_step(&encoder, events - stepped, (first >> 8 >> shift) - time);
			time = first >> 8 >> shift;
			until = quantum_end(time, shift);
			stepped = events;
		}
		if (class == TRACE_CLASS_RELEASE) {
			put_plain(&encoder, kind);
			put_old(&encoder, ring[at + 1]);
		} else if (class == TRACE_CLASS_ACQUIRE) {
			put_size(&encoder, put_shape(&encoder, kind, ring[at + 3]), ring[at + 2]);
			put_acquired(&encoder, ring[at + 1], ring[at + 2]);
		} else {
			put_other(&encoder, at, kind, time, shift);
		}
	}
	segment->latest = latest;
	segment->same = events - stepped;
	codec->part.events = events;
	end(&encoder, codec);
}

bool encode_fits(const struct encode_segment *segment, const struct encode_tables *tables,
		 uint64_t from, unsigned shift)
{
	return segment->head.tick_shift == shift && encode_tables_go_on(tables, from);
}

void encode_begin(struct encode_segment *segment, struct encode_tables *tables, unsigned shift)
{
	struct trace_events *head = &segment->head;

	head->to = head->from;
	head->events = 0;
	head->flags = encode_tables_begin(tables, head->from) ? TRACE_EVENTS_CONTINUES : 0;
	/* In a coarse quantum many events have the same time, in a fine one hardly any. */
	if (shift > clock_fine_shift())
		head->flags |= TRACE_EVENTS_RUNS;
	head->tick_shift = (uint8_t)shift;
	segment->same = 0;
}

void encode_part(struct encode_segment *segment, struct encode_tables *tables, struct codec *codec,
		 const uint64_t *words, size_t count)
{
	struct trace_events *head = &segment->head;
	struct trace_part *part = &codec->part;

	if (count > RING_WORDS)
		count = RING_WORDS;
	if (head->events == 0) {
		segment->latest = count ? words[0] : 0;
		head->first_tick = segment->latest >> 8;
	}
	if (head->flags & TRACE_EVENTS_RUNS)
		fill(segment, tables, codec, words, count, head->tick_shift, true);
	else
		fill(segment, tables, codec, words, count, head->tick_shift, false);
	part->from = head->to;
	part->to = head->to = head->to + count;
	part->last_tick = head->last_tick = segment->latest >> 8;
	head->events += part->events;
	encode_tables_end(tables, head->to);
}
