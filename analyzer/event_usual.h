/*
 * The loop through most records of a segment, and what it shares with event_decode.c.
 *
 * No column is asked for its end in it: event_decode.c does that when a chunk is through, and what
 * is read till then lies in the padding behind the columns, or in another column.
 */
#ifndef EVENT_USUAL_H
#define EVENT_USUAL_H

#include "event_decode.h"

#include <string.h>

/*
 * Decodes records that are like most, at most `count`, each into one event; the one before them was
 * at tick `floor`. Returns how many; of the next one nothing but its time may have been taken.
 */
size_t event_usual(struct event_decoder *decoder, struct event *events, size_t count,
		   uint64_t floor);

/* The merge tick of decoder->time. A coarse segment may seem to begin before what came before. */
static inline uint64_t event_tick(const struct event_decoder *decoder, uint64_t floor)
{
	uint64_t tick = decoder->time << decoder->widen;

	return tick < floor ? floor : tick;
}

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
