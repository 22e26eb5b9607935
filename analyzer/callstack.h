/*
 * Recorded stack ids to sites.
 *
 * The recorder's lock-free interning may give one stack two ids, when two threads met it at once.
 * Here every id is made canonical: nodes with equal (canonical parent, pc, epoch) are one. A site
 * is the canonical node that an event named, numbered from 0 in order of first use.
 *
 * Memory grows with the stacks of the file. Chunks are read when an id first asks for them.
 */
#ifndef CALLSTACK_H
#define CALLSTACK_H

#include <memprof/trace.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace_reader;

/* One return address and the code epoch it is of. */
struct callstack_pc {
	uint64_t pc;
	uint32_t epoch;
};

/* What is known of 8192 ids. */
struct callstack_chunk {
	uint32_t site[TRACE_NODES_CHUNK_WORDS];	     /* site + 1; 0: not asked yet */
	uint32_t canonical[TRACE_NODES_CHUNK_WORDS]; /* canonical node + 1; 0: not asked yet */
	uint64_t words[TRACE_NODES_CHUNK_WORDS];
};

struct callstack_node {
	uint64_t pc;
	uint32_t epoch;
	uint32_t parent; /* canonical node; node 0 is the root */
	uint32_t depth;
};

struct callstack_table {
	const struct trace_reader *reader;
	struct callstack_chunk **chunks;
	size_t chunk_count;
	struct callstack_node *nodes;
	size_t node_count;
	uint32_t *index; /* open addressing: canonical node, 0 empty */
	size_t index_size;
	uint32_t *site_node; /* canonical node of each site */
	uint32_t *node_site; /* site + 1 by canonical node; grows with nodes */
	size_t site_count;
	uint64_t unresolved; /* ids that the file does not hold, or not all of */
};

/* `reader` must outlive the table. Returns 0 or -ENOMEM; callstack_fini() frees. */
int callstack_init(struct callstack_table *table, const struct trace_reader *reader);
void callstack_fini(struct callstack_table *table);

/* The slow way of callstack_site(). */
int callstack_site_new(struct callstack_table *table, uint32_t id, uint32_t *site);

/*
 * The site of a recorded id. Every id has one: where the file does not tell, that of as much of
 * the stack as it does tell, at worst the empty one. Returns 0 or -ENOMEM.
 */
static inline int callstack_site(struct callstack_table *table, uint32_t id, uint32_t *site)
{
	size_t chunk = id / TRACE_NODES_CHUNK_WORDS;

	if (chunk < table->chunk_count && table->chunks[chunk] != NULL) {
		uint32_t known = table->chunks[chunk]->site[id % TRACE_NODES_CHUNK_WORDS];

		if (known != 0) {
			*site = known - 1;
			return 0;
		}
	}
	return callstack_site_new(table, id, site);
}

/* Frames of the site's stack. */
size_t callstack_depth(const struct callstack_table *table, uint32_t site);

/* Writes the return addresses, innermost first; `pcs` has callstack_depth() entries. */
void callstack_pcs(const struct callstack_table *table, uint32_t site, struct callstack_pc *pcs);

#endif
