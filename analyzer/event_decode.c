#include "event_decode.h"

#include "event_usual.h"
#include "varint.h"

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
    [TRACE_CLASS_REALLOC] = {HAS_BLOCK | HAS_AUX | HAS_EXTRA | HAS_TWO,
			     EVENT_ACQUIRE | EVENT_SHAPE_RARE},
    [TRACE_CLASS_MAP] = {HAS_BLOCK, EVENT_MAP | EVENT_SHAPE_RARE},
    [TRACE_CLASS_UNMAP] = {HAS_ADDRESS | HAS_SIZE, EVENT_UNMAP | EVENT_SHAPE_RARE},
    [TRACE_CLASS_REMAP] = {HAS_BLOCK | HAS_AUX | HAS_EXTRA | HAS_TWO, EVENT_MAP | EVENT_SHAPE_RARE},
    [TRACE_CLASS_FAILED] = {HAS_SIZE | HAS_STACK | HAS_EXTRA, EVENT_FAILED | EVENT_SHAPE_RARE},
    [TRACE_CLASS_SAMPLE] = {HAS_SIZE, EVENT_SAMPLE | EVENT_SHAPE_RARE},
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
	shape->op = classes[class].op;
	shape->family = event_family[shape->kind];
	if (classes[class].has & HAS_STACK) {
		if (at >= end)
			return NULL;
		shape->aux = classes[class].has & HAS_AUX ? *at : 0;
		at++;
		decoder->stack += (uint32_t)unzigzag(varint(&at, end));
		shape->stack = decoder->stack;
	}
	decoder->at[TRACE_COLUMN_DEFINITION] = at;
	decoder->shape_count++;
	return shape;
}

/* The time of the next record. Returns false where it is none that a tick can have. */
static bool next_time(struct event_decoder *decoder)
{
	if (!decoder->runs) {
		decoder->step =
		    varint(&decoder->at[TRACE_COLUMN_TIME], decoder->end[TRACE_COLUMN_TIME]);
		decoder->same = 1;
	}
	decoder->time += decoder->step;
	if ((decoder->step | decoder->time) >> (EVENT_TICK_BITS - decoder->shift) != 0)
		return false;
	return !decoder->runs || next_run(decoder);
}

/* A byte of a column. */
static inline uint8_t next_byte(struct event_decoder *decoder, size_t column)
{
	const uint8_t **at = &decoder->at[column];

	if (*at < decoder->end[column])
		return *(*at)++;
	*at = decoder->end[column] + 1;
	return 0;
}

/* The next short of a column whose low bytes stand in another. */
static inline __attribute__((always_inline)) uint64_t next_short(struct event_decoder *decoder,
								 size_t column, size_t low)
{
	uint8_t byte = next_byte(decoder, column);

	if (byte < TRACE_SHORT_HIGH)
		return byte;
	if (byte == TRACE_SHORT_LONG)
		return varint(&decoder->at[column], decoder->end[column]);
	return (uint64_t)(byte - TRACE_SHORT_HIGH) << 8 | next_byte(decoder, low);
}

/* What FRESH or RELEASED has of the next address, of `event`, whose size is known. */
static uint64_t fresh_address(struct event_decoder *decoder, const struct event *event)
{
	bool released = event->op == EVENT_RELEASE || event->op == EVENT_UNMAP;
	size_t column = released ? TRACE_COLUMN_RELEASED : TRACE_COLUMN_FRESH;
	uint64_t code = next_byte(decoder, column), address;

	if (code & 0x80)
		code = (code & 0x7f) |
		       varint(&decoder->at[TRACE_COLUMN_FAR], decoder->end[TRACE_COLUMN_FAR]) << 7;
	address = decoder->bases[released] + (unzigzag(code >> 1) << 4);
	if (code & 1)
		address += next_byte(decoder, column) & 15;
	if (!released)
		decoder->bases[0] = event_chunk_end(address, event->bytes);
	else if (address != 0)
		decoder->bases[1] = address;
	return address;
}

/* The next address, of `event`, whose size is known. */
static inline uint64_t next_address(struct event_decoder *decoder, const struct event *event)
{
	uint64_t ago = next_short(decoder, TRACE_COLUMN_ADDRESS, TRACE_COLUMN_ADDRESS_LOW);
	uint64_t address = 0;

	if (ago == 0)
		address = fresh_address(decoder, event);
	else if (ago <= decoder->address_count)
		address = decoder->addresses[decoder->address_count - ago];
	else
		decoder->sound = false;
	decoder->addresses[decoder->address_count++] = address;
	return address;
}

static uint64_t next_size(struct event_decoder *decoder, struct event_shape *shape)
{
	uint64_t code = next_short(decoder, TRACE_COLUMN_SIZE, TRACE_COLUMN_SIZE_LOW);

	if (code == TRACE_SIZE_RAW)
		shape->size =
		    varint(&decoder->at[TRACE_COLUMN_SIZE], decoder->end[TRACE_COLUMN_SIZE]);
	else if (code != TRACE_SIZE_SAME)
		shape->size = code - TRACE_SIZE_BASE;
	return shape->size;
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
 * The rest of a record of two halves, of which events[1] has all but its address. Returns how many
 * events it is: realloc(NULL, n) releases nothing.
 */
static size_t decode_two(struct event_decoder *decoder, uint64_t since, struct event *events)
{
	struct event *old = &events[0], *fresh = &events[1];
	bool map = fresh->op == EVENT_MAP;

	*old = (struct event){
	    .kind = fresh->kind, .op = map ? EVENT_UNMAP : EVENT_RELEASE, .family = fresh->family};
	old->address = next_address(decoder, old);
	fresh->address = next_address(decoder, fresh);
	old->order = next_release(decoder, fresh, since) << 1;
	if (map)
		old->bytes =
		    varint(&decoder->at[TRACE_COLUMN_EXTRA], decoder->end[TRACE_COLUMN_EXTRA]);
	if (old->address != 0)
		return 2;
	*old = *fresh;
	return 1;
}

/* The shape of the next record; NULL when there is none. */
static struct event_shape *next_shape(struct event_decoder *decoder)
{
	uint64_t code = varint(&decoder->at[TRACE_COLUMN_SHAPE], decoder->end[TRACE_COLUMN_SHAPE]);

	if (code == 0)
		return define(decoder);
	return code <= decoder->shape_count ? &decoder->shapes[code - 1] : NULL;
}

/*
 * A record of any sort, whose time is known, after an event at tick `floor`. Returns how many
 * events it is; 0 when its shape is none.
 */
static size_t decode_any(struct event_decoder *decoder, struct event *events, uint64_t floor)
{
	struct event_shape *shape = next_shape(decoder);
	uint64_t tick = event_tick(decoder, floor);
	struct event *fresh;
	unsigned has;

	if (shape == NULL)
		return 0;
	decoder->same--;
	has = classes[event_class[shape->kind]].has;
	fresh = has & HAS_TWO ? events + 1 : events;
	*fresh = (struct event){.order = tick << 1 | ((has & IS_LATE) != 0)};
	event_take_shape(fresh, shape);
	fresh->op &= (uint8_t)~EVENT_SHAPE_RARE;
	/* Addresses follow from sizes. */
	if (has & HAS_SIZE)
		fresh->bytes = next_size(decoder, shape);
	if (has & HAS_TWO)
		return decode_two(decoder, floor, events);
	if (has & HAS_EXTRA)
		fresh->aux = next_byte(decoder, TRACE_COLUMN_EXTRA); /* the kind that failed */
	if (has & HAS_ADDRESS)
		fresh->address = next_address(decoder, fresh);
	return 1;
}

/* The tick of the event before `event`, or of the one before the chunk. */
static uint64_t floor_of(const struct event_decoder *decoder, const struct event *events,
			 const struct event *event)
{
	return event == events ? decoder->floor : event[-1].order >> 1;
}

/*
 * Decodes so many records, or up to a shape that does not exist: *records says how many. Returns
 * how many events they are; decoder->sound is false if nothing of the chunk is known.
 */
static size_t decode_records(struct event_decoder *decoder, struct event *events, size_t wanted,
			     size_t *records)
{
	struct event *event = events;
	size_t done = 0;

	while (done < wanted) {
		size_t usual =
		    event_usual(decoder, event, wanted - done, floor_of(decoder, events, event));
		size_t count;

		event += usual;
		done += usual;
		if (done == wanted)
			break;
		if (decoder->same == 0) {
			if (!next_time(decoder)) {
				decoder->sound = false;
				break;
			}
			if (decoder->runs)
				continue;
		}
		count = decode_any(decoder, event, floor_of(decoder, events, event));
		event += count;
		if (count == 0)
			break;
		done++;
	}
	for (size_t i = 0; i < TRACE_COLUMNS; i++)
		if (decoder->at[i] > decoder->end[i])
			decoder->sound = false;
	*records = done;
	return (size_t)(event - events);
}

size_t event_decode_next(struct event_decoder *decoder, struct event *events, uint32_t *bad_records)
{
	size_t wanted = decoder->records_left < EVENT_DECODE_RECORDS ? decoder->records_left
								     : EVENT_DECODE_RECORDS;
	size_t count, records;

	*bad_records = 0;
	if (wanted == 0)
		return 0;
	count = decode_records(decoder, events, wanted, &records);
	if (!decoder->sound) {
		count = 0;
		records = 0;
	}
	decoder->floor = floor_of(decoder, events, events + count);
	decoder->records_left -= (uint32_t)records;
	if (records < wanted) {
		*bad_records = decoder->records_left;
		decoder->records_left = 0;
		decoder->sound = false;
	}
	return count;
}
