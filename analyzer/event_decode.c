#include "event_decode.h"

#include "event_columns.h"
#include "event_shape.h"
#include "event_usual.h"

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

/* What FRESH or RELEASED has of the next address, of `event`, whose size is known. */
static uint64_t fresh_address(struct event_decoder *decoder, const struct event *event)
{
	bool released = event->op == EVENT_RELEASE || event->op == EVENT_UNMAP;
	size_t column = released ? TRACE_COLUMN_RELEASED : TRACE_COLUMN_FRESH;
	uint64_t code = event_byte(decoder, column), address;

	if (code & 0x80)
		code = (code & 0x7f) | event_varint(decoder, TRACE_COLUMN_FAR) << 7;
	address = decoder->bases[released] + (unzigzag(code >> 1) << 4);
	if (code & 1)
		address += event_byte(decoder, column) & 15;
	if (!released)
		decoder->bases[0] = event_chunk_end(address, event->bytes);
	else if (address != 0)
		decoder->bases[1] = address;
	return address;
}

/* The next address, of `event`, whose size is known. */
static inline uint64_t next_address(struct event_decoder *decoder, const struct event *event)
{
	uint64_t ago = event_short(decoder, TRACE_COLUMN_ADDRESS, TRACE_COLUMN_ADDRESS_LOW);
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

/* The rest of a REMAP, of which events[1] has all but its address. Returns how many events it is.
 */
static size_t decode_remap(struct event_decoder *decoder, struct event *events,
			   const uint64_t *orders)
{
	struct event *old = &events[0], *fresh = &events[1];

	*old = (struct event){.kind = fresh->kind, .op = EVENT_UNMAP, .family = fresh->family};
	old->address = next_address(decoder, old);
	fresh->address = next_address(decoder, fresh);
	old->order = event_release_order(decoder, orders) - 1;
	old->bytes = event_varint(decoder, TRACE_COLUMN_EXTRA);
	if (old->address != 0)
		return 2;
	*old = *fresh;
	return 1;
}

/*
 * A record of any sort but a realloc; orders[0] is that of what it acquires, before it that of the
 * event before. Returns how many events it is.
 */
static size_t decode_any(struct event_decoder *decoder, struct event *events,
			 struct event_shape *shape, const uint64_t *orders)
{
	unsigned has = event_shape_has(shape);
	struct event *fresh = has & HAS_TWO ? events + 1 : events;

	*fresh = (struct event){.order = has & IS_LATE ? orders[0] : orders[0] - 1};
	event_take_shape(fresh, shape);
	fresh->op &= (uint8_t)~EVENT_SHAPE_RARE;
	/* Addresses follow from sizes. */
	if (has & HAS_SIZE)
		fresh->bytes = event_size(decoder, shape);
	if (has & HAS_TWO)
		return decode_remap(decoder, events, orders);
	if (has & HAS_EXTRA)
		fresh->aux = event_byte(decoder, TRACE_COLUMN_EXTRA); /* the kind that failed */
	if (has & HAS_ADDRESS)
		fresh->address = next_address(decoder, fresh);
	return 1;
}

/*
 * Decodes so many records, or up to a shape that does not exist: *records says how many. Returns
 * how many events they are; decoder->sound is false if nothing of the chunk is known.
 */
static size_t decode_records(struct event_decoder *decoder, struct event *events, size_t wanted,
			     size_t *records)
{
	struct event_chunk chunk;
	struct event *event = events;
	size_t done = 0;

	if (!event_chunk_begin(decoder, &chunk, wanted, decoder->floor))
		decoder->sound = false;
	while (decoder->sound && done < chunk.records) {
		done = event_usual(decoder, &chunk, done, &event);
		if (!decoder->sound || done == chunk.records)
			break;
		event += decode_any(decoder, event, &decoder->shapes[chunk.shapes[done] - 1],
				    &chunk.orders[1 + done]);
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
	if (count != 0)
		decoder->floor = events[count - 1].order >> 1;
	decoder->records_left -= (uint32_t)records;
	if (records < wanted) {
		*bad_records = decoder->records_left;
		decoder->records_left = 0;
		decoder->sound = false;
	}
	return count;
}
