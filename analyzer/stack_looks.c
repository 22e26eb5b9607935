/* Hashes are made when a node is met first, outermost first, so each node is looked at once. */
#include "stack_looks.h"

#include "frame_rules.h"
#include "profile.h"

#include <errno.h>
#include <stdlib.h>

#define HASH_OF_NONE 1

/* How the stack of a node looks, all of its frames taken. */
struct node_look {
	uint32_t hash; /* 0: not known yet */
	uint32_t frames;
};

int stack_looks_init(struct stack_looks *looks, struct trace_reader *reader,
		     const struct callstack_table *callstacks,
		     const struct profile_options *options)
{
	*looks = (struct stack_looks){
	    .callstacks = callstacks,
	    .pieces = {.bytes = TRACE_NODES_CHUNK_WORDS * sizeof(struct node_look),
		       .expected = callstacks->chunk_count}};
	looks->nodes = calloc(callstacks->chunk_count, sizeof(*looks->nodes));
	if (code_frames_init(&looks->codes, reader, options) != 0 || looks->nodes == NULL)
		return -ENOMEM;
	return 0;
}

static void free_nodes(struct stack_looks *looks)
{
	huge_pieces_fini(&looks->pieces);
	free(looks->nodes);
	looks->nodes = NULL;
}

void stack_looks_finish(struct stack_looks *looks)
{
	free_nodes(looks);
	code_frames_finish(&looks->codes);
}

void stack_looks_fini(struct stack_looks *looks)
{
	free_nodes(looks);
	code_frames_fini(&looks->codes);
}

bool stack_walk_on(const struct stack_looks *looks, struct stack_walk *walk)
{
	uint32_t code;

	if (walk->node == CALLSTACK_ROOT)
		return false;
	code = callstack_code(looks->callstacks, walk->node);
	walk->node = callstack_parent(looks->callstacks, walk->node);
	walk->code = code == CALLSTACK_NO_CODE ? (struct code){0} : looks->codes.codes[code];
	walk->at = 0;
	return true;
}

struct stack_walk stack_walk_from(const struct stack_looks *looks, const struct stack_start *start)
{
	struct stack_walk walk = {.node = start->node};
	uint32_t frame;

	if (start->node == CALLSTACK_ROOT)
		walk.code = looks->codes.nowhere;
	for (uint32_t i = 0; i < start->skip; i++)
		stack_walk_next(looks, &walk, &frame);
	return walk;
}

/* Nearest to the root first, so that stacks that end alike begin with the same hash. */
static uint32_t add_looks(uint32_t hash, const uint32_t *added, uint32_t count)
{
	while (count > 0) {
		uint64_t mixed = (hash ^ (uint64_t)added[--count] << 32) * 0x9e3779b97f4a7c15ULL;

		hash = (uint32_t)(mixed >> 32) ^ (uint32_t)(mixed >> 16);
	}
	return hash != 0 ? hash : HASH_OF_NONE;
}

static struct node_look *look_at(struct stack_looks *looks, uint32_t node)
{
	struct node_look **chunk = &looks->nodes[node / TRACE_NODES_CHUNK_WORDS];

	if (*chunk == NULL)
		*chunk = huge_pieces_take(&looks->pieces);
	return *chunk == NULL ? NULL : *chunk + node % TRACE_NODES_CHUNK_WORDS;
}

/*
 * How the stack of a node looks; of its callers each is asked once. Returns 0 or -ENOMEM. What is
 * handed inwards stays in registers: written in two halves and read as one it would be waited for.
 */
static int find_look(struct stack_looks *looks, uint32_t node, struct node_look *look)
{
	struct node_look *path[CALLSTACK_DEPTH_MAX + 1];
	uint32_t codes[CALLSTACK_DEPTH_MAX + 1];
	uint32_t hash = HASH_OF_NONE, frames = 0;
	size_t count = 0;

	for (; node != CALLSTACK_ROOT && count <= CALLSTACK_DEPTH_MAX; count++) {
		path[count] = look_at(looks, node);
		if (path[count] == NULL)
			return -ENOMEM;
		if (path[count]->hash != 0) {
			hash = path[count]->hash;
			frames = path[count]->frames;
			break;
		}
		codes[count] = callstack_code(looks->callstacks, node);
		node = callstack_parent(looks->callstacks, node);
	}
	while (count > 0) {
		uint32_t number = codes[--count];

		if (number != CALLSTACK_NO_CODE) {
			const struct code *code = &looks->codes.codes[number];

			if (code_frames_resolve(&looks->codes, &looks->callstacks->codes[number],
						number) != 0)
				return -ENOMEM;
			hash = add_looks(hash, looks->codes.looks + code->first, code->count);
			frames += code->count;
		}
		path[count]->hash = hash;
		path[count]->frames = frames;
	}
	look->hash = hash;
	look->frames = frames;
	return 0;
}

bool stack_looks_same(const struct stack_looks *looks, const struct stack_start *start,
		      const struct stack_start *other)
{
	const uint32_t *numbers = looks->codes.looks;
	struct stack_walk a, b;
	uint32_t x, y;

	if (start->count != other->count)
		return false;
	a = stack_walk_from(looks, start);
	b = stack_walk_from(looks, other);
	for (;;) {
		if (a.node == b.node && a.at == a.code.count && b.at == b.code.count)
			return true;
		if (!stack_walk_next(looks, &a, &x) || !stack_walk_next(looks, &b, &y))
			return true; /* both at once, for they are as long */
		if (numbers[x] != numbers[y])
			return false;
	}
}

int stack_looks_begin(struct stack_looks *looks, uint32_t node, struct stack_start *start,
		      struct stack_walk *walk, uint32_t *hash)
{
	struct node_look look, outer;
	uint32_t frame;
	int rc = find_look(looks, node, &look);

	*start = (struct stack_start){.node = node, .count = look.frames};
	*walk = (struct stack_walk){.node = node};
	*hash = look.hash;
	if (rc == 0 && look.frames == 0) {
		*start = (struct stack_start){.node = CALLSTACK_ROOT, .count = 1};
		*hash = 0;
		rc = code_frames_nowhere(&looks->codes);
		*walk = stack_walk_from(looks, start);
		return rc;
	}
	if (rc != 0 || !looks->codes.symbols)
		return rc;
	while (stack_walk_next(looks, walk, &frame)) {
		if (start->skip + 1 >= look.frames ||
		    looks->codes.roles[frame] != FRAME_ROLE_INTERNAL) {
			walk->at--;
			break;
		}
		start->skip++;
	}
	if (start->skip == 0)
		return 0;
	rc = find_look(looks, walk->node, &outer);
	start->count -= start->skip;
	*hash = add_looks(outer.hash, looks->codes.looks + walk->code.first + walk->at,
			  walk->code.count - walk->at);
	return rc;
}
