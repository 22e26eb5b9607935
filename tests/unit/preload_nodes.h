/* Chunks of stack nodes in a trace file, unpacked as include/memprof/trace.h describes them. */
#ifndef PRELOAD_NODES_H
#define PRELOAD_NODES_H

#include <zstd.h>

#include "preload_support.h"

#define NODES_CHUNK TRACE_NODES_CHUNK_WORDS
#define NODES_FIRST (TRACE_WINDOW_CHUNK_WORD + 1) /* of a chunk's words that is a node's */

static inline uint64_t nodes_varint(const uint8_t **next)
{
	uint64_t value = 0;

	for (unsigned shift = 0;; shift += 7) {
		value |= (uint64_t)(**next & 0x7f) << shift;
		if (*(*next)++ < 0x80)
			return value;
	}
}

/* The columns of a PACKED segment, valid until the next call; `next` gets where each begins. */
static inline void nodes_columns(const struct support_segment *segment,
				 struct trace_packed_nodes *head,
				 const uint8_t *next[TRACE_NODE_COLUMNS])
{
	static uint8_t columns[NODES_CHUNK * 30];
	const uint8_t *packed = segment->payload + sizeof(*head);
	size_t bytes = segment->head.payload_bytes - sizeof(*head), at = 0;

	memcpy(head, segment->payload, sizeof(*head));
	if (head->compression == TRACE_COMPRESSION_ZSTD) {
		bytes = ZSTD_decompress(columns, sizeof(columns), packed, bytes);
		ck_assert(!ZSTD_isError(bytes));
	} else {
		memcpy(columns, packed, bytes);
	}
	for (unsigned i = 0; i < TRACE_NODE_COLUMNS; i++) {
		next[i] = columns + at;
		at += head->column_bytes[i];
	}
	ck_assert_uint_eq(at, bytes);
}

/* The words of a PACKED segment's nodes, at their places in the chunk. */
static inline void nodes_unpack(const struct support_segment *segment, uint64_t words[NODES_CHUNK])
{
	static uint64_t codes[NODES_CHUNK];
	const uint8_t *next[TRACE_NODE_COLUMNS];
	struct trace_packed_nodes head;
	uint64_t code = 0;
	size_t count = 0;

	nodes_columns(segment, &head, next);
	ck_assert_uint_eq(head.nodes, NODES_CHUNK - NODES_FIRST);
	for (uint32_t word = NODES_FIRST; word < NODES_CHUNK; word++) {
		uint64_t id = (uint64_t)segment->head.index * NODES_CHUNK + word;
		uint64_t parent = id - nodes_varint(&next[TRACE_NODE_COLUMN_PARENT]) - 1;
		uint64_t number = nodes_varint(&next[TRACE_NODE_COLUMN_CODE]);

		if (!number) {
			uint64_t delta = nodes_varint(&next[TRACE_NODE_COLUMN_DEFINITION]);

			code += delta >> 1 ^ -(delta & 1);
			codes[count] = code;
			number = ++count;
		}
		ck_assert_uint_le(number, count);
		words[word] = parent << 38 | codes[number - 1];
	}
}

#endif
