/*
 * Entries are found again through a hash table of their numbers in private memory, open addressing,
 * at most half full, never moved. An entry is written before its number is put into the table, with
 * one compare-and-swap; two threads that make the same one end up with the same number.
 */
#include "node_wide.h"

#include <stdatomic.h>
#include <stddef.h>

#include "memprof/trace.h"
#include "pages.h"
#include "trace_file.h"

#define SLOTS_BITS  19
#define SLOTS	    (1U << SLOTS_BITS)
#define SLOTS_BYTES (SLOTS * sizeof(atomic_uint))
#define CHUNK_BYTES                                                                                \
	(sizeof(struct trace_segment) + TRACE_WIDE_CHUNK_ENTRIES * sizeof(struct trace_wide_pc))
#define CHUNKS_MAX (NODE_WIDE_MAX / TRACE_WIDE_CHUNK_ENTRIES + 1)

_Static_assert(CHUNK_BYTES == 65536, "whole pages");
_Static_assert(NODE_WIDE_MAX <= SLOTS / 2, "a search ends soon");

static _Atomic(struct trace_segment *) chunks[CHUNKS_MAX]; /* release when published */
static _Atomic(atomic_uint *) slots;			   /* number of an entry plus 1; release */
static atomic_uint next_index;				   /* relaxed: each is drawn once */

/* NULL: its chunk is not there. */
static struct trace_wide_pc *entry_of(uint32_t index)
{
	struct trace_segment *chunk =
	    atomic_load_explicit(&chunks[index / TRACE_WIDE_CHUNK_ENTRIES], memory_order_acquire);

	return chunk ? (struct trace_wide_pc *)(chunk + 1) + index % TRACE_WIDE_CHUNK_ENTRIES
		     : NULL;
}

static bool is_entry(uint32_t index, uintptr_t pc, uint32_t epoch)
{
	const struct trace_wide_pc *entry = entry_of(index);

	return entry && entry->pc == pc && entry->epoch_1 == epoch + 1;
}

static bool make_chunk(uint32_t number)
{
	struct trace_segment *expected = NULL;
	struct trace_segment *chunk = trace_file_map(TRACE_SEGMENT_WIDE, number, CHUNK_BYTES);

	if (!chunk)
		return false;
	if (!atomic_compare_exchange_strong_explicit(&chunks[number], &expected, chunk,
						     memory_order_acq_rel, memory_order_acquire))
		__builtin_memset(chunk, 0, sizeof(*chunk)); /* no segment any more */
	return true;
}

static bool make_entry(uintptr_t pc, uint32_t epoch, uint32_t *index)
{
	struct trace_wide_pc *entry;

	*index = atomic_fetch_add_explicit(&next_index, 1, memory_order_relaxed);
	if (*index >= NODE_WIDE_MAX) {
		atomic_store_explicit(&next_index, NODE_WIDE_MAX, memory_order_relaxed);
		return false;
	}
	if (!entry_of(*index) && !make_chunk(*index / TRACE_WIDE_CHUNK_ENTRIES))
		return false;
	entry = entry_of(*index);
	entry->pc = pc;
	__atomic_store_n(&entry->epoch_1, epoch + 1, __ATOMIC_RELEASE);
	return true;
}

static atomic_uint *table(void)
{
	atomic_uint *memory = atomic_load_explicit(&slots, memory_order_acquire);
	atomic_uint *expected = NULL;

	if (memory)
		return memory;
	memory = pages_map(SLOTS_BYTES);
	if (!memory || atomic_compare_exchange_strong_explicit(
			   &slots, &expected, memory, memory_order_acq_rel, memory_order_acquire))
		return memory;
	pages_unmap(memory, SLOTS_BYTES);
	return expected;
}

bool node_wide_index(uintptr_t pc, uint32_t epoch, uint32_t *index)
{
	uint64_t hash = (pc ^ (uint64_t)epoch << 48 ^ (uint64_t)epoch >> 16) * 0x9e3779b97f4a7c15U;
	atomic_uint *memory = table();
	uint32_t at = (uint32_t)(hash >> (64 - SLOTS_BITS));
	uint32_t made = UINT32_MAX; /* one that we have made already */

	if (!memory)
		return false;
	for (;; at = (at + 1) % SLOTS) {
		uint32_t seen = atomic_load_explicit(&memory[at], memory_order_acquire);

		if (!seen) {
			if (made == UINT32_MAX && !make_entry(pc, epoch, &made))
				return false;
			*index = made;
			if (atomic_compare_exchange_strong_explicit(&memory[at], &seen, made + 1,
								    memory_order_acq_rel,
								    memory_order_acquire))
				return true;
		}
		*index = seen - 1;
		if (is_entry(*index, pc, epoch))
			return true;
	}
}

bool node_wide_pc(uint32_t index, uintptr_t *pc)
{
	const struct trace_wide_pc *entry = index < NODE_WIDE_MAX ? entry_of(index) : NULL;

	if (!entry || !__atomic_load_n(&entry->epoch_1, __ATOMIC_ACQUIRE))
		return false;
	*pc = (uintptr_t)entry->pc;
	return true;
}

void node_wide_init(void)
{
	atomic_uint *memory = atomic_load_explicit(&slots, memory_order_relaxed);

	if (!atomic_load_explicit(&next_index, memory_order_relaxed))
		return;
	/* A walk that the fork interrupted may hold the table: it stays where it is. */
	if (memory)
		pages_drop(memory, SLOTS_BYTES);
	for (uint32_t i = 0; i < CHUNKS_MAX; i++)
		atomic_store_explicit(&chunks[i], NULL, memory_order_relaxed);
	atomic_store_explicit(&next_index, 0, memory_order_relaxed);
}
