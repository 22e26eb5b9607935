/*
 * Which of all records the next one is, whether its size is the last one again, and in some
 * programs how many bytes a short takes, is by chance: there is no branch between those. What is
 * rare in the loop is called, so that all the rest is in registers. An acquisition has op 0, a
 * release 1, any other record more.
 */
#include "event_usual.h"

#include "event_columns.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define NOINLINE      __attribute__((noinline))

/* Shorts of two bytes, of so many records one, make it worth it to have no branch for them. */
#define MIXED_PART 8

_Static_assert(EVENT_ACQUIRE == 0 && EVENT_RELEASE == 1, "which the loop reckons with");

/* Where what all records have a part in is. Each is in a register. */
struct cursor {
	const uint8_t *size, *address;
	const uint8_t *size_low, *address_low; /* if mixed, else the decoder has them */
	size_t count;			       /* of addresses */
};

static ALWAYS_INLINE struct cursor cursor_of(const struct event_decoder *decoder)
{
	return (struct cursor){.size = decoder->at[TRACE_COLUMN_SIZE],
			       .address = decoder->at[TRACE_COLUMN_ADDRESS],
			       .size_low = decoder->at[TRACE_COLUMN_SIZE_LOW],
			       .address_low = decoder->at[TRACE_COLUMN_ADDRESS_LOW],
			       .count = decoder->address_count};
}

static ALWAYS_INLINE void put_cursor(struct event_decoder *decoder, const struct cursor *cursor,
				     bool mixed)
{
	decoder->at[TRACE_COLUMN_SIZE] = cursor->size;
	decoder->at[TRACE_COLUMN_ADDRESS] = cursor->address;
	if (mixed) {
		decoder->at[TRACE_COLUMN_SIZE_LOW] = cursor->size_low;
		decoder->at[TRACE_COLUMN_ADDRESS_LOW] = cursor->address_low;
	}
	decoder->address_count = (uint32_t)cursor->count;
}

/* A short that begins with `byte`; moves *low on if it has a low byte. */
static ALWAYS_INLINE uint64_t short_of(uint64_t byte, const uint8_t **low)
{
	uint64_t high = byte >> 7, rest = **low & -high;

	*low += high;
	return (byte << 8 * high & 0x7fff) | rest;
}

/*
 * The rest of a short that begins with `byte`. `mixed`: whether it is of one byte or two is by
 * chance. Returns false if it is longer.
 */
static ALWAYS_INLINE bool take_short(struct event_decoder *decoder, size_t column, bool mixed,
				     const uint8_t **low, uint64_t *byte)
{
	if (mixed) {
		if (__builtin_expect(*byte == TRACE_SHORT_LONG, 0))
			return false;
		*byte = short_of(*byte, low);
	} else if (__builtin_expect(*byte >= TRACE_SHORT_HIGH, 0)) {
		if (*byte == TRACE_SHORT_LONG)
			return false;
		*byte = (*byte - TRACE_SHORT_HIGH) << 8 | *decoder->at[column]++;
	}
	return true;
}

/* Of a size that is a varint: it goes to the shape. Returns where the next one stands. */
static NOINLINE const uint8_t *long_size(struct event_decoder *decoder, const uint8_t *at,
					 struct event_shape *shape)
{
	const uint8_t *end = decoder->end[TRACE_COLUMN_SIZE];
	uint64_t code = *at++;

	if (code == TRACE_SHORT_LONG)
		code = varint(&at, end);
	if (code == TRACE_SIZE_RAW)
		shape->size = varint(&at, end);
	else if (code != TRACE_SIZE_SAME)
		shape->size = code - TRACE_SIZE_BASE;
	return at;
}

/* The size of an acquisition; that of a release is 0 as it always was. */
static ALWAYS_INLINE uint64_t take_size(struct event_decoder *decoder, struct cursor *cursor,
					struct event_shape *shape, uint64_t released, bool mixed)
{
	uint64_t code = *cursor->size & (released - 1), known = shape->size, bytes;

	if (__builtin_expect(code == TRACE_SIZE_RAW, 0) ||
	    !take_short(decoder, TRACE_COLUMN_SIZE_LOW, mixed, &cursor->size_low, &code)) {
		cursor->size = long_size(decoder, cursor->size, shape);
		return shape->size;
	}
	bytes = code == TRACE_SIZE_SAME ? known : code - TRACE_SIZE_BASE;
	cursor->size += 1 - released;
	shape->size = bytes;
	return bytes;
}

/* What a column has of an address, with FAR, where that is more than a byte. */
static NOINLINE uint64_t long_difference(struct event_decoder *decoder, size_t column)
{
	const uint8_t *at = decoder->at[column];
	uint64_t code = *at++, difference;

	if (code & 0x80)
		code = (code & 0x7f) | event_varint(decoder, TRACE_COLUMN_FAR) << 7;
	difference = unzigzag(code >> 1) << 4;
	if (code & 1)
		difference |= *at++ & 15;
	decoder->at[column] = at;
	return difference;
}

/* The next address of FRESH or RELEASED, of a block of so many bytes. Returns false at its end. */
static ALWAYS_INLINE bool take_fresh(struct event_decoder *decoder, size_t released, uint64_t bytes,
				     uint64_t *address)
{
	size_t column =
	    TRACE_COLUMN_FRESH + released * (TRACE_COLUMN_RELEASED - TRACE_COLUMN_FRESH);
	const uint8_t *at = decoder->at[column];
	uint64_t code = *at, difference;

	if (__builtin_expect(at >= decoder->end[column], 0))
		return false;
	if (__builtin_expect((code & 0x81) == 0, 1)) {
		/* As below: the sign is bit 1, what it tells the sign of begins above. */
		difference = (code << 2 ^ -(code & 2)) & ~(uint64_t)15;
		decoder->at[column] = at + 1;
	} else {
		difference = long_difference(decoder, column);
	}
	*address = decoder->bases[released] + difference;
	if (__builtin_expect((*address | (released - 1)) != 0, 1))
		decoder->bases[released] =
		    *address + ((event_chunk_end(*address, bytes) - *address) & (released - 1));
	return true;
}

/* One that is a varint. Returns where the next one stands. */
static NOINLINE const uint8_t *long_ago(struct event_decoder *decoder, const uint8_t *at,
					uint64_t *ago)
{
	*ago = varint(&at, decoder->end[TRACE_COLUMN_ADDRESS]);
	return at;
}

/* The next address. Returns false if it is not sound. */
static ALWAYS_INLINE bool take_address(struct event_decoder *decoder, uint64_t *addresses,
				       struct cursor *cursor, size_t released, uint64_t bytes,
				       bool mixed, uint64_t *address)
{
	uint64_t ago = *cursor->address++;

	if (!take_short(decoder, TRACE_COLUMN_ADDRESS_LOW, mixed, &cursor->address_low, &ago)) {
		uint64_t wide;

		cursor->address = long_ago(decoder, cursor->address, &wide);
		ago = wide;
	}
	if (ago == 0) {
		uint64_t fresh;

		if (!take_fresh(decoder, released, bytes, &fresh))
			return false;
		*address = fresh;
	} else if (__builtin_expect(ago > cursor->count, 0)) {
		return false;
	} else {
		*address = addresses[cursor->count - ago];
	}
	addresses[cursor->count++] = *address;
	return true;
}

uint64_t event_release_order(struct event_decoder *decoder, const uint64_t *orders)
{
	uint64_t between = event_varint(decoder, TRACE_COLUMN_EXTRA);
	uint64_t tick = orders[0] >> 1, since = orders[-1] >> 1, time = tick >> decoder->widen;
	uint64_t release = between > time ? 0 : (time - between) << decoder->widen;

	if (release > tick)
		release = tick;
	if (release < since)
		release = since;
	return release << 1 | 1;
}

/*
 * The first half of a realloc is a record of its own, whose shape is `old` and whose order takes
 * the place of that before the realloc's: nobody needs that any more.
 */
struct halves {
	struct event_shape old;
	bool second; /* comes next */
};

static NOINLINE void begin_realloc(struct event_decoder *decoder, const struct event_shape *shape,
				   uint64_t *orders, struct halves *halves)
{
	halves->old =
	    (struct event_shape){.kind = shape->kind, .op = EVENT_RELEASE, .family = shape->family};
	halves->second = true;
	orders[-1] = event_release_order(decoder, orders);
}

/*
 * The records from `at` on, up to one that is rare. Returns its number; decoder->sound is false if
 * there was one that cannot be.
 */
static ALWAYS_INLINE size_t take_records(struct event_decoder *decoder, struct event_chunk *chunk,
					 size_t at, bool mixed, struct event **events)
{
	struct cursor cursor = cursor_of(decoder);
	struct event *event = *events;
	struct event_shape *shapes = decoder->shapes;
	uint64_t *addresses = decoder->addresses;
	struct halves halves = {.second = false};
	size_t records = chunk->records;

	for (; at < records; at++, event++) {
		struct event_shape *shape = &shapes[(size_t)chunk->shapes[at] - 1];
		uint64_t released = shape->op, bytes, address;

		if (__builtin_expect(released > 1, 0)) {
			if (released != EVENT_SHAPE_REALLOC)
				break;
			released = !halves.second;
			if (halves.second) {
				/* realloc(NULL, n) releases nothing. */
				event -= event[-1].address == 0;
				halves.second = false;
			} else {
				begin_realloc(decoder, shape, &chunk->orders[1 + at], &halves);
				shape = &halves.old;
				at--;
			}
		}
		bytes = take_size(decoder, &cursor, shape, released, mixed);
		if (__builtin_expect(!take_address(decoder, addresses, &cursor, released, bytes,
						   mixed, &address),
				     0)) {
			decoder->sound = false;
			break;
		}
		event->order = chunk->orders[1 + at] - released;
		event->address = address;
		event->bytes = bytes;
		event_take_shape(event, shape);
		event->op = (uint8_t)released;
	}
	put_cursor(decoder, &cursor, mixed);
	*events = event;
	return at;
}

size_t event_usual(struct event_decoder *decoder, struct event_chunk *chunk, size_t at,
		   struct event **events)
{
	const uint8_t **size_low = &decoder->at[TRACE_COLUMN_SIZE_LOW], *sizes = *size_low;
	const uint8_t **address_low = &decoder->at[TRACE_COLUMN_ADDRESS_LOW],
		      *addresses = *address_low;
	size_t from = at, wide;

	at = decoder->mixed ? take_records(decoder, chunk, at, true, events)
			    : take_records(decoder, chunk, at, false, events);
	wide = (size_t)(*size_low - sizes) + (size_t)(*address_low - addresses);
	decoder->mixed = wide > (at - from) / MIXED_PART;
	return at;
}
