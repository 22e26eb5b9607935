#include "stacks.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "modules.h"
#include "pages.h"
#include "trace_file.h"

#define CHUNKS_MAX	    ((1U << TRACE_NODE_PARENT_BITS) / TRACE_NODES_CHUNK_WORDS)
#define CHUNK_BYTES	    (TRACE_NODES_CHUNK_WORDS * sizeof(uint64_t))
#define CHUNK_HEAD_WORDS    (sizeof(struct trace_segment) / sizeof(uint64_t))
#define FIRST_TABLE_SLOTS   1024
#define PROBES_MAX	    64
#define SLOTS_MOVED_AT_ONCE 8

/* `id` is stored after `word` was claimed: 0 means another thread is about to. */
struct slot {
	_Atomic uint64_t word;
	_Atomic uint32_t id;
};

/* Tables are never unmapped, only emptied: a thread that still probes an old one finds nothing. */
struct table {
	size_t mask;
	atomic_size_t used;
	atomic_size_t cursor; /* of an old table: next slot to move */
	atomic_size_t moved;
	struct slot slots[];
};

static _Atomic(struct table *) current;	       /* release when published */
static _Atomic(struct table *) old;	       /* being moved into `current`; NULL mostly */
static atomic_flag growing = ATOMIC_FLAG_INIT; /* tried, never waited for */

static _Atomic(uint64_t *) chunks[CHUNKS_MAX]; /* release when published */
static atomic_uint next_id;

/* What the header's regions hold, closer at hand. */
static _Atomic uint64_t regions[TRACE_REGIONS];

/*
 * Twice, because the parent stands in the upper bits: one multiplication would leave the lower bits
 * of nodes that differ in it alike, and a pc may have tens of thousands of parents.
 */
static uint64_t hash_word(uint64_t word)
{
	word *= 0x9e3779b97f4a7c15U;
	word ^= word >> 32;
	word *= 0xff51afd7ed558ccdU;
	return word >> 32;
}

static struct table *table_new(size_t slots)
{
	struct table *table = pages_map(sizeof(*table) + slots * sizeof(struct slot));

	if (table)
		table->mask = slots - 1;
	return table;
}

/* Gives back all but the first page: the head must go on telling late comers that all is moved. */
static void table_drop(struct table *table)
{
	size_t bytes = sizeof(*table) + (table->mask + 1) * sizeof(struct slot);
	size_t page = trace_file_page();

	if (bytes > page)
		pages_drop((char *)table + page, bytes - page);
}

static uint64_t region_value(uint32_t pc_high, uint32_t epoch)
{
	struct trace_region region = {pc_high, epoch + 1};
	uint64_t value;

	__builtin_memcpy(&value, &region, sizeof(value));
	return value;
}

/*
 * Code of the region (pc_high, epoch); entries are only ever added. Returns TRACE_REGION_WIDE when
 * there is no room.
 */
static unsigned region_code(uint32_t pc_high, uint32_t epoch)
{
	uint64_t value = region_value(pc_high, epoch);

	for (unsigned i = 0; i < TRACE_REGION_WIDE; i++) {
		uint64_t seen = atomic_load_explicit(&regions[i], memory_order_relaxed);

		if (seen == value)
			return i;
		if (seen)
			continue;
		if (!atomic_compare_exchange_strong_explicit(
			&regions[i], &seen, value, memory_order_relaxed, memory_order_relaxed)) {
			i--;
			continue;
		}
		__atomic_store_n((uint64_t *)&trace_file_header()->regions[i], value,
				 __ATOMIC_RELEASE);
		return i;
	}
	return TRACE_REGION_WIDE;
}

/* Makes chunk `index` unless another thread does it first; the loser's becomes a hole. */
static uint64_t *chunk_make(uint32_t index)
{
	uint64_t *expected = NULL;
	uint64_t *chunk = trace_file_map(TRACE_SEGMENT_NODES, index, CHUNK_BYTES);

	if (!chunk)
		return NULL;
	if (atomic_compare_exchange_strong_explicit(&chunks[index], &expected, chunk,
						    memory_order_acq_rel, memory_order_acquire))
		return chunk;
	/* Readers take the first segment of an index for the one in use. */
	__builtin_memset(chunk, 0, sizeof(struct trace_segment));
	return expected;
}

/* Writes a node into the file and returns its id; 0: no room. */
static uint32_t node_new(uint64_t word)
{
	uint32_t id = atomic_fetch_add_explicit(&next_id, 1, memory_order_relaxed);
	uint64_t *chunk;

	if (id % TRACE_NODES_CHUNK_WORDS < CHUNK_HEAD_WORDS) {
		/* The id of the chunk's head: whoever draws these lets them lie. */
		uint32_t first = id - id % TRACE_NODES_CHUNK_WORDS + CHUNK_HEAD_WORDS;

		while (id < first)
			id = atomic_fetch_add_explicit(&next_id, 1, memory_order_relaxed);
	}
	if (id / TRACE_NODES_CHUNK_WORDS >= CHUNKS_MAX) {
		atomic_store_explicit(&next_id, CHUNKS_MAX * TRACE_NODES_CHUNK_WORDS,
				      memory_order_relaxed);
		__atomic_fetch_or(&trace_file_header()->flags, TRACE_FLAG_NODES_FULL,
				  __ATOMIC_RELAXED);
		return 0;
	}
	chunk = atomic_load_explicit(&chunks[id / TRACE_NODES_CHUNK_WORDS], memory_order_acquire);
	if (!chunk)
		chunk = chunk_make(id / TRACE_NODES_CHUNK_WORDS);
	if (!chunk)
		return 0;
	__atomic_store_n(&chunk[id % TRACE_NODES_CHUNK_WORDS], word, __ATOMIC_RELEASE);
	return id;
}

static uint32_t table_find(struct table *table, uint64_t word)
{
	uint64_t hash = hash_word(word);

	for (unsigned i = 0; i < PROBES_MAX; i++) {
		struct slot *slot = &table->slots[(hash + i) & table->mask];
		uint64_t seen = atomic_load_explicit(&slot->word, memory_order_acquire);

		if (seen == word)
			return atomic_load_explicit(&slot->id, memory_order_acquire);
		if (!seen)
			return 0;
	}
	return 0;
}

/*
 * false: the neighbourhood is full, and nobody will find the node. An id of 0 was left by one who
 * never came to store it (a handler's longjmp).
 */
static bool table_add(struct table *table, uint64_t word, uint32_t id)
{
	uint64_t hash = hash_word(word);

	for (unsigned i = 0; i < PROBES_MAX; i++) {
		struct slot *slot = &table->slots[(hash + i) & table->mask];
		uint64_t seen = 0;

		if (atomic_compare_exchange_strong_explicit(
			&slot->word, &seen, word, memory_order_acq_rel, memory_order_acquire)) {
			atomic_store_explicit(&slot->id, id, memory_order_release);
			atomic_fetch_add_explicit(&table->used, 1, memory_order_relaxed);
			return true;
		}
		if (seen == word) {
			uint32_t none = 0;

			atomic_compare_exchange_strong_explicit(
			    &slot->id, &none, id, memory_order_release, memory_order_relaxed);
			return true;
		}
	}
	return false;
}

/* Moves the next few slots of the old table; the last mover retires it. */
static void move_some(struct table *from, struct table *to)
{
	size_t slots = from->mask + 1;
	size_t at =
	    atomic_fetch_add_explicit(&from->cursor, SLOTS_MOVED_AT_ONCE, memory_order_relaxed);

	if (at >= slots)
		return;
	for (size_t i = at; i < at + SLOTS_MOVED_AT_ONCE; i++) {
		uint64_t word = atomic_load_explicit(&from->slots[i].word, memory_order_acquire);
		uint32_t id = atomic_load_explicit(&from->slots[i].id, memory_order_acquire);

		if (word && id)
			table_add(to, word, id);
	}
	if (atomic_fetch_add_explicit(&from->moved, SLOTS_MOVED_AT_ONCE, memory_order_acq_rel) +
		SLOTS_MOVED_AT_ONCE <
	    slots)
		return;
	atomic_store_explicit(&old, NULL, memory_order_release);
	table_drop(from);
	atomic_flag_clear_explicit(&growing, memory_order_release);
}

static bool is_full(struct table *table)
{
	return atomic_load_explicit(&table->used, memory_order_relaxed) * 8 >=
	       (table->mask + 1) * 5;
}

/* A table of twice the size takes over, unless the last one to do so is still being filled. */
static void grow(struct table *table)
{
	size_t slots = table->mask + 1;
	struct table *bigger;

	if (atomic_flag_test_and_set_explicit(&growing, memory_order_acquire))
		return;
	if (atomic_load_explicit(&current, memory_order_relaxed) != table)
		bigger = NULL;
	else
		bigger = table_new(slots * 2);
	if (!bigger) {
		atomic_flag_clear_explicit(&growing, memory_order_release);
		return;
	}
	atomic_store_explicit(&old, table, memory_order_release);
	atomic_store_explicit(&current, bigger, memory_order_release);
}

static uint32_t node_add(struct table *table, uint64_t word)
{
	struct table *from = atomic_load_explicit(&old, memory_order_acquire);
	uint32_t id;
	bool added;

	if (from && from != table)
		move_some(from, table);
	id = node_new(word);
	if (id) {
		added = table_add(table, word, id);
		if (!added || is_full(table))
			grow(table);
		/* A node that finds no place would be made anew at each of its events. */
		if (!added)
			table_add(atomic_load_explicit(&current, memory_order_acquire), word, id);
	}
	return id;
}

/* The node's word for (parent, pc); 0 when its region does not fit. */
static uint64_t node_word(uint32_t parent, uintptr_t pc)
{
	unsigned code = region_code((uint32_t)((uint64_t)pc >> 32), modules_epoch(pc));

	if (code != TRACE_REGION_WIDE)
		return TRACE_NODE(parent, code, (uint32_t)pc);
	__atomic_fetch_or(&trace_file_header()->flags, TRACE_FLAG_NODES_FULL, __ATOMIC_RELAXED);
	return 0;
}

uint32_t stacks_node(uint32_t parent, uintptr_t pc)
{
	struct table *table = atomic_load_explicit(&current, memory_order_acquire);
	struct table *from;
	uint64_t word = node_word(parent, pc);
	uint32_t id;

	if (!word)
		return 0;
	id = table_find(table, word);
	if (id)
		return id;
	from = atomic_load_explicit(&old, memory_order_acquire);
	if (from) {
		id = table_find(from, word);
		if (id)
			return id;
	}
	modules_note(pc);
	return node_add(table, word);
}

bool stacks_frame(uint32_t id, uint32_t *parent, uintptr_t *pc)
{
	uint64_t *chunk = NULL;
	uint64_t word = 0;

	if (id / TRACE_NODES_CHUNK_WORDS < CHUNKS_MAX)
		chunk = atomic_load_explicit(&chunks[id / TRACE_NODES_CHUNK_WORDS],
					     memory_order_acquire);
	if (chunk && id % TRACE_NODES_CHUNK_WORDS >= CHUNK_HEAD_WORDS)
		word = __atomic_load_n(&chunk[id % TRACE_NODES_CHUNK_WORDS], __ATOMIC_ACQUIRE);
	if (!word)
		return false;
	*parent = TRACE_NODE_PARENT(word);
	*pc = TRACE_NODE_PC_LOW(word);
	word = atomic_load_explicit(&regions[TRACE_NODE_REGION(word)], memory_order_relaxed);
	*pc |= (uintptr_t)(uint32_t)word << 32; /* pc_high comes first in struct trace_region */
	return true;
}

/* Everything anew: the first process, or the child of a fork with a file of its own. */
int stacks_init(void)
{
	struct table *table = table_new(FIRST_TABLE_SLOTS);

	if (!table)
		return -ENOMEM;
	for (unsigned i = 0; i < TRACE_REGIONS; i++)
		atomic_store_explicit(&regions[i], 0, memory_order_relaxed);
	for (unsigned i = 0; i < CHUNKS_MAX && atomic_load(&chunks[i]); i++)
		atomic_store_explicit(&chunks[i], NULL, memory_order_relaxed);
	atomic_store_explicit(&next_id, CHUNK_HEAD_WORDS, memory_order_relaxed);
	atomic_flag_clear(&growing);
	atomic_store_explicit(&old, NULL, memory_order_relaxed);
	atomic_store_explicit(&current, table, memory_order_release);
	return chunk_make(0) ? 0 : -ENOSPC;
}
