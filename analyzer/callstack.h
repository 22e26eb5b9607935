/*
 * Recorded stack ids to sites.
 *
 * A site is an id that an event named, numbered from 0 in order of first use. The recorder's
 * lock-free interning may give one stack two ids, when two threads met it at once: such sites are
 * told apart here, and are one by how their stacks look (site_stacks.h).
 *
 * Memory grows with the stacks of the file. Chunks are read when an id first asks for them.
 */
#ifndef CALLSTACK_H
#define CALLSTACK_H

#include <memprof/trace.h>

#include "huge.h"
#include "trace_nodes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace_reader;

#define CALLSTACK_ROOT	    0 /* the node of an empty stack */
#define CALLSTACK_NO_CODE   UINT32_MAX
#define CALLSTACK_DEPTH_MAX 1024 /* greatest MEMPROF_DEPTH; bounds what chains and cycles cost */

/* One return address and the code epoch it is of. */
struct callstack_pc {
	uint64_t pc;
	uint32_t epoch;
};

/* What is known of 8192 ids. */
struct callstack_chunk {
	uint64_t words[TRACE_NODES_CHUNK_WORDS];	/* as recorded, until resolved; first */
	uint32_t site_1[TRACE_NODES_CHUNK_WORDS];	/* number of the site + 1; 0: of none */
	uint16_t state[TRACE_NODES_CHUNK_WORDS];	/* frames + 1 and marks; 0: not resolved */
	uint64_t missing[TRACE_NODES_CHUNK_WORDS / 64]; /* a bit: asked for, and not in the file */
};

/* A code of the nodes' words that was met lately, and the number of its return address. */
#define CALLSTACK_MEMO 8192
struct callstack_memo {
	uint64_t code_1; /* plus 1; 0: nothing is here */
	uint32_t number;
};

struct callstack_site {
	uint32_t node;	     /* its id; 0: an empty stack */
	uint32_t depth : 31; /* frames */
	uint32_t cut : 1;    /* and there were more, outwards */
};

struct callstack_table {
	const struct trace_reader *reader;
	struct callstack_chunk **chunks;
	size_t chunk_count;
	struct huge_pieces pieces;     /* what they are made of */
	struct callstack_chunk *spare; /* has no site and no state yet; NULL: none */
	struct callstack_pc *codes;    /* the different return addresses, numbered from 0 */
	size_t code_count;
	uint32_t *code_index; /* open addressing: number + 1, 0 empty */
	size_t code_index_size;
	struct callstack_memo *memo; /* by hash */
	struct trace_nodes_scratch scratch;
	struct callstack_site *sites;
	size_t site_count;
	uint32_t root_site_1; /* `site_1` of the empty stack */
	uint64_t unresolved;  /* ids that the file does not hold, or not all of */
};

/* `reader` must outlive the table. Returns 0 or -ENOMEM; callstack_fini() frees. */
int callstack_init(struct callstack_table *table, const struct trace_reader *reader);
void callstack_fini(struct callstack_table *table);

/*
 * The site of a recorded id. Every id has one: where the file does not tell, that of as much of
 * the stack as it does tell, at worst the empty one. Returns 0 or -ENOMEM.
 */
int callstack_site(struct callstack_table *table, uint32_t id, uint32_t *site);

/*
 * A site's stack as a list, for it shares its outer part with others: from table->sites[site].node
 * through callers' nodes to CALLSTACK_ROOT, CALLSTACK_DEPTH_MAX + 1 at most.
 */
static inline uint64_t callstack_word(const struct callstack_table *table, uint32_t node)
{
	return table->chunks[node / TRACE_NODES_CHUNK_WORDS]->words[node % TRACE_NODES_CHUNK_WORDS];
}

static inline uint32_t callstack_parent(const struct callstack_table *table, uint32_t node)
{
	return (uint32_t)(callstack_word(table, node) >> 32);
}

/* The number of its return address (an index into table->codes); CALLSTACK_NO_CODE: no frame. */
static inline uint32_t callstack_code(const struct callstack_table *table, uint32_t node)
{
	return (uint32_t)callstack_word(table, node);
}

/* Frames of the site's stack. */
size_t callstack_depth(const struct callstack_table *table, uint32_t site);

/*
 * Writes the numbers of the return addresses (indices into table->codes), innermost first; `codes`
 * has callstack_depth() entries.
 */
void callstack_codes(const struct callstack_table *table, uint32_t site, uint32_t *codes);

/* Writes the return addresses, innermost first; `pcs` has callstack_depth() entries. */
void callstack_pcs(const struct callstack_table *table, uint32_t site, struct callstack_pc *pcs);

#endif
