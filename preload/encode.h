/*
 * From a ring's words to the columns of an EVENTS segment, compressed. The layout is that of
 * memprof/trace.h; docs/trace-format.md explains it.
 */
#ifndef ENCODE_H
#define ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memprof/trace.h"

struct codec; /* codec.h */

/* In a forked child: what other threads had is nobody's, and no ring goes on. */
void encode_forked(void);

/*
 * Encodes the `count` words (at most RING_WORDS) at `words`; times lose their lowest `shift` bits.
 * head->ring, `from` and `to` tell which group the segment goes on with (from < to; else it begins
 * one); that ring's segments are to be encoded by one thread at a time. Fills the fields that
 * follow from them (events, first_tick, last_tick, column_bytes, compression, flags, tick_shift,
 * stored) and sets `*bytes` to the length of the encoded columns, which stay the codec's until its
 * next use. Never fails: what does not compress is stored as it is. Stops before words that are no
 * event: then `events` tells.
 */
const void *encode_words(struct codec *codec, const uint64_t *words, size_t count, unsigned shift,
			 bool compress, struct trace_events *head, size_t *bytes);

/* Words an event takes whose first word is `first`; 0 for one that is no event. */
size_t event_words(uint64_t first);

#endif
