/*
 * Stack nodes in the trace file. A node's word is in the file before anyone knows its id, so that
 * whatever becomes of the process, each id written in an event can be resolved.
 *
 * Chunk 0, which is all that most programs need, is a NODES segment. Later chunks are written into
 * windows, which are mapped once: when the last node of a chunk is there, whoever wrote it appends
 * the chunk packed, and the window goes to another chunk.
 */
#ifndef NODE_FILE_H
#define NODE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "node_pack.h"

/* Ids that have a place: id % TRACE_NODES_CHUNK_WORDS is not below this. */
#define NODE_FILE_FIRST NODE_PACK_FIRST

/*
 * Makes the first chunk of the trace file now open, having forgotten the first `used` chunks of the
 * one before. 0 or -ENOSPC.
 */
int node_file_init(uint32_t used);

/* Keeps full chunks as they are, so that node_file_read() finds them. */
void node_file_keep(void);

/* Whether what is packed is compressed; it is at first. */
void node_file_compress(bool compress);

/*
 * Writes the word of node `id`, which is given to one caller only. false: no room. Any thread, any
 * signal context; takes file space every 8183 nodes.
 */
bool node_file_write(uint32_t id, uint64_t word);

/* The word of a node whose chunk is not packed; 0: none. Any thread. */
uint64_t node_file_read(uint32_t id);

#endif
