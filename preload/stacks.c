#include "stacks.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "modules.h"
#include "node_file.h"
#include "node_wide.h"
#include "pages.h"
#include "trace_file.h"

#define CHUNKS_MAX ((1U << TRACE_NODE_PARENT_BITS) / TRACE_NODES_CHUNK_WORDS)

#define ID_MASK	     ((1U << TRACE_NODE_PARENT_BITS) - 1)
#define REGION_SHIFT TRACE_NODE_PARENT_BITS

/*
 * What finds a node again. Its children hang below `child` as a binary tree ordered by the bits of
 * their hash: the first is its root, and bit after bit tells which `next` to go on with. Nearly all
 * nodes have one child or two, made right after them, so that following a stack reads memory in
 * order.
 *
 * All fields but the links are written before the node is linked (release) and never change.
 */
struct link {
	uint32_t pc_low;	/* of region TRACE_REGION_WIDE: index of the entry */
	_Atomic uint32_t child; /* region of the pc << REGION_SHIFT | id of a child, 0: none */
	_Atomic uint32_t next[2];
};

#define LINKS_BYTES   (TRACE_NODES_CHUNK_WORDS * sizeof(struct link))
#define LINKS_AT_ONCE (PAGES_HUGE_BYTES / LINKS_BYTES)

_Static_assert(TRACE_REGIONS <= 1 << (32 - REGION_SHIFT), "a region fits beside an id");
_Static_assert(PAGES_HUGE_BYTES % LINKS_BYTES == 0, "huge pages hold whole pieces");

static _Atomic(struct link *) links[CHUNKS_MAX]; /* release when published */
static atomic_uint next_id;			 /* relaxed: each is drawn once */

/* `id` is linked. */
static inline struct link *link_of(uint32_t id)
{
	struct link *piece =
	    atomic_load_explicit(&links[id / TRACE_NODES_CHUNK_WORDS], memory_order_acquire);

	return &piece[id % TRACE_NODES_CHUNK_WORDS];
}

static inline bool is_linkable(uint32_t id)
{
	return id <= ID_MASK && atomic_load_explicit(&links[id / TRACE_NODES_CHUNK_WORDS],
						     memory_order_acquire) != NULL;
}

/* Bijective, so that two children part ways somewhere; the best bits come first. */
static inline uint64_t hash_code(uint32_t region, uint32_t pc_low)
{
	return ((uint64_t)region << 32 | pc_low) * 0x9e3779b97f4a7c15U;
}

static uint64_t region_value(uint32_t pc_high, uint32_t epoch)
{
	struct trace_region region = {pc_high, epoch + 1};
	uint64_t value;

	__builtin_memcpy(&value, &region, sizeof(value));
	return value;
}

/*
 * Code of the region (pc_high, epoch); entries are only ever added, in the file itself, so that
 * whoever uses one finds it written. Returns TRACE_REGION_WIDE when there is no room.
 */
static unsigned region_code(uint32_t pc_high, uint32_t epoch)
{
	uint64_t *regions = (uint64_t *)trace_file_header()->regions;
	uint64_t value = region_value(pc_high, epoch);

	for (unsigned i = 0; i < TRACE_REGION_WIDE; i++) {
		uint64_t seen = __atomic_load_n(&regions[i], __ATOMIC_RELAXED);

		if (!seen && __atomic_compare_exchange_n(&regions[i], &seen, value, false,
							 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return i;
		if (seen == value)
			return i;
	}
	return TRACE_REGION_WIDE;
}

/*
 * Memory for the links of chunk `index`. The first come one by one, since few programs need more;
 * later ones by the huge page, which saves most of the page faults and TLB misses they would cost.
 */
static bool links_make(uint32_t index)
{
	struct link *memory = index < LINKS_AT_ONCE ? NULL : pages_map_huge();
	uint32_t count = memory ? LINKS_AT_ONCE : 1;
	uint32_t first = index - index % count;

	if (!memory)
		memory = pages_map(LINKS_BYTES);
	if (!memory)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		struct link *expected = NULL;
		struct link *piece = memory + (size_t)i * TRACE_NODES_CHUNK_WORDS;

		if (!atomic_compare_exchange_strong_explicit(&links[first + i], &expected, piece,
							     memory_order_acq_rel,
							     memory_order_acquire))
			pages_unmap(piece, LINKS_BYTES);
	}
	return true;
}

/* An id that nobody else has, 0: there are no more. */
static uint32_t draw_id(void)
{
	uint32_t id = atomic_fetch_add_explicit(&next_id, 1, memory_order_relaxed);

	if (id % TRACE_NODES_CHUNK_WORDS < NODE_FILE_FIRST) {
		/* The id of the chunk's head: whoever draws these lets them lie. */
		uint32_t first = id - id % TRACE_NODES_CHUNK_WORDS + NODE_FILE_FIRST;

		while (id < first)
			id = atomic_fetch_add_explicit(&next_id, 1, memory_order_relaxed);
	}
	if (id <= ID_MASK)
		return id;
	atomic_store_explicit(&next_id, ID_MASK + 1, memory_order_relaxed);
	return 0;
}

/* Stacks are cut from now on, and the header says so. 0: no node. */
static uint32_t no_room(void)
{
	__atomic_fetch_or(&trace_file_header()->flags, TRACE_FLAG_NODES_FULL, __ATOMIC_RELAXED);
	return 0;
}

/* Makes a node, in the file and to be linked; its id, 0: no room. */
static uint32_t node_new(uint32_t parent, uint32_t region, uint32_t pc_low)
{
	uint32_t id = draw_id();
	uint32_t index = id / TRACE_NODES_CHUNK_WORDS;
	struct link *link;

	if (!id)
		return no_room();
	if (!atomic_load_explicit(&links[index], memory_order_acquire) && !links_make(index))
		return 0;
	link = link_of(id);
	link->pc_low = pc_low;
	atomic_store_explicit(&link->child, region << REGION_SHIFT, memory_order_relaxed);
	return node_file_write(id, TRACE_NODE(parent, region, pc_low)) ? id : 0;
}

/*
 * The child (region, pc_low) below `slot`, where it is or belongs; 0: there is none, and `slot` and
 * `hash` tell where it goes.
 */
static inline uint32_t find(_Atomic uint32_t **slot, uint64_t *hash, uint32_t region,
			    uint32_t pc_low)
{
	uint32_t id;

	while ((id = atomic_load_explicit(*slot, memory_order_acquire) & ID_MASK)) {
		struct link *link = link_of(id);
		uint32_t child = atomic_load_explicit(&link->child, memory_order_relaxed);

		if (link->pc_low == pc_low && child >> REGION_SHIFT == region)
			return id;
		*slot = &link->next[*hash >> 63];
		*hash <<= 1;
	}
	return 0;
}

/* Links a new node at `slot`, or finds that another thread was first. */
static uint32_t add(_Atomic uint32_t *slot, uint64_t hash, uint32_t parent, uint32_t region,
		    uint32_t pc_low)
{
	uint32_t id = node_new(parent, region, pc_low);

	while (id) {
		uint32_t seen = atomic_load_explicit(slot, memory_order_relaxed);
		uint32_t other;

		/* The upper bits are a region, or nothing: whatever they are, they stay. */
		if (!(seen & ID_MASK) &&
		    atomic_compare_exchange_strong_explicit(
			slot, &seen, seen | id, memory_order_release, memory_order_relaxed))
			break;
		other = find(&slot, &hash, region, pc_low);
		if (other)
			return other; /* the id drawn stays unused, but is what it says */
	}
	return id;
}

uint32_t stacks_node(uint32_t parent, uintptr_t pc)
{
	uint32_t epoch = modules_epoch(pc);
	uint32_t region = region_code((uint32_t)((uint64_t)pc >> 32), epoch);
	uint32_t pc_low = (uint32_t)pc;
	_Atomic uint32_t *slot;
	uint64_t hash;
	uint32_t id;

	if (__builtin_expect(region == TRACE_REGION_WIDE, 0) &&
	    !node_wide_index(pc, epoch, &pc_low))
		return no_room();
	hash = hash_code(region, pc_low);
	/* A walk that a fork interrupted goes on with an id of the parent process. */
	if (!is_linkable(parent))
		return 0;
	slot = &link_of(parent)->child;
	id = find(&slot, &hash, region, pc_low);
	if (__builtin_expect(id != 0, 1))
		return id;
	modules_note(pc);
	return add(slot, hash, parent, region, pc_low);
}

bool stacks_frame(uint32_t id, uint32_t *parent, uintptr_t *pc)
{
	uint64_t word = node_file_read(id);

	if (!word)
		return false;
	*parent = TRACE_NODE_PARENT(word);
	if (TRACE_NODE_REGION(word) == TRACE_REGION_WIDE)
		return node_wide_pc(TRACE_NODE_PC_LOW(word), pc);
	*pc = TRACE_NODE_PC_LOW(word);
	*pc |= (uintptr_t)trace_file_header()->regions[TRACE_NODE_REGION(word)].pc_high << 32;
	return true;
}

/* Everything anew: the first process, or the child of a fork with a file of its own. */
int stacks_init(void)
{
	uint32_t last = atomic_load_explicit(&next_id, memory_order_relaxed);
	uint32_t used = last ? last / TRACE_NODES_CHUNK_WORDS + 1 : 0;

	/* Huge pages hold the links of a few more. */
	for (uint32_t i = 0; i < CHUNKS_MAX && i < used + LINKS_AT_ONCE; i++)
		atomic_store_explicit(&links[i], NULL, memory_order_relaxed);
	node_wide_init();
	if (!links_make(0))
		return -ENOMEM;
	atomic_store_explicit(&next_id, NODE_FILE_FIRST, memory_order_relaxed);
	return node_file_init(used);
}
