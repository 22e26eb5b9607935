/*
 * The stage of a ring: what was flushed and is not in an EVENTS segment yet, as columns that are
 * not compressed. It lies in the trace file like the ring's words, so a killed process leaves it
 * readable. Larger segments compress better and cost less: docs/encoding.md.
 */
#ifndef STAGE_H
#define STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "encode.h"
#include "memprof/trace.h"

struct codec; /* codec.h */

#define STAGE_PARTS_MAX 64

/* Where a part is, beside what the file says of it: anybody can write to a file. */
struct stage_part {
	uint32_t offset; /* of its first column */
	uint32_t column_bytes[TRACE_COLUMNS];
};

/* The owner's view; caller's storage. */
struct stage {
	uint8_t
	    *memory; /* RING_STAGE_BYTES, laid out as memprof/trace.h says of struct trace_part */
	size_t used; /* bytes; 0: nothing is in it */
	unsigned part_count;
	struct stage_part parts[STAGE_PARTS_MAX];
	struct encode_segment segment; /* in the making: what is in the stage, and the next part */
};

/* `memory` stays the caller's. */
void stage_init(struct stage *stage, uint8_t *memory);

static inline bool stage_is_empty(const struct stage *stage)
{
	return stage->used == 0;
}

/*
 * Puts the part that was encoded last into the stage; false, and nothing is changed, when there is
 * no room. It counts for readers as soon as the ring's `flushed` is moved to its end. Owner only.
 */
bool stage_add(struct stage *stage, const struct codec *codec);

/* Length of a column of all parts. */
size_t stage_column_bytes(const struct stage *stage, unsigned column);

/* Copies the first `max` bytes at most of a column of all parts to `to`; returns how many. */
size_t stage_column(const struct stage *stage, unsigned column, uint8_t *to, size_t max);

/* What was in the stage is in a segment now, or given up. Owner only. */
void stage_clear(struct stage *stage);

#endif
