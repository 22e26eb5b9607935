/*
 * Why no node is ever missing from the file, whenever the process is killed. For a chunk C in a
 * window W, in this order, each visible before the next (release stores, and a system call):
 *
 *   1. W is all zeros, its number 0.          C is nowhere, and has no node yet.
 *   2. W's number becomes C + 1.              Nodes of C are in W from here on.
 *   3. PACKED C is appended.                  A killed append has a wrong hash: W still has all.
 *   4. W's number becomes 0.                  PACKED C has all.
 *   5. W is zeroed; on with 1.
 *
 * Between 3 and 4 the nodes are in both, and the same. Step 3 is taken by one thread only, the one
 * whose node made the chunk complete, and all other nodes were written before (the count of nodes
 * is acquired and released). Two threads that make C's window at once each get one; one of them
 * wins and the other is given back before anything was written into it, so readers put them
 * together.
 *
 * Signals wait while a chunk is packed: a handler that jumped away would leave the window unused.
 */
#include "node_file.h"

#include <errno.h>
#include <stdatomic.h>

#include "pages.h"
#include "stop.h"
#include "sys.h"
#include "trace_file.h"

#include <signal.h>

#define CHUNKS_MAX  ((1U << TRACE_NODE_PARENT_BITS) / TRACE_NODES_CHUNK_WORDS)
#define CHUNK_BYTES (TRACE_NODES_CHUNK_WORDS * sizeof(uint64_t))
#define WINDOWS_MAX 64 /* idle at once; more than chunks are ever begun at once */

/* A test may kill the process here. */
#ifndef NODE_FILE_POINT
#define NODE_FILE_POINT(name) STOP_POINT(name)
#endif

static _Atomic(uint64_t *) chunks[CHUNKS_MAX]; /* release when published; NULL when packed */
static atomic_uint written[CHUNKS_MAX];	       /* nodes of each */
static _Atomic(uint64_t *) idle[WINDOWS_MAX];  /* windows of no chunk, taken by exchange */
static atomic_uint window_count;	       /* relaxed: numbers for people */
static bool packing = true, compressing = true;

void node_file_keep(void)
{
	packing = false;
}

void node_file_compress(bool compress)
{
	compressing = compress;
}

static void window_put(uint64_t *window)
{
	for (unsigned i = 0; i < WINDOWS_MAX; i++) {
		uint64_t *empty = NULL;

		if (atomic_compare_exchange_strong_explicit(
			&idle[i], &empty, window, memory_order_release, memory_order_relaxed))
			return;
	}
}

/* A window of zeros, number 0; NULL: no room. */
static uint64_t *window_take(void)
{
	for (unsigned i = 0; i < WINDOWS_MAX; i++) {
		uint64_t *window = NULL;

		if (atomic_load_explicit(&idle[i], memory_order_relaxed))
			window = atomic_exchange_explicit(&idle[i], NULL, memory_order_acquire);
		if (!window)
			continue;
		__builtin_memset(window + NODE_FILE_FIRST, 0, NODE_PACK_NODES * sizeof(*window));
		NODE_FILE_POINT("window zeroed");
		return window;
	}
	return trace_file_map(TRACE_SEGMENT_WINDOW,
			      atomic_fetch_add_explicit(&window_count, 1, memory_order_relaxed),
			      CHUNK_BYTES);
}

static void window_assign(uint64_t *window, uint64_t number)
{
	__atomic_store_n(&window[TRACE_WINDOW_CHUNK_WORD], number, __ATOMIC_RELEASE);
	NODE_FILE_POINT(number ? "window given" : "window taken back");
}

/* Makes chunk `index` unless another thread does it first. */
static uint64_t *chunk_make(uint32_t index)
{
	bool fixed = index == 0 || !packing;
	uint64_t *expected = NULL;
	uint64_t *chunk =
	    fixed ? trace_file_map(TRACE_SEGMENT_NODES, index, CHUNK_BYTES) : window_take();

	if (!chunk)
		return NULL;
	if (!fixed)
		window_assign(chunk, index + 1);
	if (atomic_compare_exchange_strong_explicit(&chunks[index], &expected, chunk,
						    memory_order_acq_rel, memory_order_acquire))
		return chunk;
	if (fixed) {
		/* Readers take the one with nodes for the one in use. */
		__builtin_memset(chunk, 0, sizeof(struct trace_segment));
	} else {
		window_assign(chunk, 0);
		window_put(chunk);
	}
	return expected;
}

/* Appends the chunk in `window`. 0 or -errno. */
static int append_packed(uint32_t index, const uint64_t *window)
{
	struct node_pack *pack = pages_map(node_pack_bytes);
	struct trace_packed_nodes head;
	struct iovec pieces[2] = {{&head, sizeof(head)}, {NULL, 0}};
	int result;

	if (!pack)
		return -ENOMEM;
	pieces[1].iov_base =
	    (void *)node_pack(pack, window, index, compressing, &head, &pieces[1].iov_len);
	NODE_FILE_POINT("before append");
	result = trace_file_append(TRACE_SEGMENT_PACKED, index, pieces, 2);
	NODE_FILE_POINT("after append");
	pages_unmap(pack, node_pack_bytes);
	return result;
}

/* All nodes of the chunk are written, so nobody else uses it any more. */
__attribute__((noinline)) static void chunk_full(uint32_t index)
{
	uint64_t *window = atomic_load_explicit(&chunks[index], memory_order_acquire);
	uint64_t all = UINT64_MAX, old = 0;

	/* A failed append leaves the nodes where they are. */
	SYS4(rt_sigprocmask, SIG_SETMASK, &all, &old, sizeof(all));
	if (append_packed(index, window) == 0) {
		window_assign(window, 0);
		atomic_store_explicit(&chunks[index], NULL, memory_order_relaxed);
		window_put(window);
	}
	SYS4(rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof(old));
}

bool node_file_write(uint32_t id, uint64_t word)
{
	uint32_t index = id / TRACE_NODES_CHUNK_WORDS;
	uint64_t *chunk = atomic_load_explicit(&chunks[index], memory_order_acquire);

	if (!chunk)
		chunk = chunk_make(index);
	if (!chunk)
		return false;
	__atomic_store_n(&chunk[id % TRACE_NODES_CHUNK_WORDS], word, __ATOMIC_RELEASE);
	if (atomic_fetch_add_explicit(&written[index], 1, memory_order_acq_rel) + 1 ==
		NODE_PACK_NODES &&
	    index > 0 && packing)
		chunk_full(index);
	return true;
}

uint64_t node_file_read(uint32_t id)
{
	uint64_t *chunk = NULL;

	if (id / TRACE_NODES_CHUNK_WORDS < CHUNKS_MAX)
		chunk = atomic_load_explicit(&chunks[id / TRACE_NODES_CHUNK_WORDS],
					     memory_order_acquire);
	if (!chunk || id % TRACE_NODES_CHUNK_WORDS < NODE_FILE_FIRST)
		return 0;
	return __atomic_load_n(&chunk[id % TRACE_NODES_CHUNK_WORDS], __ATOMIC_ACQUIRE);
}

int node_file_init(uint32_t used)
{
	for (uint32_t i = 0; i < used && i < CHUNKS_MAX; i++) {
		atomic_store_explicit(&chunks[i], NULL, memory_order_relaxed);
		atomic_store_explicit(&written[i], 0, memory_order_relaxed);
	}
	for (unsigned i = 0; i < WINDOWS_MAX; i++)
		if (atomic_load_explicit(&idle[i], memory_order_relaxed))
			atomic_store_explicit(&idle[i], NULL, memory_order_relaxed);
	atomic_store_explicit(&window_count, 0, memory_order_relaxed);
	return chunk_make(0) ? 0 : -ENOSPC;
}
