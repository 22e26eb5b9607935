#include "event_decode.h"

#include "varint.h"

#include <string.h>

const uint8_t event_class[256] = {
#define X(symbol, number, name, class, family) [number] = TRACE_CLASS_##class,
    TRACE_EVENT_KINDS(X)
#undef X
};

const uint8_t event_family[256] = {
#define X(symbol, number, name, class, family) [number] = TRACE_FAMILY_##family,
    TRACE_EVENT_KINDS(X)
#undef X
};

/* What a record of each class has. */
enum {
	HAS_ADDRESS = 1,
	HAS_SIZE = 2,
	HAS_STACK = 4,
	HAS_EXTRA = 8,
	HAS_TWO = 16, /* two halves */
	IS_LATE = 32, /* acquires: later than a release at the same tick */
	HAS_AUX = 64,
};

#define HAS_BLOCK (HAS_ADDRESS | HAS_SIZE | HAS_STACK | IS_LATE)

static const struct {
	uint8_t has;
	uint8_t op;
} classes[] = {
    [TRACE_CLASS_ACQUIRE] = {HAS_BLOCK | HAS_AUX, EVENT_ACQUIRE},
    [TRACE_CLASS_RELEASE] = {HAS_ADDRESS, EVENT_RELEASE},
    [TRACE_CLASS_REALLOC] = {HAS_BLOCK | HAS_AUX | HAS_EXTRA | HAS_TWO, EVENT_ACQUIRE},
    [TRACE_CLASS_MAP] = {HAS_BLOCK, EVENT_MAP},
    [TRACE_CLASS_UNMAP] = {HAS_ADDRESS | HAS_SIZE, EVENT_UNMAP},
    [TRACE_CLASS_REMAP] = {HAS_BLOCK | HAS_AUX | HAS_EXTRA | HAS_TWO, EVENT_MAP},
    [TRACE_CLASS_FAILED] = {HAS_SIZE | HAS_STACK | HAS_EXTRA, EVENT_FAILED},
    [TRACE_CLASS_SAMPLE] = {HAS_SIZE, EVENT_SAMPLE},
};

/* How long the present run of equal times is, and what follows it. Returns false if none can be. */
static bool next_run(struct event_decoder *decoder)
{
	const uint8_t **at = &decoder->at[TRACE_COLUMN_TIME];
	const uint8_t *end = decoder->end[TRACE_COLUMN_TIME];
	uint64_t same = TRACE_EVENTS_MAX;

	decoder->step = 0;
	if (*at < end) {
		same = varint_small(at, end);
		decoder->step = varint_small(at, end);
	}
	decoder->same = (uint32_t)same;
	return same != 0 && same <= TRACE_EVENTS_MAX && decoder->step >> EVENT_TICK_BITS == 0;
}

/* What an event takes from its shape as it stands there. */
#define SHARED_BYTES (sizeof(struct event) - offsetof(struct event, stack))
_Static_assert(SHARED_BYTES == sizeof(struct event_shape) - offsetof(struct event_shape, stack) &&
		   offsetof(struct event, has) - offsetof(struct event, stack) ==
		       offsetof(struct event_shape, has) - offsetof(struct event_shape, stack),
	       "the fields of both are in one order");

/* Where the columns are that most records have a part in, and how many addresses are known. */
struct cursor {
	const uint8_t *address, *address_low;
	const uint8_t *size, *size_low;
	uint32_t count;
	bool astray; /* a distance pointed before the first address */
};

/* The next shape of DEFINITION; NULL when there is none, or of no kind. */
static struct event_shape *define(struct event_decoder *decoder)
{
	const uint8_t *at = decoder->at[TRACE_COLUMN_DEFINITION];
	const uint8_t *end = decoder->end[TRACE_COLUMN_DEFINITION];
	struct event_shape *shape;
	uint8_t class;

	/* Without room there may be no table. */
	if (at >= end || decoder->shape_count == decoder->shape_room)
		return NULL;
	shape = &decoder->shapes[decoder->shape_count];
	*shape = (struct event_shape){.kind = *at++};
	class = event_class[shape->kind];
	if (class == TRACE_CLASS_NONE)
		return NULL;
	shape->has = classes[class].has;
	shape->op = classes[class].op;
	if (shape->has & HAS_STACK) {
		if (at >= end)
			return NULL;
		shape->aux = shape->has & HAS_AUX ? *at : 0;
		at++;
		decoder->stack += (uint32_t)unzigzag(varint(&at, end));
		shape->stack = decoder->stack;
	}
	decoder->at[TRACE_COLUMN_DEFINITION] = at;
	decoder->shape_count++;
	return shape;
}

/* The time of the next record. Returns false where it is none that a tick can have. */
static inline __attribute__((always_inline)) bool next_time(struct event_decoder *decoder)
{
	if (!decoder->runs) {
		decoder->step =
		    varint_small(&decoder->at[TRACE_COLUMN_TIME], decoder->end[TRACE_COLUMN_TIME]);
		decoder->same = 1;
	}
	decoder->time += decoder->step;
	if ((decoder->step | decoder->time) >> (EVENT_TICK_BITS - decoder->shift) != 0)
		return false;
	return !decoder->runs || next_run(decoder);
}

/* The next short of a column whose low bytes stand in another. */
static inline __attribute__((always_inline)) uint64_t
next_short(const uint8_t **at, const uint8_t *end, const uint8_t **low, const uint8_t *low_end)
{
	const uint8_t *p = *at;
	unsigned byte;

	if (__builtin_expect(p >= end, 0)) {
		*at = end + 1;
		return 0;
	}
	byte = *p;
	*at = p + 1;
	if (byte < TRACE_SHORT_HIGH)
		return byte;
	if (__builtin_expect(byte == TRACE_SHORT_LONG, 0))
		return varint(at, end);
	if (__builtin_expect(*low >= low_end, 0)) {
		*low = low_end + 1;
		return 0;
	}
	return (uint64_t)(byte - TRACE_SHORT_HIGH) << 8 | *(*low)++;
}

/* What FRESH or RELEASED has of the next address. */
static inline uint64_t fresh_difference(const uint8_t **at, const uint8_t *end)
{
	uint64_t code = varint_small(at, end);
	uint64_t difference = unzigzag(code >> 1) << 4;

	if (__builtin_expect(code & 1, 0)) {
		if (*at >= end)
			*at = end + 1;
		else
			difference |= *(*at)++ & 15;
	}
	return difference;
}

/* Where the block after one of `bytes` at `address` is expected. */
static inline uint64_t chunk_end(uint64_t address, uint64_t bytes)
{
	uint64_t chunk = (bytes + TRACE_CHUNK_HEAD + 15) & ~15ULL;

	return address + (chunk > TRACE_CHUNK_LEAST ? chunk : TRACE_CHUNK_LEAST);
}

/* The address of `event`, whose size is known, from the column of its sort. */
static uint64_t fresh_address(struct event_decoder *decoder, const struct event *event)
{
	bool released = event->op == EVENT_RELEASE || event->op == EVENT_UNMAP;
	size_t column = released ? TRACE_COLUMN_RELEASED : TRACE_COLUMN_FRESH;
	uint64_t difference = fresh_difference(&decoder->at[column], decoder->end[column]);
	uint64_t address;

	if (released) {
		address = decoder->released + difference;
		if (address != 0)
			decoder->released = address;
	} else {
		address = decoder->expected + difference;
		decoder->expected = chunk_end(address, event->bytes);
	}
	return address;
}

/* The next address, of `event`, whose size is known. */
static inline __attribute__((always_inline)) uint64_t
next_address(struct event_decoder *decoder, struct cursor *cursor, const struct event *event)
{
	uint64_t ago = next_short(&cursor->address, decoder->end[TRACE_COLUMN_ADDRESS],
				  &cursor->address_low, decoder->end[TRACE_COLUMN_ADDRESS_LOW]);
	uint64_t address;

	if (ago == 0) {
		address = fresh_address(decoder, event);
	} else if (__builtin_expect(ago > cursor->count, 0)) {
		cursor->astray = true;
		address = 0;
	} else {
		address = decoder->addresses[cursor->count - ago];
	}
	decoder->addresses[cursor->count++] = address;
	return address;
}

static inline __attribute__((always_inline)) uint64_t
next_size(const struct event_decoder *decoder, struct cursor *cursor, struct event_shape *shape)
{
	const uint8_t *end = decoder->end[TRACE_COLUMN_SIZE];
	uint64_t code =
	    next_short(&cursor->size, end, &cursor->size_low, decoder->end[TRACE_COLUMN_SIZE_LOW]);

	if (code == TRACE_SIZE_SAME)
		return shape->size;
	if (__builtin_expect(code == TRACE_SIZE_RAW, 0))
		shape->size = varint(&cursor->size, end);
	else
		shape->size = code - TRACE_SIZE_BASE;
	return shape->size;
}

/* The kind that failed. */
static void next_failed(struct event_decoder *decoder, struct event *event)
{
	const uint8_t **at = &decoder->at[TRACE_COLUMN_EXTRA];

	if (*at < decoder->end[TRACE_COLUMN_EXTRA])
		event->aux = *(*at)++;
	else
		*at = decoder->end[TRACE_COLUMN_EXTRA] + 1;
}

/*
 * Tells when the release half of `event` was: not after its acquisition, and not before what its
 * thread did last (`since`).
 */
static uint64_t next_release(struct event_decoder *decoder, const struct event *event,
			     uint64_t since)
{
	uint64_t between =
	    varint(&decoder->at[TRACE_COLUMN_EXTRA], decoder->end[TRACE_COLUMN_EXTRA]);
	uint64_t tick = between > decoder->time ? 0 : (decoder->time - between) << decoder->widen;

	if (tick > event->order >> 1)
		tick = event->order >> 1;
	return tick < since ? since : tick;
}

/*
 * The rest of a record in which EXTRA has a part, of which `*event` has what the shape and the time
 * tell. Returns how many events it is: realloc(NULL, n) releases nothing.
 */
static __attribute__((noinline)) size_t decode_extra(struct event_decoder *decoder,
						     struct cursor *cursor,
						     struct event_shape *shape, uint64_t since,
						     struct event *event)
{
	struct event old = {.kind = shape->kind,
			    .op = shape->op == EVENT_MAP ? EVENT_UNMAP : EVENT_RELEASE,
			    .has = shape->has};
	struct event fresh = *event;

	fresh.bytes = next_size(decoder, cursor, shape);
	if ((shape->has & HAS_TWO) == 0) {
		next_failed(decoder, &fresh);
		*event = fresh;
		return 1;
	}
	old.address = next_address(decoder, cursor, &old);
	fresh.address = next_address(decoder, cursor, &fresh);
	old.order = next_release(decoder, &fresh, since) << 1;
	if (event_class[shape->kind] == TRACE_CLASS_REMAP)
		old.bytes =
		    varint(&decoder->at[TRACE_COLUMN_EXTRA], decoder->end[TRACE_COLUMN_EXTRA]);
	if (old.address == 0) {
		*event = fresh;
		return 1;
	}
	event[0] = old;
	event[1] = fresh;
	return 2;
}

/* What a record has of the other columns. Returns how many events it is. */
static inline __attribute__((always_inline)) size_t
decode_record(struct event_decoder *decoder, struct cursor *cursor, struct event_shape *shape,
	      uint64_t tick, uint64_t since, struct event *event)
{
	unsigned has = shape->has;

	event->order = tick << 1 | ((has & IS_LATE) != 0);
	event->address = 0;
	event->bytes = 0;
	memcpy(&event->stack, &shape->stack, SHARED_BYTES);
	if (__builtin_expect(has & HAS_EXTRA, 0)) {
		struct cursor copy = *cursor; /* so that the other stays in registers */
		size_t count = decode_extra(decoder, &copy, shape, since, event);

		*cursor = copy;
		return count;
	}
	/* Addresses follow from sizes. */
	if (has & HAS_SIZE)
		event->bytes = next_size(decoder, cursor, shape);
	if (__builtin_expect(has & HAS_ADDRESS, 1))
		event->address = next_address(decoder, cursor, event);
	return 1;
}

/* The shape of the next record; NULL when there is none. */
static inline __attribute__((always_inline)) struct event_shape *
next_shape(struct event_decoder *decoder, const uint8_t **at, const uint8_t *end)
{
	uint64_t code = varint_small(at, end);

	if (__builtin_expect(code == 0, 0))
		return define(decoder);
	return code <= decoder->shape_count ? &decoder->shapes[code - 1] : NULL;
}

/*
 * Decodes so many records, or up to a shape that does not exist: *sound is then false. Returns
 * false when a time or an address is none.
 */
static bool decode_records(struct event_decoder *decoder, struct event *events, size_t wanted,
			   size_t *count, size_t *records, bool *sound)
{
	struct cursor cursor = {.address = decoder->at[TRACE_COLUMN_ADDRESS],
				.address_low = decoder->at[TRACE_COLUMN_ADDRESS_LOW],
				.size = decoder->at[TRACE_COLUMN_SIZE],
				.size_low = decoder->at[TRACE_COLUMN_SIZE_LOW],
				.count = decoder->address_count};
	const uint8_t *at = decoder->at[TRACE_COLUMN_SHAPE];
	const uint8_t *end = decoder->end[TRACE_COLUMN_SHAPE];
	struct event *event = events;
	/* A coarse segment may seem to begin before the events that came before. */
	uint64_t floor = decoder->floor, tick = decoder->time << decoder->widen;
	uint32_t same = decoder->same;
	size_t i;

	tick = tick < floor ? floor : tick;
	for (i = 0; i < wanted; i++) {
		struct event_shape *shape = next_shape(decoder, &at, end);

		if (__builtin_expect(shape == NULL, 0))
			break;
		if (same == 0) {
			if (!next_time(decoder))
				return false;
			same = decoder->same;
			tick = decoder->time << decoder->widen;
			tick = tick < floor ? floor : tick;
		}
		same--;
		event += decode_record(decoder, &cursor, shape, tick, floor, event);
		floor = tick;
	}
	*count = (size_t)(event - events);
	*records = i;
	*sound = i == wanted;
	decoder->at[TRACE_COLUMN_SHAPE] = at;
	decoder->at[TRACE_COLUMN_ADDRESS] = cursor.address;
	decoder->at[TRACE_COLUMN_ADDRESS_LOW] = cursor.address_low;
	decoder->at[TRACE_COLUMN_SIZE] = cursor.size;
	decoder->at[TRACE_COLUMN_SIZE_LOW] = cursor.size_low;
	decoder->address_count = cursor.count;
	decoder->same = same;
	decoder->floor = floor;
	for (i = 0; i < TRACE_COLUMNS; i++)
		if (decoder->at[i] > decoder->end[i])
			return false;
	return !cursor.astray;
}

size_t event_decode_next(struct event_decoder *decoder, struct event *events, uint32_t *bad_records)
{
	size_t wanted = decoder->records_left < EVENT_DECODE_RECORDS ? decoder->records_left
								     : EVENT_DECODE_RECORDS;
	size_t count, records;
	bool sound;

	*bad_records = 0;
	if (decoder->records_left == 0)
		return 0;
	if (!decode_records(decoder, events, wanted, &count, &records, &sound)) {
		/* Nothing of the chunk is known. */
		count = 0;
		records = 0;
		sound = false;
	}
	decoder->records_left -= (uint32_t)records;
	if (!sound) {
		*bad_records = decoder->records_left;
		decoder->records_left = 0;
		decoder->sound = false;
	}
	return count;
}
