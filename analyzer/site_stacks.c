/*
 * Of a stack the innermost frames are at hand, for those are looked at in all stacks. Thousands of
 * stacks have the same ones, which are kept once. The rest is made anew from the nodes when it is
 * asked for, which is for the few that are printed.
 */
#include "site_stacks.h"

#include "frame_rules.h"
#include "id_table.h"
#include "stack_looks.h"

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

struct stack {
	struct stack_start start;
	uint32_t inner : 31; /* those at hand */
	uint32_t cut : 1;
};

/* The innermost frames of stacks. */
struct inner {
	const struct profile_frame *const *frames;
	uint32_t count;
	uint32_t site_frame; /* see profile_stack */
};

/* A stack whose frames were all asked for. */
struct whole {
	uint32_t number;
	uint64_t asked; /* when it was asked for last; 0: never */
	const struct profile_frame **frames;
};

/* A way into a stack, of so many frames; 0: none. */
struct way {
	uint32_t number;
	uint32_t frame; /* the last of them */
	size_t frames;
	struct stack_walk walk;
};

struct site_stacks {
	struct stack_looks looks;
	struct stack *stacks; /* by number */
	size_t count;
	size_t room;
	size_t longest; /* frames */
	struct inner *inner;
	size_t inner_count;
	struct id_table inner_index;
	const struct profile_frame **met; /* room for the frames that are being looked at */
	size_t met_room;
	struct piece *pieces; /* the innermost frames */
	struct whole whole[PROFILE_WHOLE_STACKS];
	uint64_t asked; /* how often for whole stacks */
	struct way way; /* to the single frame that was asked for last */
};

/* ---- the table ---- */

struct site_stacks *site_stacks_new(struct trace_reader *reader,
				    const struct callstack_table *callstacks,
				    const struct profile_options *options)
{
	struct site_stacks *stacks = calloc(1, sizeof(*stacks));

	if (stacks == NULL)
		return NULL;
	if (stack_looks_init(&stacks->looks, reader, callstacks, options) != 0) {
		site_stacks_free(stacks);
		errno = ENOMEM;
		return NULL;
	}
	return stacks;
}

/* What only adding needs. */
static void free_met(struct site_stacks *stacks)
{
	id_table_fini(&stacks->inner_index);
	free(stacks->met);
	stacks->met = NULL;
	stacks->met_room = 0;
}

int site_stacks_finish(struct site_stacks *stacks)
{
	free_met(stacks);
	stack_looks_finish(&stacks->looks);
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
	free_met(stacks);
	for (size_t i = 0; i < PROFILE_WHOLE_STACKS; i++)
		free(stacks->whole[i].frames);
	while (stacks->pieces != NULL) {
		struct piece *piece = stacks->pieces;

		stacks->pieces = piece->next;
		free(piece);
	}
	free(stacks->inner);
	free(stacks->stacks);
	stack_looks_fini(&stacks->looks);
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

/* ---- stacks ---- */

static int reserve_met(struct site_stacks *stacks, size_t count)
{
	const struct profile_frame **larger;

	if (count <= stacks->met_room)
		return 0;
	larger = reallocarray(stacks->met, count * 2, sizeof(*larger));
	if (larger == NULL)
		return -ENOMEM;
	stacks->met = larger;
	stacks->met_room = count * 2;
	return 0;
}

/* Whether innermost frames, as long as another's, are the same: those that were just met. */
static bool inner_same(const void *context, uint32_t id)
{
	const struct site_stacks *stacks = context;
	const struct inner *met = &stacks->inner[stacks->inner_count], *inner = &stacks->inner[id];

	if (met->count != inner->count || met->site_frame != inner->site_frame)
		return false;
	for (uint32_t i = 0; i < inner->count; i++)
		if (stacks->met[i] != inner->frames[i])
			return false;
	return true;
}

/* The number of the innermost frames that were just met, which are kept if they are new. */
static int intern_inner(struct site_stacks *stacks, uint32_t count, uint32_t site_frame,
			uint32_t *number)
{
	size_t next = stacks->inner_count;
	uint64_t hash = count;
	void *frames;

	if ((next & (next - 1)) == 0) {
		void *larger =
		    reallocarray(stacks->inner, next == 0 ? 1 : next * 2, sizeof(*stacks->inner));

		if (larger == NULL)
			return -ENOMEM;
		stacks->inner = larger;
	}
	stacks->inner[next] = (struct inner){.count = count, .site_frame = site_frame};
	for (size_t i = 0; i < count; i++)
		hash = (hash ^ (uintptr_t)stacks->met[i]) * 0x9e3779b97f4a7c15ULL;
	if (id_table_intern(&stacks->inner_index, (uint32_t)(hash >> 32), inner_same, stacks,
			    (uint32_t)next, number) != 0)
		return -ENOMEM;
	if (*number != next)
		return 0;
	frames = cut(&stacks->pieces, count * sizeof(*stacks->met));
	if (frames == NULL)
		return -ENOMEM;
	memcpy(frames, stacks->met, count * sizeof(*stacks->met));
	stacks->inner[next].frames = frames;
	stacks->inner_count++;
	return 0;
}

/*
 * Keeps the innermost frames of a stack that begins, those up to its name, and some: on the way
 * that its beginning was found by, while its nodes are at hand.
 */
static int keep(struct site_stacks *stacks, struct stack *stack, struct stack_walk *walk)
{
	const struct code_frames *codes = &stacks->looks.codes;
	const struct stack_start *start = &stack->start;
	uint32_t count, frame, number, met = 0, site_frame = start->count;

	if (reserve_met(stacks, start->count) != 0)
		return -ENOMEM;
	if (!codes->symbols)
		site_frame = 0;
	while (met < start->count && met < site_frame + KEPT_BEYOND &&
	       stack_walk_next(&stacks->looks, walk, &frame)) {
		stacks->met[met] = codes->frames[frame];
		if (met < site_frame && codes->roles[frame] == FRAME_ROLE_PROGRAM)
			site_frame = met;
		met++;
	}
	if (site_frame == start->count)
		site_frame = 0;
	count = start->count - site_frame > KEPT_BEYOND ? site_frame + KEPT_BEYOND : start->count;
	if (intern_inner(stacks, count, site_frame, &number) != 0)
		return -ENOMEM;
	stack->inner = number & (UINT32_MAX >> 1);
	return 0;
}

/* ---- a batch of them ---- */

/* A stack of those that are being added. */
struct hashed {
	uint32_t hash;
	uint32_t at; /* its place among them */
};

/*
 * By their hash's low SORTED_BITS; what has the same stays in its order. `room` is as long, and
 * gets the result. Few buckets at a time, so that where each of them goes on stays in the nearest
 * cache.
 */
#define SORTED_BITS 24
static void sort_by_hash(struct hashed *from, struct hashed *room, size_t count)
{
	enum { BITS = 8, BUCKETS = 1 << BITS };

	for (unsigned shift = 0; shift < SORTED_BITS; shift += BITS) {
		size_t places[BUCKETS] = {0}, place = 0;
		struct hashed *to = room;

		for (size_t i = 0; i < count; i++)
			places[(from[i].hash >> shift) % BUCKETS]++;
		for (size_t i = 0; i < BUCKETS; i++) {
			size_t bucket = places[i];

			places[i] = place;
			place += bucket;
		}
		for (size_t i = 0; i < count; i++)
			to[places[(from[i].hash >> shift) % BUCKETS]++] = from[i];
		room = from;
		from = to;
	}
}
_Static_assert(SORTED_BITS / 8 % 2 == 1, "an odd number of times, so that it ends in `room`");

/*
 * For each of the stacks, which are sorted by hash, the place of the first that looks the same.
 * Sorting is an order faster than looking up each in a table that no cache holds.
 */
static void find_alike(const struct stack_looks *looks, const struct stack *stacks,
		       const struct hashed *sorted, size_t count, uint32_t *alike)
{
	for (size_t i = 0, run = 0; i < count; i++) {
		uint32_t at = sorted[i].at;

		if (((sorted[i].hash ^ sorted[run].hash) & ((1u << SORTED_BITS) - 1)) != 0)
			run = i;
		alike[at] = at;
		for (size_t j = run; j < i; j++) {
			uint32_t other = sorted[j].at;

			if (sorted[j].hash == sorted[i].hash && alike[other] == other &&
			    stack_looks_same(looks, &stacks[at].start, &stacks[other].start)) {
				alike[at] = other;
				break;
			}
		}
	}
}

/* Begins the stacks of the wanted sites, in `added`, and says their hashes. */
static int begin_all(struct site_stacks *stacks, const uint32_t *numbers, size_t count,
		     struct stack *added, struct hashed *hashed)
{
	const struct callstack_site *sites = stacks->looks.callstacks->sites;
	struct stack_walk walk;
	uint32_t at = 0;

	for (size_t i = 0; i < count; i++) {
		if (numbers[i] == SITE_STACKS_NONE)
			continue;
		if (stack_looks_begin(&stacks->looks, sites[i].node, &added[at].start, &walk,
				      &hashed[at].hash) != 0 ||
		    keep(stacks, &added[at], &walk) != 0)
			return -ENOMEM;
		added[at].cut = sites[i].cut;
		hashed[at].at = at;
		at++;
	}
	return 0;
}

/* Gives the stacks behind the last their numbers; of those that are alike the first one stays. */
static void number_all(struct site_stacks *stacks, uint32_t *numbers, size_t count, uint32_t *alike)
{
	const struct stack *added = stacks->stacks + stacks->count;
	uint32_t at = 0;

	for (size_t i = 0; i < count; i++) {
		struct stack *stack = &stacks->stacks[stacks->count];

		if (numbers[i] == SITE_STACKS_NONE)
			continue;
		if (alike[at] == at) {
			*stack = added[at];
			if (stack->start.count > stacks->longest)
				stacks->longest = stack->start.count;
			alike[at] = (uint32_t)stacks->count++;
		} else {
			alike[at] = alike[alike[at]];
		}
		numbers[i] = alike[at++];
	}
}

/* For some more than that, too: after many there are a few of another kind. */
static int reserve_stacks(struct site_stacks *stacks, size_t count)
{
	size_t room = count + count / 16 + 1;
	struct stack *larger;

	if (count <= stacks->room)
		return 0;
	larger = reallocarray(stacks->stacks, room, sizeof(*larger));
	if (larger == NULL)
		return -ENOMEM;
	stacks->stacks = larger;
	stacks->room = room;
	return 0;
}

int site_stacks_add(struct site_stacks *stacks, uint32_t *numbers, size_t count)
{
	struct hashed *hashed;
	size_t wanted = 0;
	int rc;

	for (size_t i = 0; i < count; i++)
		wanted += numbers[i] != SITE_STACKS_NONE;
	if (reserve_stacks(stacks, stacks->count + wanted + 1) != 0)
		return -ENOMEM;
	hashed = malloc((2 * wanted + 1) * sizeof(*hashed));
	if (hashed == NULL ||
	    code_frames_reserve(&stacks->looks.codes, stacks->looks.callstacks->code_count) != 0) {
		free(hashed);
		return -ENOMEM;
	}
	rc = begin_all(stacks, numbers, count, stacks->stacks + stacks->count, hashed);
	if (rc == 0) {
		uint32_t *alike = (uint32_t *)hashed;

		sort_by_hash(hashed, hashed + wanted, wanted);
		find_alike(&stacks->looks, stacks->stacks + stacks->count, hashed + wanted, wanted,
			   alike);
		number_all(stacks, numbers, count, alike);
	}
	free(hashed);
	return rc;
}

size_t site_stacks_count(const struct site_stacks *stacks)
{
	return stacks->count;
}

void site_stacks_get(struct site_stacks *stacks, uint32_t number, struct profile_stack *stack)
{
	const struct stack *from = &stacks->stacks[number];
	const struct inner *inner = &stacks->inner[from->inner];

	*stack = (struct profile_stack){.frames = inner->frames,
					.count = from->start.count,
					.site_frame = inner->site_frame,
					.truncated = from->cut,
					.later = from->start.count - inner->count,
					.number = number,
					.of = stacks};
}

const struct profile_frame *site_stacks_frame(struct site_stacks *stacks, uint32_t number,
					      size_t at)
{
	struct way *way = &stacks->way;

	if (way->frames == 0 || way->number != number || way->frames > at + 1)
		*way = (struct way){
		    .number = number,
		    .walk = stack_walk_from(&stacks->looks, &stacks->stacks[number].start)};
	for (; way->frames <= at; way->frames++)
		if (!stack_walk_next(&stacks->looks, &way->walk, &way->frame))
			break;
	return stacks->looks.codes.frames[way->frame];
}

const struct profile_frame *const *site_stacks_whole(struct site_stacks *stacks, uint32_t number)
{
	struct whole *oldest = &stacks->whole[0];
	struct stack_walk walk;
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
	walk = stack_walk_from(&stacks->looks, &stacks->stacks[number].start);
	for (size_t i = 0; stack_walk_next(&stacks->looks, &walk, &frame); i++)
		oldest->frames[i] = stacks->looks.codes.frames[frame];
	return oldest->frames;
}
