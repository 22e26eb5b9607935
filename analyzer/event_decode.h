/*
 * From the bytes of EVENTS segments and the words of rings to events.
 *
 * An event here is one half: a realloc comes out as a release and an acquisition, for the two lie
 * at different moments and another thread's events may belong between them. `order` is what
 * merging compares: ticks shifted by the header's `tick_shift`, then releases before acquisitions.
 * A segment with a greater shift tells earlier times than were, never later ones.
 *
 * Segments are decoded a chunk at a time, which stays in the first-level cache: shapes and times by
 * event_chunk.c, then all but the rarest records in the loop of event_usual.c.
 */
#ifndef EVENT_DECODE_H
#define EVENT_DECODE_H

#include "event_segment.h"

#include <memprof/trace.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum event_op {
	EVENT_ACQUIRE,
	EVENT_RELEASE,
	EVENT_MAP,
	EVENT_UNMAP,
	EVENT_FAILED,
	EVENT_SAMPLE,
};

struct event {
	uint64_t order;	  /* merge ticks << 1 | 1 for ACQUIRE and MAP */
	uint64_t address; /* FAILED, SAMPLE: 0 */
	uint64_t bytes;	  /* SAMPLE: the value */
	uint32_t stack;
	uint8_t kind;	/* enum trace_event_kind */
	uint8_t op;	/* enum event_op */
	uint8_t aux;	/* FAILED: the kind that failed */
	uint8_t family; /* enum trace_family: of the kind */
};

/* Tables by kind number, from TRACE_EVENT_KINDS. */
extern const uint8_t event_class[256];	/* enum trace_event_class; NONE: no such kind */
extern const uint8_t event_family[256]; /* enum trace_family */

/*
 * Decodes the next chunk into events[EVENT_DECODE_EVENTS]; returns how many, 0 at the end. When the
 * columns turn out unsound it returns what came before and sets *bad_records to the number of
 * records that could not be read, the rest of the segment.
 */
size_t event_decode_next(struct event_decoder *decoder, struct event *events,
			 uint32_t *bad_records);

/* The words of a ring while they are decoded. */
struct event_words {
	const uint64_t *words;
	size_t count;
	size_t at;
	uint64_t records; /* decoded so far */
	uint64_t tick;	  /* of the record before; at first of what came before the words */
	unsigned merge_shift;
};

/*
 * Decodes records into events[EVENT_DECODE_EVENTS]; returns how many events, 0 at the end. Sets
 * *bad where a word is no event: nothing after it can be read.
 */
size_t event_words_next(struct event_words *words, struct event *events, bool *bad);

/* Words that the record beginning with `word` takes; 0: no such kind. */
size_t event_words_of(uint64_t word);

#endif
