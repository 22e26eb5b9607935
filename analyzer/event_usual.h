/*
 * The loop through nearly all records of a chunk, and what it shares with event_decode.c.
 *
 * Few columns are asked for their end in it: event_decode.c does that when a chunk is through, and
 * what is read till then lies in the padding behind the columns, or in another column.
 */
#ifndef EVENT_USUAL_H
#define EVENT_USUAL_H

#include "event_chunk.h"
#include "event_decode.h"

#include <string.h>

/*
 * Decodes the records from `at` on, up to the first that is neither an acquisition nor a release
 * nor a realloc, into *events, which is moved on. Returns the number of that record, or
 * chunk->records; decoder->sound is false if one cannot be.
 */
size_t event_usual(struct event_decoder *decoder, struct event_chunk *chunk, size_t at,
		   struct event **events);

/*
 * When the first half of a record of two was, of which orders[0] is the second's: not after that,
 * and not before what its thread did last. Returns an order of what acquires.
 */
uint64_t event_release_order(struct event_decoder *decoder, const uint64_t *orders);

/* Gives an event all that it has of its shape, as it stands there. */
static inline void event_take_shape(struct event *event, const struct event_shape *shape)
{
	enum { BYTES = sizeof(*event) - offsetof(struct event, stack) };

	_Static_assert(BYTES == sizeof(*shape) - offsetof(struct event_shape, stack) &&
			   offsetof(struct event, family) - offsetof(struct event, stack) ==
			       offsetof(struct event_shape, family) -
				   offsetof(struct event_shape, stack),
		       "the fields of both are in one order");
	memcpy(&event->stack, &shape->stack, BYTES);
}

/* Where the block after one of `bytes` at `address` is expected. */
static inline uint64_t event_chunk_end(uint64_t address, uint64_t bytes)
{
	uint64_t chunk = (bytes + TRACE_CHUNK_HEAD + 15) & ~15ULL;

	return address + (chunk > TRACE_CHUNK_LEAST ? chunk : TRACE_CHUNK_LEAST);
}

#endif
