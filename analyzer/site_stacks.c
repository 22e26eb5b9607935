/*
 * A site's stack is a list of nodes (callstack.h) that shares its outer part with others. Each node
 * knows how its stack looks as a hash, made from its caller's, so that a site costs what it has and
 * no other: two stacks are compared frame by frame only as far as the nodes they share.
 *
 * A stack keeps the innermost of its frames, for those are looked at in all stacks; the rest is
 * made anew from the nodes when it is asked for, which is for the few that are printed.
 */
#include "site_stacks.h"

#include "callstack.h"
#include "code_frames.h"
#include "frame_rules.h"
#include "id_table.h"
#include "trace_reader.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Memory that is freed all at once, the newest piece first in the list. */
struct piece {
	struct piece *next;
	size_t left; /* bytes at its end */
	size_t bytes;
	_Alignas(max_align_t) char data[];
};
#define PIECE_BYTES (256 * 1024)

/* Frames that are kept beyond the one to call the site by: callers, and the way past wrappers. */
#define KEPT_BEYOND 4

#define HASH_OF_NONE 1

/* How the stack of a node looks, all of its frames taken. */
struct node_look {
	uint32_t hash; /* 0: not known yet */
	uint32_t frames;
};

/* Where a stack begins. */
struct start {
	uint32_t node; /* CALLSTACK_ROOT: nothing of it is known */
	uint32_t skip; /* frames of the allocator, which are no part of it */
};

/* A way through the frames of a stack, from the innermost. */
struct walk {
	uint32_t node; /* whose frames come after those of `code` */
	struct code code;
	uint32_t at; /* of the frames of `code` */
};

/* A stack whose frames were all asked for. */
struct whole {
	uint32_t number;
	uint64_t asked; /* when it was asked for last; 0: never */
	const struct profile_frame **frames;
};

struct site_stacks {
	const struct callstack_table *callstacks;
	struct code_frames codes;
	struct node_look **looks; /* by node; chunks as in callstack.h */
	struct id_table index;
	struct profile_stack *stacks;
	struct start *starts; /* likewise, by number */
	size_t count;
	size_t longest; /* frames */
	struct piece *pieces;
	struct whole whole[PROFILE_WHOLE_STACKS];
	uint64_t asked; /* how often for whole stacks */
};

/* ---- the table ---- */

struct site_stacks *site_stacks_new(struct trace_reader *reader,
				    const struct callstack_table *callstacks,
				    const struct profile_options *options)
{
	struct site_stacks *stacks = calloc(1, sizeof(*stacks));

	if (stacks == NULL)
		return NULL;
	stacks->callstacks = callstacks;
	stacks->looks = calloc(callstacks->chunk_count, sizeof(*stacks->looks));
	if (code_frames_init(&stacks->codes, reader, options) != 0 || stacks->looks == NULL) {
		site_stacks_free(stacks);
		errno = ENOMEM;
		return NULL;
	}
	return stacks;
}

static void free_looks(struct site_stacks *stacks)
{
	for (size_t i = 0; stacks->looks != NULL && i < stacks->callstacks->chunk_count; i++)
		free(stacks->looks[i]);
	free(stacks->looks);
	stacks->looks = NULL;
}

int site_stacks_finish(struct site_stacks *stacks)
{
	free_looks(stacks);
	id_table_fini(&stacks->index);
	code_frames_finish(&stacks->codes);
	for (size_t i = 0; i < PROFILE_WHOLE_STACKS; i++) {
		stacks->whole[i].frames =
		    malloc(stacks->longest * sizeof(*stacks->whole[i].frames) + 1);
		if (stacks->whole[i].frames == NULL)
			return -ENOMEM;
	}
	return 0;
}

void site_stacks_free(struct site_stacks *stacks)
{
	if (stacks == NULL)
		return;
	free_looks(stacks);
	id_table_fini(&stacks->index);
	for (size_t i = 0; i < PROFILE_WHOLE_STACKS; i++)
		free(stacks->whole[i].frames);
	while (stacks->pieces != NULL) {
		struct piece *piece = stacks->pieces;

		stacks->pieces = piece->next;
		free(piece);
	}
	free(stacks->stacks);
	free(stacks->starts);
	code_frames_fini(&stacks->codes);
	free(stacks);
}

/* Memory from the list's newest piece; NULL when there is none. */
static void *cut(struct piece **pieces, size_t bytes)
{
	struct piece *piece = *pieces;

	bytes = (bytes + sizeof(void *) - 1) & ~(sizeof(void *) - 1);
	if (piece == NULL || piece->left < bytes) {
		size_t size = bytes > PIECE_BYTES ? bytes : PIECE_BYTES;

		piece = malloc(sizeof(*piece) + size);
		if (piece == NULL)
			return NULL;
		*piece = (struct piece){.next = *pieces, .left = size, .bytes = size};
		*pieces = piece;
	}
	piece->left -= bytes;
	return piece->data + (piece->bytes - piece->left - bytes);
}

/* ---- walks ---- */

/* To the frames of the next node. Returns false behind the outermost. */
static bool walk_on(const struct site_stacks *stacks, struct walk *walk)
{
	uint32_t code;

	if (walk->node == CALLSTACK_ROOT)
		return false;
	code = callstack_code(stacks->callstacks, walk->node);
	walk->node = callstack_parent(stacks->callstacks, walk->node);
	walk->code = code == CALLSTACK_NO_CODE ? (struct code){0} : stacks->codes.codes[code];
	walk->at = 0;
	return true;
}

/* The number of the next frame. Returns false behind the outermost. */
static inline bool walk_next(const struct site_stacks *stacks, struct walk *walk, uint32_t *frame)
{
	while (walk->at == walk->code.count)
		if (!walk_on(stacks, walk))
			return false;
	*frame = walk->code.first + walk->at++;
	return true;
}

static struct walk walk_from(const struct site_stacks *stacks, const struct start *start)
{
	struct walk walk = {.node = start->node};
	uint32_t frame;

	if (start->node == CALLSTACK_ROOT)
		walk.code = stacks->codes.nowhere;
	for (uint32_t i = 0; i < start->skip; i++)
		walk_next(stacks, &walk, &frame);
	return walk;
}

/* ---- looks ---- */

/* Nearest to the root first, so that stacks that end alike begin with the same hash. */
static uint32_t add_looks(uint32_t hash, const uint32_t *looks, uint32_t count)
{
	while (count > 0) {
		uint64_t mixed = (hash ^ (uint64_t)looks[--count] << 32) * 0x9e3779b97f4a7c15ULL;

		hash = (uint32_t)(mixed >> 32) ^ (uint32_t)(mixed >> 16);
	}
	return hash != 0 ? hash : HASH_OF_NONE;
}

static struct node_look *look_at(struct site_stacks *stacks, uint32_t node)
{
	struct node_look **chunk = &stacks->looks[node / TRACE_NODES_CHUNK_WORDS];

	if (*chunk == NULL)
		*chunk = calloc(TRACE_NODES_CHUNK_WORDS, sizeof(**chunk));
	return *chunk == NULL ? NULL : *chunk + node % TRACE_NODES_CHUNK_WORDS;
}

/* The look of a node whose caller's is `outer`. */
static int make_look(struct site_stacks *stacks, uint32_t node, const struct node_look *outer,
		     struct node_look *look)
{
	uint32_t number = callstack_code(stacks->callstacks, node);
	const struct code *code;

	*look = *outer;
	if (number == CALLSTACK_NO_CODE)
		return 0;
	if (code_frames_resolve(&stacks->codes, &stacks->callstacks->codes[number], number) != 0)
		return -ENOMEM;
	code = &stacks->codes.codes[number];
	look->hash = add_looks(outer->hash, stacks->codes.looks + code->first, code->count);
	look->frames += code->count;
	return 0;
}

/* How the stack of a node looks; of its callers each is asked once. Returns 0 or -ENOMEM. */
static int find_look(struct site_stacks *stacks, uint32_t node, struct node_look *look)
{
	struct node_look *path[CALLSTACK_DEPTH_MAX + 1];
	uint32_t nodes[CALLSTACK_DEPTH_MAX + 1];
	size_t count = 0;

	*look = (struct node_look){.hash = HASH_OF_NONE};
	for (; node != CALLSTACK_ROOT && count <= CALLSTACK_DEPTH_MAX; count++) {
		path[count] = look_at(stacks, node);
		if (path[count] == NULL)
			return -ENOMEM;
		if (path[count]->hash != 0) {
			*look = *path[count];
			break;
		}
		nodes[count] = node;
		node = callstack_parent(stacks->callstacks, node);
	}
	while (count > 0) {
		count--;
		if (make_look(stacks, nodes[count], look, path[count]) != 0)
			return -ENOMEM;
		*look = *path[count];
	}
	return 0;
}

/* Whether the stack that is being added looks like another. */
static bool stack_same(const void *context, uint32_t id)
{
	const struct site_stacks *stacks = context;
	const uint32_t *looks = stacks->codes.looks;
	struct walk a, b;
	uint32_t x, y;

	if (stacks->stacks[stacks->count].count != stacks->stacks[id].count)
		return false;
	a = walk_from(stacks, &stacks->starts[stacks->count]);
	b = walk_from(stacks, &stacks->starts[id]);
	for (;;) {
		if (a.node == b.node && a.at == a.code.count && b.at == b.code.count)
			return true;
		if (!walk_next(stacks, &a, &x) || !walk_next(stacks, &b, &y))
			return true; /* both at once, for they are as long */
		if (looks[x] != looks[y])
			return false;
	}
}

/* ---- stacks ---- */

static int reserve_one(struct site_stacks *stacks)
{
	size_t count = stacks->count;
	void *larger;

	if (count != 0 && (count & (count - 1)) != 0)
		return 0;
	larger = reallocarray(stacks->stacks, count == 0 ? 1 : count * 2, sizeof(*stacks->stacks));
	if (larger == NULL)
		return -ENOMEM;
	stacks->stacks = larger;
	larger = reallocarray(stacks->starts, count == 0 ? 1 : count * 2, sizeof(*stacks->starts));
	if (larger == NULL)
		return -ENOMEM;
	stacks->starts = larger;
	return 0;
}

/*
 * Where the stack of a node begins, how long it is, and its hash. The allocator's own frames are
 * left out, but never all.
 */
static int begin(struct site_stacks *stacks, uint32_t node, struct start *start,
		 struct node_look *look)
{
	struct walk walk = {.node = node};
	struct node_look outer;
	uint32_t frame;
	int rc = find_look(stacks, node, look);

	*start = (struct start){.node = node};
	if (rc == 0 && look->frames == 0) {
		start->node = CALLSTACK_ROOT;
		rc = code_frames_nowhere(&stacks->codes);
		look->frames = 1;
		look->hash = 0;
		return rc;
	}
	if (rc != 0 || !stacks->codes.symbols)
		return rc;
	while (start->skip + 1 < look->frames && walk_next(stacks, &walk, &frame) &&
	       frame_rules_known_role(stacks->codes.frames[frame]) == FRAME_ROLE_INTERNAL)
		start->skip++;
	if (start->skip == 0)
		return 0;
	walk = walk_from(stacks, start);
	rc = find_look(stacks, walk.node, &outer);
	look->frames -= start->skip;
	look->hash = add_looks(outer.hash, stacks->codes.looks + walk.code.first + walk.at,
			       walk.code.count - walk.at);
	return rc;
}

/* Keeps the innermost frames of the stack that is being added: those up to its name, and some. */
static int keep(struct site_stacks *stacks, struct profile_stack *stack)
{
	const struct start *start = &stacks->starts[stacks->count];
	struct walk walk = walk_from(stacks, start);
	const struct profile_frame **frames;
	size_t kept;
	uint32_t frame;

	for (size_t i = 0; stacks->codes.symbols && walk_next(stacks, &walk, &frame); i++) {
		if (frame_rules_known_role(stacks->codes.frames[frame]) != FRAME_ROLE_PROGRAM)
			continue;
		stack->site_frame = i;
		break;
	}
	kept = stack->count - stack->site_frame > KEPT_BEYOND ? stack->site_frame + KEPT_BEYOND
							      : stack->count;
	frames = cut(&stacks->pieces, kept * sizeof(*frames));
	if (frames == NULL)
		return -ENOMEM;
	walk = walk_from(stacks, start);
	for (size_t i = 0; i < kept && walk_next(stacks, &walk, &frame); i++)
		frames[i] = stacks->codes.frames[frame];
	stack->frames = frames;
	stack->later = (uint32_t)(stack->count - kept);
	return 0;
}

int site_stacks_add(struct site_stacks *stacks, uint32_t site, uint32_t *number)
{
	const struct callstack_table *callstacks = stacks->callstacks;
	struct profile_stack *stack;
	struct node_look look;
	struct start *start;

	if (code_frames_reserve(&stacks->codes, callstacks->code_count) != 0 ||
	    reserve_one(stacks) != 0)
		return -ENOMEM;
	stack = &stacks->stacks[stacks->count];
	start = &stacks->starts[stacks->count];
	if (begin(stacks, callstacks->sites[site].node, start, &look) != 0)
		return -ENOMEM;
	*stack = (struct profile_stack){
	    .count = look.frames, .of = stacks, .number = (uint32_t)stacks->count};
	if (id_table_intern(&stacks->index, look.hash * 0x9e3779b97f4a7c15ULL >> 16, stack_same,
			    stacks, (uint32_t)stacks->count, number) != 0)
		return -ENOMEM;
	if (*number != stacks->count)
		return 0;
	stack->truncated = callstacks->sites[site].cut;
	if (keep(stacks, stack) != 0)
		return -ENOMEM;
	if (stack->count > stacks->longest)
		stacks->longest = stack->count;
	stacks->count++;
	return 0;
}

size_t site_stacks_count(const struct site_stacks *stacks)
{
	return stacks->count;
}

const struct profile_stack *site_stacks_get(const struct site_stacks *stacks, uint32_t number)
{
	return &stacks->stacks[number];
}

void site_stacks_drop(struct site_stacks *stacks, uint32_t count)
{
	void *smaller = realloc(stacks->stacks, (count + 1) * sizeof(*stacks->stacks));

	if (smaller != NULL)
		stacks->stacks = smaller;
}

const struct profile_frame *const *site_stacks_whole(struct site_stacks *stacks, uint32_t number)
{
	struct whole *oldest = &stacks->whole[0];
	struct walk walk;
	uint32_t frame;

	for (size_t i = 0; i < PROFILE_WHOLE_STACKS; i++) {
		struct whole *whole = &stacks->whole[i];

		if (whole->asked != 0 && whole->number == number) {
			whole->asked = ++stacks->asked;
			return whole->frames;
		}
		if (whole->asked < oldest->asked)
			oldest = whole;
	}
	oldest->number = number;
	oldest->asked = ++stacks->asked;
	walk = walk_from(stacks, &stacks->starts[number]);
	for (size_t i = 0; walk_next(stacks, &walk, &frame); i++)
		oldest->frames[i] = stacks->codes.frames[frame];
	return oldest->frames;
}
