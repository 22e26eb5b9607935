/*
 * What single segments say: one function a type, each checks all it takes over into the reader's
 * index. Used by the reader only.
 */
#ifndef TRACE_SEGMENTS_H
#define TRACE_SEGMENTS_H

#include "trace_reader.h"

/* No payload may be longer, nor decompress to more: the recorder's largest are far below. */
#define TRACE_PAYLOAD_BYTES_MAX (16U * 1024 * 1024)
#define TRACE_TICK_SHIFT_MAX	20

/* A buffer that is used again for each segment; owned by who walks. */
struct trace_scratch {
	uint8_t *bytes;
	size_t capacity;
};

/* Returns 0 or -ENOMEM. */
int trace_scratch_reserve(struct trace_scratch *scratch, size_t bytes);

/*
 * Takes the segment into the reader's index: PROCESS, MODULE, UNLOAD, EVENTS, NODES, WIDE (RING is
 * copied by trace_rings.h). A bad one is added to reader->damage. Returns 0 or -ENOMEM.
 */
int trace_segment_index(struct trace_reader *reader, const struct trace_head *head,
			struct trace_scratch *scratch);

/*
 * Adds an EVENTS payload, read at `offset`, to reader->events; `in_memory`: it is to be taken from
 * `payload`, which must stay. Returns 0, -EINVAL when it is unsound, -ENOMEM.
 */
int trace_segment_add_events(struct trace_reader *reader, const uint8_t *payload, size_t bytes,
			     uint64_t offset, bool in_memory);

/* Adds the segment to reader->damage. */
void trace_segment_bad(struct trace_reader *reader, const struct trace_head *head,
		       const char *what);

/* Makes room for one more of `bytes`; returns the array, which may have moved, or NULL. */
void *trace_grow(void *array, size_t count, size_t bytes);

#endif
