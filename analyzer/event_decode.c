/*
 * Varints are LEB128. Most are one byte; the others are taken in one unaligned load of eight, whose
 * sevens are moved together with three shifts instead of a loop (the branch that ends such a loop
 * is mispredicted half of the time on mixed lengths). Buffers are padded for that load.
 */
#include "event_decode.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

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

/* What a record of each class has; the order of the bits is that of the columns. */
enum {
	HAS_ADDRESS = 1,
	HAS_SIZE = 2,
	HAS_STACK = 4,
	HAS_EXTRA = 8,
	HAS_TWO = 16, /* two halves */
	IS_LATE = 32, /* acquires: later than a release at the same tick */
};

static const struct {
	uint8_t has;
	uint8_t op;
} classes[] = {
    [TRACE_CLASS_ACQUIRE] = {HAS_ADDRESS | HAS_SIZE | HAS_STACK | HAS_EXTRA | IS_LATE,
			     EVENT_ACQUIRE},
    [TRACE_CLASS_RELEASE] = {HAS_ADDRESS, EVENT_RELEASE},
    [TRACE_CLASS_REALLOC] = {HAS_ADDRESS | HAS_SIZE | HAS_STACK | HAS_EXTRA | HAS_TWO | IS_LATE,
			     EVENT_ACQUIRE},
    [TRACE_CLASS_MAP] = {HAS_ADDRESS | HAS_SIZE | HAS_STACK | IS_LATE, EVENT_MAP},
    [TRACE_CLASS_UNMAP] = {HAS_ADDRESS | HAS_SIZE, EVENT_UNMAP},
    [TRACE_CLASS_REMAP] = {HAS_ADDRESS | HAS_SIZE | HAS_STACK | HAS_EXTRA | HAS_TWO | IS_LATE,
			   EVENT_MAP},
    [TRACE_CLASS_FAILED] = {HAS_SIZE | HAS_STACK | HAS_EXTRA, EVENT_FAILED},
    [TRACE_CLASS_SAMPLE] = {HAS_SIZE, EVENT_SAMPLE},
};

static int reserve(uint8_t **buffer, size_t *capacity, size_t bytes)
{
	uint8_t *larger;

	if (bytes <= *capacity)
		return 0;
	larger = realloc(*buffer, bytes);
	if (larger == NULL)
		return -ENOMEM;
	*buffer = larger;
	*capacity = bytes;
	return 0;
}

int event_buffers_reserve(struct event_buffers *buffers, size_t bytes)
{
	return reserve(&buffers->payload, &buffers->payload_capacity, bytes + EVENT_DECODE_PADDING);
}

static int reserve_columns(struct event_buffers *buffers, size_t bytes)
{
	size_t had = buffers->columns_capacity;
	int rc;

	if (bytes > had && bytes - had > buffers->shared->room)
		return -EINVAL;
	rc = reserve(&buffers->columns, &buffers->columns_capacity, bytes);
	buffers->shared->room -= buffers->columns_capacity - had;
	return rc;
}

void event_buffers_fini(struct event_buffers *buffers)
{
	free(buffers->payload);
	free(buffers->columns);
	buffers->shared->room += buffers->columns_capacity;
	*buffers = (struct event_buffers){.shared = buffers->shared};
}

int event_decode_begin(struct event_decoder *decoder, struct event_buffers *buffers, size_t bytes,
		       unsigned merge_shift)
{
	const uint8_t *columns = buffers->payload + sizeof(struct trace_events);
	struct trace_events head;
	size_t total = 0;

	if (bytes < sizeof(head))
		return -EINVAL;
	memcpy(&head, buffers->payload, sizeof(head));
	for (size_t i = 0; i < TRACE_COLUMNS; i++)
		total += head.column_bytes[i];
	if (head.tick_shift > merge_shift || head.column_bytes[TRACE_COLUMN_KIND] != head.events)
		return -EINVAL;
	if (head.compression == TRACE_COMPRESSION_ZSTD) {
		int rc = reserve_columns(buffers, total + EVENT_DECODE_PADDING);

		if (rc != 0)
			return rc;
		if (ZSTD_decompressDCtx(buffers->shared->zstd, buffers->columns, total, columns,
					bytes - sizeof(head)) != total)
			return -EINVAL;
		columns = buffers->columns;
		memset(buffers->columns + total, 0, EVENT_DECODE_PADDING);
	} else if (head.compression != TRACE_COMPRESSION_NONE || total > bytes - sizeof(head)) {
		return -EINVAL;
	}
	for (size_t i = 0; i < TRACE_COLUMNS; i++) {
		decoder->at[i] = columns;
		columns += head.column_bytes[i];
		decoder->end[i] = columns;
	}
	decoder->time = 0;
	decoder->address = 0;
	decoder->stack = 0;
	decoder->records_left = head.events;
	decoder->widen = merge_shift - head.tick_shift;
	return 0;
}

/* More than eight bytes, or not ended: the slow and rare way. */
static uint64_t varint_long(const uint8_t **at, const uint8_t *end)
{
	uint64_t value = 0;
	const uint8_t *p = *at;

	for (unsigned shift = 0; p < end; shift += 7) {
		uint8_t byte = *p++;

		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80 || shift >= 63) {
			*at = p;
			return value;
		}
	}
	/* Ran out: one past the end tells the caller. */
	*at = end + 1;
	return 0;
}

/* The next varint. At most EVENT_DECODE_PADDING bytes past `end` are read; *at > end tells it. */
static inline __attribute__((always_inline)) uint64_t varint(const uint8_t **at, const uint8_t *end)
{
	const uint8_t *p = *at;
	uint64_t word, stop;

	if (__builtin_expect(p >= end, 0)) {
		*at = end + 1;
		return 0;
	}
	if (*p < 0x80) {
		*at = p + 1;
		return *p;
	}
	memcpy(&word, p, sizeof(word));
	word = le64toh(word);
	stop = ~word & 0x8080808080808080ULL;
	if (__builtin_expect(stop == 0, 0))
		return varint_long(at, end);
	*at = p + (__builtin_ctzll(stop) >> 3) + 1;
	word &= (stop ^ (stop - 1)) & 0x7f7f7f7f7f7f7f7fULL;
	word = (word & 0x007f007f007f007fULL) | (word & 0x7f007f007f007f00ULL) >> 1;
	word = (word & 0x00003fff00003fffULL) | (word & 0x3fff00003fff0000ULL) >> 2;
	return (word & 0x000000000fffffffULL) | (word & 0x0fffffff00000000ULL) >> 4;
}

static inline uint64_t unzigzag(uint64_t n)
{
	return n >> 1 ^ -(n & 1);
}

static inline uint64_t address_difference(uint64_t coded)
{
	uint64_t value = unzigzag(coded >> 1);

	return coded & 1 ? value : value << 4;
}

/* Which events of a chunk take part in a column: indices into the output. */
struct chunk {
	size_t records;
	size_t events;
	size_t addresses, sizes, stacks, extras;
	uint16_t main[EVENT_DECODE_RECORDS];
	uint16_t address[EVENT_DECODE_RECORDS];
	uint16_t size[EVENT_DECODE_RECORDS];
	uint16_t stack[EVENT_DECODE_RECORDS];
	uint16_t extra[EVENT_DECODE_RECORDS]; /* numbers of records, not of events */
	uint64_t time[EVENT_DECODE_RECORDS];  /* in the segment's own shift */
};

/* Returns false at a kind that does not exist; the chunk ends before it. */
static bool decode_kinds(struct event_decoder *decoder, struct chunk *chunk, struct event *events)
{
	const uint8_t *kinds = decoder->at[TRACE_COLUMN_KIND];
	size_t wanted = decoder->records_left < EVENT_DECODE_RECORDS ? decoder->records_left
								     : EVENT_DECODE_RECORDS;
	size_t addresses = 0, sizes = 0, stacks = 0, extras = 0, out = 0, i;

	for (i = 0; i < wanted; i++) {
		uint8_t kind = kinds[i];
		uint8_t class = event_class[kind];
		uint8_t has = classes[class].has;
		struct event *event;

		if (class == TRACE_CLASS_NONE)
			break;
		out += (has & HAS_TWO) != 0;
		event = &events[out];
		*event = (struct event){
		    .order = (has & IS_LATE) != 0, .kind = kind, .op = classes[class].op};
		chunk->main[i] = (uint16_t)out;
		chunk->address[addresses] = (uint16_t)out;
		addresses += (has & HAS_ADDRESS) != 0;
		chunk->size[sizes] = (uint16_t)out;
		sizes += (has & HAS_SIZE) != 0;
		chunk->stack[stacks] = (uint16_t)out;
		stacks += (has & HAS_STACK) != 0;
		chunk->extra[extras] = (uint16_t)i;
		extras += (has & HAS_EXTRA) != 0;
		out++;
	}
	chunk->records = i;
	chunk->events = out;
	chunk->addresses = addresses;
	chunk->sizes = sizes;
	chunk->stacks = stacks;
	chunk->extras = extras;
	decoder->at[TRACE_COLUMN_KIND] += i;
	return i == wanted;
}

static void decode_times(struct event_decoder *decoder, struct chunk *chunk, struct event *events)
{
	const uint8_t *at = decoder->at[TRACE_COLUMN_TIME];
	const uint8_t *end = decoder->end[TRACE_COLUMN_TIME];
	uint64_t time = decoder->time;
	unsigned widen = decoder->widen;

	for (size_t i = 0; i < chunk->records; i++) {
		time += varint(&at, end);
		chunk->time[i] = time;
		events[chunk->main[i]].order |= time >> widen << 1;
	}
	decoder->at[TRACE_COLUMN_TIME] = at;
	decoder->time = time;
}

static void decode_addresses(struct event_decoder *decoder, const struct chunk *chunk,
			     struct event *events)
{
	const uint8_t *at = decoder->at[TRACE_COLUMN_ADDRESS];
	const uint8_t *end = decoder->end[TRACE_COLUMN_ADDRESS];
	uint64_t address = decoder->address;

	for (size_t i = 0; i < chunk->addresses; i++) {
		address += address_difference(varint(&at, end));
		events[chunk->address[i]].address = address;
	}
	decoder->at[TRACE_COLUMN_ADDRESS] = at;
	decoder->address = address;
}

static void decode_sizes(struct event_decoder *decoder, const struct chunk *chunk,
			 struct event *events)
{
	const uint8_t *at = decoder->at[TRACE_COLUMN_SIZE];
	const uint8_t *end = decoder->end[TRACE_COLUMN_SIZE];

	for (size_t i = 0; i < chunk->sizes; i++)
		events[chunk->size[i]].bytes = varint(&at, end);
	decoder->at[TRACE_COLUMN_SIZE] = at;
}

static void decode_stacks(struct event_decoder *decoder, const struct chunk *chunk,
			  struct event *events)
{
	const uint8_t *at = decoder->at[TRACE_COLUMN_STACK];
	const uint8_t *end = decoder->end[TRACE_COLUMN_STACK];
	uint64_t stack = decoder->stack;

	for (size_t i = 0; i < chunk->stacks; i++) {
		stack += unzigzag(varint(&at, end));
		events[chunk->stack[i]].stack = (uint32_t)stack;
	}
	decoder->at[TRACE_COLUMN_STACK] = at;
	decoder->stack = stack;
}

/*
 * Fills in the release half, which stands before `event`. It cannot be older than what its thread
 * did before; `since` is that order.
 */
static void release_half(struct event *event, uint64_t old, uint64_t released, uint64_t since)
{
	struct event *release = event - 1;
	uint64_t floor = since >> 1;
	uint64_t tick = released;

	if (tick > event->order >> 1)
		tick = event->order >> 1;
	if (tick < floor)
		tick = floor;
	*release = (struct event){.order = tick << 1,
				  .address = old,
				  .kind = event->kind,
				  .op = event->op == EVENT_MAP ? EVENT_UNMAP : EVENT_RELEASE};
}

static void decode_extras(struct event_decoder *decoder, const struct chunk *chunk,
			  struct event *events)
{
	const uint8_t *at = decoder->at[TRACE_COLUMN_EXTRA];
	const uint8_t *end = decoder->end[TRACE_COLUMN_EXTRA];

	for (size_t i = 0; i < chunk->extras; i++) {
		uint64_t time = chunk->time[chunk->extra[i]];
		size_t index = chunk->main[chunk->extra[i]];
		struct event *event = &events[index];
		uint8_t class = event_class[event->kind];
		uint64_t between, old;

		if (at >= end) {
			at = end + 1;
			break;
		}
		event->aux = *at++;
		if ((classes[class].has & HAS_TWO) == 0)
			continue;
		between = varint(&at, end);
		old = event->address + address_difference(varint(&at, end));
		release_half(event, old, between > time ? 0 : (time - between) >> decoder->widen,
			     index > 1 ? events[index - 2].order : 0);
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
		bool two = (classes[event_class[events[i].kind]].has & HAS_TWO) != 0;
		bool empty = two && events[i].address == 0 &&
			     (events[i].op == EVENT_RELEASE || events[i].op == EVENT_UNMAP);

		if (kept != i)
			events[kept] = events[i];
		kept += !empty;
	}
	return kept;
}

size_t event_decode_next(struct event_decoder *decoder, struct event *events, uint32_t *bad_records)
{
	struct chunk chunk;
	bool sound;
	size_t two;

	*bad_records = 0;
	if (decoder->records_left == 0)
		return 0;
	sound = decode_kinds(decoder, &chunk, events);
	two = chunk.events - chunk.records;
	decode_times(decoder, &chunk, events);
	decode_addresses(decoder, &chunk, events);
	decode_sizes(decoder, &chunk, events);
	decode_stacks(decoder, &chunk, events);
	decode_extras(decoder, &chunk, events);
	for (size_t i = 0; i < TRACE_COLUMNS; i++)
		if (decoder->at[i] > decoder->end[i]) {
			/* A column ended too early: nothing of this chunk can be told apart. */
			*bad_records = decoder->records_left;
			decoder->records_left = 0;
			return 0;
		}
	decoder->records_left -= (uint32_t)chunk.records;
	if (!sound) {
		*bad_records = decoder->records_left;
		decoder->records_left = 0;
	}
	return two == 0 ? chunk.events : drop_empty(events, chunk.events);
}
