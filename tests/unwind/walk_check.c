/*
 * The unwinder without a recorder around it, against libgcc's, over frames of
 * every shape (programs/shapes.c). Small enough to be cross-compiled and run under qemu-user:
 *
 *     walk_check ROUNDS DEPTH
 *
 * Exit status 0: every stack was the same by the memo, by rules alone and by libgcc.
 */
#include <execinfo.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "stack_bounds.h"
#include "stacks.h"
#include "unwind.h"
#include "unwind_rule.h"
#include "unwind_step.h"

#define FRAMES_MAX 1024
#define NODES_MAX  (1U << 22)
#define OWN_MAX	   8

/* A trie in place of the recorder's: node 0 is the root. */
static struct {
	uint32_t parent;
	uintptr_t pc;
} * nodes;
static uint32_t *slots;
static uint32_t node_count = 1;

uint32_t stacks_node(uint32_t parent, uintptr_t pc)
{
	uint64_t hash = (pc ^ (uint64_t)parent << 32) * 0x9e3779b97f4a7c15;
	uint32_t slot = (uint32_t)(hash >> 40) & (2 * NODES_MAX - 1);

	for (; slots[slot]; slot = (slot + 1) & (2 * NODES_MAX - 1))
		if (nodes[slots[slot]].parent == parent && nodes[slots[slot]].pc == pc)
			return slots[slot];
	if (node_count == NODES_MAX)
		return 0;
	nodes[node_count].parent = parent;
	nodes[node_count].pc = pc;
	slots[slot] = node_count;
	return node_count++;
}

static void *state;
static struct unwind_counts counts;
static unsigned long events, memo_wrong, rules_wrong, rules_short;

/* libgcc's stack from `pc` on: glibc's backtrace() is its _Unwind_Backtrace. */
static __attribute__((noinline)) unsigned reference(uintptr_t pc, const uintptr_t **pcs)
{
	static void *frames[FRAMES_MAX + OWN_MAX];
	int count = backtrace(frames, FRAMES_MAX + OWN_MAX), first = 0;

	while (first < count && (uintptr_t)frames[first] != pc)
		first++;
	*pcs = (const uintptr_t *)(frames + first);
	return (unsigned)(count - first);
}

/* Frames that rules alone give; fewer when one has to ask the general unwinder. */
static unsigned by_rules(const struct unwind_origin *origin, uintptr_t *pcs, bool *whole)
{
	static struct stack_bounds bounds;
	struct unwind_frame frame = {origin->pc, origin->sp, origin->fp};
	struct unwind_reads reads;
	uintptr_t top = stack_bounds_top(&bounds, origin->sp);
	enum unwind_step step;
	unsigned count = 0;

	do {
		pcs[count++] = frame.pc;
		step = unwind_step(&frame, unwind_rule_of(frame.pc), top, &reads);
	} while (count < FRAMES_MAX && step == UNWIND_STEP_CALLER);
	*whole = step != UNWIND_STEP_GENERAL;
	return count;
}

static void check(const struct unwind_origin *origin)
{
	static uintptr_t pcs[FRAMES_MAX];
	const uintptr_t *expected;
	uint32_t id = unwind_memo.stack(state, origin, FRAMES_MAX, &counts);
	unsigned count = reference(origin->pc, &expected);
	unsigned i = 0, found;
	bool whole;

	events++;
	for (; i < count && id && nodes[id].pc == expected[i]; id = nodes[id].parent)
		i++;
	if ((i != count || id) && memo_wrong++ < 5)
		printf("differs at frame %u of %u: %lx, not %lx\n", i, count,
		       (unsigned long)nodes[id].pc, (unsigned long)(i < count ? expected[i] : 0));
	found = by_rules(origin, pcs, &whole);
	rules_short += !whole;
	rules_wrong += (whole && found != count) || found > count ||
		       memcmp(pcs, expected, found * sizeof(*pcs)) != 0;
}

static __attribute__((noinline)) void *hook(size_t bytes)
{
	struct unwind_origin origin = {(uintptr_t)__builtin_return_address(0),
				       (uintptr_t)__builtin_dwarf_cfa(),
				       *(uintptr_t *)__builtin_frame_address(0)};

	check(&origin);
	return (void *)bytes;
}

#define malloc(bytes) hook(bytes)
#define free(block)   (void)(block)
#define main	      shapes_main
int shapes_main(int argc, char **argv);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wvla"
#include "programs/shapes.c"
#pragma GCC diagnostic pop
#undef main

static void *pages(size_t bytes)
{
	void *memory =
	    mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

int main(int argc, char **argv)
{
	nodes = pages(NODES_MAX * sizeof(*nodes));
	slots = pages(2 * NODES_MAX * sizeof(*slots));
	state = pages(unwind_memo.state_bytes);
	if (!nodes || !slots || !state || unwind_memo.init() < 0)
		return 2;
	shapes_main(argc, argv);
	printf(
	    "%lu stacks: %lu differ by the memo, %lu by rules alone (%lu needed more than rules); "
	    "%lu general\n",
	    events, memo_wrong, rules_wrong, rules_short, (unsigned long)counts.fallbacks);
	return memo_wrong || rules_wrong || events < 1000;
}
