/*
 * What is like most: an acquisition or a release, of a shape that is known, in columns that take
 * few bytes. Nothing is called from the loop, so that all it needs is in registers; what it finds
 * to be otherwise ends it before anything of that record is taken.
 *
 * Which of both it is, and whether a size is the last one again, is often by chance: there is no
 * branch between those. An acquisition has op 0, a release 1, any other record more.
 */
#include "event_usual.h"

#include "varint.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

_Static_assert(EVENT_ACQUIRE == 0 && EVENT_RELEASE == 1, "which the loop reckons with");

/* Where the columns are that all have a part in, and what else changes from record to record. */
struct cursor {
	const uint8_t *shape, *address, *size;
	uint64_t *addresses;
	uint64_t count; /* of them */
	uint64_t order; /* of an acquisition */
};

/* One or two bytes of a varint; returns how many, 0 when it has more. */
static ALWAYS_INLINE unsigned two_bytes(const uint8_t *at, uint64_t *value)
{
	unsigned word = at[0] | (unsigned)at[1] << 8, two = word >> 7 & 1;

	*value = (word & 0x7f) | (word >> 1 & 0x3f80 & -two);
	return (word & 0x8080) == 0x8080 ? 0 : 1 + two;
}

/*
 * What column FRESH or RELEASED has of the next address where that is more than a byte, with FAR.
 * Returns false, with nothing taken, when it is too long.
 */
static ALWAYS_INLINE bool long_difference(struct event_decoder *decoder, size_t column,
					  uint64_t *difference)
{
	const uint8_t *at = decoder->at[column], *far = decoder->at[TRACE_COLUMN_FAR];
	uint64_t code = *at++, more;
	unsigned length = two_bytes(far, &more);

	if (code & 0x80) {
		/* A longer one is more than a record may read past the end. */
		if (length == 0 &&
		    (far >= decoder->end[TRACE_COLUMN_FAR] || !varint_upto_eight(&far, &more)))
			return false;
		decoder->at[TRACE_COLUMN_FAR] = far + length;
		code = (code & 0x7f) | more << 7;
	}
	*difference = unzigzag(code >> 1) << 4;
	if (code & 1)
		*difference |= *at++ & 15;
	decoder->at[column] = at;
	return true;
}

/*
 * The next address where it is not one that stood before, of a block of so many bytes. Returns
 * false, with nothing taken, if it is not like most.
 */
static ALWAYS_INLINE bool fresh_address(struct event_decoder *decoder, size_t released,
					uint64_t bytes, uint64_t *address)
{
	size_t column =
	    TRACE_COLUMN_FRESH + released * (TRACE_COLUMN_RELEASED - TRACE_COLUMN_FRESH);
	const uint8_t *at = decoder->at[column], *far = decoder->at[TRACE_COLUMN_FAR];
	uint64_t code = *at, difference;

	if (__builtin_expect((code & 0x81) == 0, 1)) {
		/* As below: the sign is bit 1, what it tells the sign of begins above. */
		difference = (code << 2 ^ -(code & 2)) & ~(uint64_t)15;
		decoder->at[column] = at + 1;
	} else if (!long_difference(decoder, column, &difference)) {
		return false;
	}
	*address = decoder->bases[released] + difference;
	if (__builtin_expect(*address == 0, 0)) {
		decoder->at[column] = at;
		decoder->at[TRACE_COLUMN_FAR] = far;
		return false;
	}
	decoder->bases[released] =
	    *address + ((event_chunk_end(*address, bytes) - *address) & (released - 1));
	return true;
}

/* Takes the next time, if it is a varint of its own. */
static ALWAYS_INLINE bool next_time(struct event_decoder *decoder, struct cursor *cursor)
{
	uint64_t step, time, order;
	unsigned bytes = two_bytes(decoder->at[TRACE_COLUMN_TIME], &step);

	time = decoder->time + step;
	if (__builtin_expect(bytes == 0 || time >> (EVENT_TICK_BITS - decoder->shift) != 0, 0))
		return false;
	decoder->at[TRACE_COLUMN_TIME] += bytes;
	decoder->time = time;
	order = time << decoder->widen << 1 | 1;
	if (order > cursor->order)
		cursor->order = order;
	return true;
}

/*
 * The number of the next shape, and where the one after it stands. Returns false if it has to be
 * looked for.
 */
static ALWAYS_INLINE bool next_shape(const struct event_decoder *decoder, const uint8_t **at,
				     size_t near, size_t *number)
{
	const uint8_t *p = *at;
	size_t code = (size_t)p[0] - 1;

	*at = p + 1;
	*number = code;
	if (__builtin_expect(code < near, 1))
		return true;
	*at = p + 2;
	*number = ((code - 127) | (size_t)p[1] << 7) - 1;
	return code >= 127 && p[1] < 128 && *number < decoder->shape_count;
}

/* The rest of a short of which `*code` is the first byte. Returns false if it is longer. */
static ALWAYS_INLINE bool take_low(struct event_decoder *decoder, size_t column, uint64_t *code)
{
	if (__builtin_expect(*code == TRACE_SHORT_LONG, 0))
		return false;
	*code = (*code - TRACE_SHORT_HIGH) << 8 | *decoder->at[column]++;
	return true;
}

/* Gives back what was taken by take_low() of a short that begins with `byte`. */
static void give_low(struct event_decoder *decoder, size_t column, uint64_t byte)
{
	if (byte >= TRACE_SHORT_HIGH && byte != TRACE_SHORT_LONG)
		decoder->at[column]--;
}

/* The next address; returns false, with nothing taken, if it is not like most. */
static ALWAYS_INLINE bool next_address(struct event_decoder *decoder, struct cursor *cursor,
				       size_t released, uint64_t bytes, uint64_t *address)
{
	uint64_t ago = *cursor->address, from;

	if (ago >= TRACE_SHORT_HIGH && !take_low(decoder, TRACE_COLUMN_ADDRESS_LOW, &ago))
		return false;
	if (ago == 0) {
		if (__builtin_expect(fresh_address(decoder, released, bytes, address), 1))
			return true;
	} else if (__builtin_expect(!__builtin_sub_overflow(cursor->count, ago, &from), 1)) {
		*address = cursor->addresses[from];
		return true;
	}
	give_low(decoder, TRACE_COLUMN_ADDRESS_LOW, *cursor->address);
	return false;
}

/* Decodes a record, if it is like most; else returns false, with nothing taken. */
static ALWAYS_INLINE bool decode_one(struct event_decoder *decoder, struct cursor *cursor,
				     size_t near, struct event *event)
{
	const uint8_t *after = cursor->shape;
	uint64_t bytes, known, code, address;
	struct event_shape *shape;
	size_t number, released;

	if (__builtin_expect(!next_shape(decoder, &after, near, &number), 0))
		return false;
	shape = &decoder->shapes[number];
	released = shape->op;
	if (__builtin_expect(released > 1, 0))
		return false;
	/* The size of what is released is 0 as it always was. */
	code = *cursor->size & (released - 1);
	if (code >= TRACE_SHORT_HIGH && !take_low(decoder, TRACE_COLUMN_SIZE_LOW, &code))
		return false;
	known = shape->size;
	bytes = code == TRACE_SIZE_SAME ? known : code - TRACE_SIZE_BASE;
	if (__builtin_expect(code == TRACE_SIZE_RAW, 0) ||
	    !next_address(decoder, cursor, released, bytes, &address)) {
		give_low(decoder, TRACE_COLUMN_SIZE_LOW, *cursor->size & (released - 1));
		return false;
	}
	cursor->addresses[cursor->count++] = address;
	cursor->shape = after;
	cursor->size += 1 - released;
	cursor->address++;
	shape->size = bytes;
	event->order = cursor->order - released;
	event->address = address;
	event->bytes = bytes;
	event_take_shape(event, shape);
	return true;
}

static struct cursor cursor_of(const struct event_decoder *decoder, uint64_t floor)
{
	return (struct cursor){.shape = decoder->at[TRACE_COLUMN_SHAPE],
			       .address = decoder->at[TRACE_COLUMN_ADDRESS],
			       .size = decoder->at[TRACE_COLUMN_SIZE],
			       .addresses = decoder->addresses,
			       .count = decoder->address_count,
			       .order = event_tick(decoder, floor) << 1 | 1};
}

size_t event_usual(struct event_decoder *decoder, struct event *events, size_t count,
		   uint64_t floor)
{
	struct cursor cursor = cursor_of(decoder, floor);
	size_t near = decoder->shape_count < 127 ? decoder->shape_count : 127;
	struct event *event = events, *end = events + count;

	if (decoder->runs) {
		if (decoder->same < count)
			end = events + decoder->same;
		while (event < end && decode_one(decoder, &cursor, near, event))
			event++;
		decoder->same -= (uint32_t)(event - events);
	} else {
		while (event < end && next_time(decoder, &cursor)) {
			if (!decode_one(decoder, &cursor, near, event)) {
				decoder->same = 1;
				break;
			}
			event++;
		}
	}
	decoder->at[TRACE_COLUMN_SHAPE] = cursor.shape;
	decoder->at[TRACE_COLUMN_ADDRESS] = cursor.address;
	decoder->at[TRACE_COLUMN_SIZE] = cursor.size;
	decoder->address_count = (uint32_t)cursor.count;
	return (size_t)(event - events);
}
