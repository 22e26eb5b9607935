/*
 * A full chunk of stack nodes, made into the columns of a PACKED segment: about one byte a node
 * where it was eight, because most nodes are the child of the one before, and few pcs make up most
 * stacks.
 */
#ifndef NODE_PACK_H
#define NODE_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memprof/trace.h"

#define NODE_PACK_FIRST (TRACE_WINDOW_CHUNK_WORD + 1) /* word of a chunk's first node */
#define NODE_PACK_NODES (TRACE_NODES_CHUNK_WORDS - NODE_PACK_FIRST)

/* Working memory, some 700 KiB of pages of which a third is touched; the caller's to map. */
struct node_pack;
extern const size_t node_pack_bytes;

/*
 * Packs the chunk whose words are at `words` and whose number is `chunk`. Fills `head`; returns the
 * columns, which stand in `pack`, and their length. Never fails: what does not compress is stored
 * as it is. Any thread, signal-safe.
 */
const void *node_pack(struct node_pack *pack, const uint64_t *words, uint32_t chunk, bool compress,
		      struct trace_packed_nodes *head, size_t *bytes);

#endif
