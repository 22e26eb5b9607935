/*
 * What is known of a chunk's records before the first is decoded: their shapes and times, each a
 * column of its own, which many records share the work of.
 */
#ifndef EVENT_CHUNK_H
#define EVENT_CHUNK_H

#include "event_segment.h"

#define EVENT_CHUNK_SLACK 3 /* orders that nobody asks for */

struct event_chunk {
	uint32_t shapes[EVENT_DECODE_RECORDS]; /* the number of each one's shape, plus 1 */
	/* Of what each acquires; before them that of the event before the chunk. */
	uint64_t orders[1 + EVENT_DECODE_RECORDS + EVENT_CHUNK_SLACK];
	size_t records; /* that have a shape */
};

/*
 * Takes shapes and times of so many records, or shapes up to one that does not exist; the event
 * before them was at tick `floor`. Returns false if a time is none that a tick can have.
 */
bool event_chunk_begin(struct event_decoder *decoder, struct event_chunk *chunk, size_t records,
		       uint64_t floor);

#endif
