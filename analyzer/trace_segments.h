/*
 * What single segments say: one function a type, each checks all it takes over into the reader's
 * index. Used by trace_reader.c only.
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

/*
 * Takes the segment into the reader's index: PROCESS, MODULE, UNLOAD, EVENTS, NODES, WIDE (RING is
 * copied by trace_segment_ring). A bad one is added to reader->damage. Returns 0 or -ENOMEM.
 */
int trace_segment_index(struct trace_reader *reader, const struct trace_head *head,
			struct trace_scratch *scratch);

/* Copies a ring so that control block and words belong together. Returns 0 or -ENOMEM. */
int trace_segment_ring(struct trace_reader *reader, const struct trace_head *head);

/* The ring with that index in the sorted reader->rings, or NULL. */
struct trace_ring_copy *trace_reader_ring(const struct trace_reader *reader, uint32_t index);

/* Makes room for one more of `bytes`; returns the array, which may have moved, or NULL. */
void *trace_grow(void *array, size_t count, size_t bytes);

#endif
