/*
 * Chunks of stack nodes, wherever they stand: in a segment of their own, packed, or in a window,
 * which holds one chunk after the other while the process runs.
 */
#ifndef TRACE_NODES_H
#define TRACE_NODES_H

#include "trace_reader.h"

#define TRACE_NODE_CHUNKS_MAX ((UINT32_C(1) << TRACE_NODE_PARENT_BITS) / TRACE_NODES_CHUNK_WORDS)

/* Takes a window, or a PACKED payload that is whole, into the index. 0, -EINVAL or -ENOMEM. */
int trace_nodes_add_window(struct trace_reader *reader, uint64_t offset);
int trace_nodes_add_packed(struct trace_reader *reader, size_t index, uint64_t offset,
			   uint64_t payload_bytes);

/* One more than the highest number of a chunk; 0: there is none. */
size_t trace_nodes_count(const struct trace_reader *reader);

/*
 * For a process that runs on: copies the windows as they are now, then looks for what was packed
 * meanwhile, so that every node that was in the file before this call is found after it. To be
 * called after the events were indexed. Returns 0 or -ENOMEM.
 */
int trace_nodes_settle(struct trace_reader *reader);

/* What reading one chunk after the other needs. Zeroed is empty; trace_nodes_scratch_fini() frees.
 */
struct trace_nodes_scratch {
	uint8_t *columns;
	uint8_t *payload;
	size_t payload_room;
	struct ZSTD_DCtx_s *zstd;
};
void trace_nodes_scratch_fini(struct trace_nodes_scratch *scratch);

/*
 * The words of chunk `index`, TRACE_NODES_CHUNK_WORDS of them, 0 for nodes that are not there.
 * Returns whether there is such a chunk at all; -ENOMEM.
 */
int trace_nodes_read(const struct trace_reader *reader, size_t index, uint64_t *words,
		     struct trace_nodes_scratch *scratch);

/* Whether a window has chunk `index`. */
bool trace_nodes_in_window(const struct trace_reader *reader, size_t index);

#endif
