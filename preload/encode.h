/*
 * From a ring's words to the columns of an EVENTS segment, part by part. The layout is that of
 * memprof/trace.h; docs/trace-format.md explains it.
 */
#ifndef ENCODE_H
#define ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memprof/trace.h"

struct codec;	      /* codec.h */
struct encode_tables; /* encode_tables.h */

/* An EVENTS segment in the making: its head as far as known, and where its times stand. */
struct encode_segment {
	struct trace_events head;
	uint64_t latest; /* highest first word; its kind does not matter */
	uint32_t same;	 /* RUNS: events since the time last changed */
};

/*
 * Whether the events from position `from` on can go into the segment, which is of the same ring:
 * its last part ends there, its times lose their lowest `shift` bits, and the ring's tables are
 * still those it was encoded with.
 */
bool encode_fits(const struct encode_segment *segment, const struct encode_tables *tables,
		 uint64_t from, unsigned shift);

/*
 * Begins a segment whose head has ring, thread, from and so on; fills the rest of the head but for
 * what the events add, and what packing does. It goes on with the group of the ring's last segment
 * if it can. A ring's segments are encoded by one thread at a time.
 */
void encode_begin(struct encode_segment *segment, struct encode_tables *tables, unsigned shift);

/*
 * Encodes the next `count` words (at most RING_WORDS) of the segment into the codec's columns, and
 * fills its part; the segment's head then counts their events. Stops before words that are no
 * event. Never fails.
 */
void encode_part(struct encode_segment *segment, struct encode_tables *tables, struct codec *codec,
		 const uint64_t *words, size_t count);

#endif
