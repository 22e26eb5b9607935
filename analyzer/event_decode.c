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

/* How much of each list of a chunk is filled. */
struct counts {
	size_t records, events, addresses, sizes, extras;
};

/* Which events of a chunk take part in a column: indices into the output. */
struct chunk {
	struct counts n;
	uint16_t main[EVENT_DECODE_RECORDS];
	uint16_t address[EVENT_DECODE_EVENTS];
	uint16_t size[EVENT_DECODE_RECORDS];
	uint16_t extra[EVENT_DECODE_RECORDS];
	uint64_t time[EVENT_DECODE_RECORDS];		 /* of those, in the segment's own shift */
	struct event_shape *shape[EVENT_DECODE_RECORDS]; /* of those in `size` */
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

/* Makes the events of a record of that shape, but for what other columns have. */
static inline __attribute__((always_inline)) struct counts
put_record(struct counts n, struct chunk *chunk, struct event *events, struct event_shape *shape)
{
	unsigned has = shape->has;
	struct event *event;

	if (__builtin_expect(has & HAS_TWO, 0)) {
		chunk->address[n.addresses++] = (uint16_t)n.events;
		events[n.events++] =
		    (struct event){.kind = shape->kind,
				   .op = shape->op == EVENT_MAP ? EVENT_UNMAP : EVENT_RELEASE,
				   .has = shape->has};
	}
	event = &events[n.events];
	event->order = (has & IS_LATE) != 0;
	event->address = 0;
	event->bytes = 0;
	memcpy(&event->stack, &shape->stack, SHARED_BYTES);
	chunk->address[n.addresses] = (uint16_t)n.events;
	n.addresses += (has & HAS_ADDRESS) != 0;
	chunk->size[n.sizes] = (uint16_t)n.events;
	chunk->shape[n.sizes] = shape;
	n.sizes += (has & HAS_SIZE) != 0;
	chunk->extra[n.extras] = (uint16_t)n.events;
	n.extras += (has & HAS_EXTRA) != 0;
	chunk->main[n.records++] = (uint16_t)n.events++;
	return n;
}

/* Returns false at a shape that does not exist; the chunk ends before it. */
static bool decode_shapes(struct event_decoder *decoder, struct chunk *chunk, struct event *events)
{
	const uint8_t *at = decoder->at[TRACE_COLUMN_SHAPE];
	const uint8_t *end = decoder->end[TRACE_COLUMN_SHAPE];
	size_t wanted = decoder->records_left < EVENT_DECODE_RECORDS ? decoder->records_left
								     : EVENT_DECODE_RECORDS;
	uint32_t known = decoder->shape_count;
	struct counts n = {0};

	while (n.records < wanted) {
		uint64_t code = varint_small(&at, end);
		struct event_shape *shape = NULL;

		if (__builtin_expect(code == 0, 0)) {
			shape = define(decoder);
			known = decoder->shape_count;
		} else if (code <= known) {
			shape = &decoder->shapes[code - 1];
		}
		if (shape == NULL)
			break;
		n = put_record(n, chunk, events, shape);
	}
	chunk->n = n;
	decoder->at[TRACE_COLUMN_SHAPE] = at;
	return n.records == wanted;
}

/* A coarse segment may seem to begin before the events that came before. */
static void raise_to_floor(const struct event_decoder *decoder, const struct chunk *chunk,
			   struct event *events)
{
	for (size_t i = 0; i < chunk->n.records; i++) {
		struct event *event = &events[chunk->main[i]];

		if (event->order >> 1 >= decoder->floor)
			break;
		event->order = decoder->floor << 1 | (event->order & 1);
	}
}

/* The chunk's times, where each run of equal ones is given. */
static bool decode_runs(struct event_decoder *decoder, const struct chunk *chunk,
			struct event *events)
{
	const uint16_t *main = chunk->main, *end = main + chunk->n.records;

	while (main < end) {
		size_t count = (size_t)(end - main);
		uint64_t order;

		if (decoder->same == 0) {
			decoder->time += decoder->step;
			if (decoder->time >> (EVENT_TICK_BITS - decoder->shift) != 0 ||
			    !next_run(decoder))
				return false;
		}
		count = decoder->same < count ? decoder->same : count;
		decoder->same -= (uint32_t)count;
		order = decoder->time << decoder->widen << 1;
		for (; count > 0; count--)
			events[*main++].order |= order;
	}
	return true;
}

/* The same where each record's time is given. */
static bool decode_each(struct event_decoder *decoder, const struct chunk *chunk,
			struct event *events)
{
	const uint8_t *at = decoder->at[TRACE_COLUMN_TIME];
	const uint8_t *end = decoder->end[TRACE_COLUMN_TIME];
	uint64_t time = decoder->time;
	uint64_t bits = 0; /* of all terms and sums, so that none can wrap unnoticed */

	for (size_t i = 0; i < chunk->n.records; i++) {
		uint64_t step = varint_small(&at, end);

		time += step;
		bits |= step | time;
		events[chunk->main[i]].order |= time << decoder->widen << 1;
	}
	decoder->at[TRACE_COLUMN_TIME] = at;
	decoder->time = time;
	return bits >> (EVENT_TICK_BITS - decoder->shift) == 0;
}

/* Returns false when a time is none that a tick can have. */
static bool decode_times(struct event_decoder *decoder, struct chunk *chunk, struct event *events)
{
	if (!(decoder->runs ? decode_runs(decoder, chunk, events)
			    : decode_each(decoder, chunk, events)))
		return false;
	for (size_t i = 0; i < chunk->n.extras; i++)
		chunk->time[i] = events[chunk->extra[i]].order >> 1 >> decoder->widen;
	raise_to_floor(decoder, chunk, events);
	return true;
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
	uint64_t code = varint(at, end);
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

/* Returns false at a distance that points before the first address. */
static bool decode_addresses(struct event_decoder *decoder, const struct chunk *chunk,
			     struct event *events)
{
	const uint8_t *at = decoder->at[TRACE_COLUMN_ADDRESS];
	const uint8_t *end = decoder->end[TRACE_COLUMN_ADDRESS];
	const uint8_t *low = decoder->at[TRACE_COLUMN_ADDRESS_LOW];
	const uint8_t *low_end = decoder->end[TRACE_COLUMN_ADDRESS_LOW];
	uint64_t *addresses = decoder->addresses;
	uint32_t number = decoder->address_count;
	size_t count = chunk->n.addresses;

	for (size_t i = 0; i < count; i++) {
		uint64_t ago = next_short(&at, end, &low, low_end);
		uint64_t address;

		if (ago == 0)
			address = fresh_address(decoder, &events[chunk->address[i]]);
		else if (ago <= number)
			address = addresses[number - ago];
		else
			return false;
		addresses[number++] = address;
		events[chunk->address[i]].address = address;
	}
	decoder->at[TRACE_COLUMN_ADDRESS] = at;
	decoder->at[TRACE_COLUMN_ADDRESS_LOW] = low;
	decoder->address_count = number;
	return true;
}

static void decode_sizes(struct event_decoder *decoder, const struct chunk *chunk,
			 struct event *events)
{
	const uint8_t *at = decoder->at[TRACE_COLUMN_SIZE];
	const uint8_t *end = decoder->end[TRACE_COLUMN_SIZE];
	const uint8_t *low = decoder->at[TRACE_COLUMN_SIZE_LOW];
	const uint8_t *low_end = decoder->end[TRACE_COLUMN_SIZE_LOW];

	for (size_t i = 0; i < chunk->n.sizes; i++) {
		struct event_shape *shape = chunk->shape[i];
		uint64_t code = next_short(&at, end, &low, low_end);
		uint64_t size = code - TRACE_SIZE_BASE;

		if (__builtin_expect(code == TRACE_SIZE_RAW, 0))
			size = varint(&at, end);
		if (code == TRACE_SIZE_SAME)
			size = shape->size;
		shape->size = size;
		events[chunk->size[i]].bytes = size;
	}
	decoder->at[TRACE_COLUMN_SIZE] = at;
	decoder->at[TRACE_COLUMN_SIZE_LOW] = low;
}

/*
 * Tells when the release half, which stands before `event`, was: not after its acquisition, and
 * not before what its thread did last (`since`).
 */
static void time_release(struct event *event, uint64_t released, uint64_t since)
{
	uint64_t tick = released;

	if (tick > event->order >> 1)
		tick = event->order >> 1;
	if (tick < since)
		tick = since;
	event[-1].order = tick << 1;
}

static void decode_extras(struct event_decoder *decoder, const struct chunk *chunk,
			  struct event *events)
{
	const uint8_t *at = decoder->at[TRACE_COLUMN_EXTRA];
	const uint8_t *end = decoder->end[TRACE_COLUMN_EXTRA];

	for (size_t i = 0; i < chunk->n.extras; i++) {
		size_t index = chunk->extra[i];
		struct event *event = &events[index];
		uint8_t class = event_class[event->kind];
		uint64_t time = chunk->time[i], between;

		if (class == TRACE_CLASS_FAILED) {
			if (at >= end) {
				at = end + 1;
				break;
			}
			event->aux = *at++;
			continue;
		}
		between = varint(&at, end);
		time_release(event, between > time ? 0 : (time - between) << decoder->widen,
			     index > 1 ? events[index - 2].order >> 1 : decoder->floor);
		if (class == TRACE_CLASS_REMAP)
			event[-1].bytes = varint(&at, end);
	}
	decoder->at[TRACE_COLUMN_EXTRA] = at;
}

/* realloc(NULL, n) releases nothing: takes such halves out again. */
static size_t drop_empty(struct event *events, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		bool two = (events[i].has & HAS_TWO) != 0;
		bool empty = two && events[i].address == 0 &&
			     (events[i].op == EVENT_RELEASE || events[i].op == EVENT_UNMAP);

		if (kept != i)
			events[kept] = events[i];
		kept += !empty;
	}
	return kept;
}

/* All columns but SHAPE. Returns false when one is unsound: then nothing of the chunk is known. */
static bool decode_others(struct event_decoder *decoder, struct chunk *chunk, struct event *events)
{
	if (!decode_times(decoder, chunk, events))
		return false;
	/* Addresses follow from sizes. */
	decode_sizes(decoder, chunk, events);
	if (!decode_addresses(decoder, chunk, events))
		return false;
	decode_extras(decoder, chunk, events);
	for (size_t i = 0; i < TRACE_COLUMNS; i++)
		if (decoder->at[i] > decoder->end[i])
			return false;
	return true;
}

size_t event_decode_next(struct event_decoder *decoder, struct event *events, uint32_t *bad_records)
{
	struct chunk chunk;
	bool sound;

	*bad_records = 0;
	if (decoder->records_left == 0)
		return 0;
	sound = decode_shapes(decoder, &chunk, events);
	if (!decode_others(decoder, &chunk, events)) {
		*bad_records = decoder->records_left;
		decoder->records_left = 0;
		decoder->sound = false;
		return 0;
	}
	decoder->records_left -= (uint32_t)chunk.n.records;
	if (!sound) {
		*bad_records = decoder->records_left;
		decoder->records_left = 0;
		decoder->sound = false;
	}
	if (chunk.n.events == 0)
		return 0;
	decoder->floor = events[chunk.n.events - 1].order >> 1;
	return chunk.n.events == chunk.n.records ? chunk.n.events
						 : drop_empty(events, chunk.n.events);
}
