/*
 * From the columns of a segment's parts to the payload of an EVENTS segment: put together, and
 * compressed if that makes them shorter.
 */
#ifndef PACK_H
#define PACK_H

#include <stdbool.h>
#include <stddef.h>

#include "memprof/trace.h"

struct codec;
struct stage;

enum pack_likeness { PACK_MIXED, PACK_REGULAR, PACK_CHANCE };

/* What a ring's segments were like, and the next ones are expected to be. At first 0. */
struct pack_state {
	enum pack_likeness likeness;
	unsigned chance_left; /* segments, until it is looked at again */
};

/*
 * Packs what is in `stage`, with `with_codec` followed by the codec's own part. Fills column_bytes,
 * compression and stored of `head`; what is returned, `*bytes` long, is the codec's until its next
 * use. Never fails. `state` is the ring's.
 */
const void *pack_columns(struct codec *codec, const struct stage *stage, bool with_codec,
			 bool compress, struct pack_state *state, struct trace_events *head,
			 size_t *bytes);

#endif
