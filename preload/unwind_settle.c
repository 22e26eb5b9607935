/* From the pieces of a walk to the id of its stack, from the outermost piece inward. */
#include <stdbool.h>
#include <stddef.h>

#include "memo.h"
#include "stacks.h"
#include "unwind_walk.h"

/* Ids of fresh frames, outermost first; the innermost's, 0: no room for a node. */
static uint32_t fresh_node(struct unwind_state *state, const struct unwind_piece *piece,
			   uint32_t outer)
{
	for (unsigned i = piece->cut; i-- > piece->from;) {
		outer = stacks_node(outer, state->fresh[i].frame.pc);
		state->fresh[i].node = outer;
		if (!outer)
			return 0;
	}
	return outer;
}

#define RUN_ENTRY                                                                                  \
	0x80000000U /* of a collected position: the first frame of its run in the chain            \
		     */

/*
 * Collects the frames of a chain up to `last` (0: to its end) in state->positions, or only those
 * inside a later run for which the join with *outer is known; *outer is then that join's id.
 */
static unsigned collect(struct unwind_state *state, memo_position position, memo_position last,
			uint32_t *outer)
{
	uint32_t entry = RUN_ENTRY;
	unsigned count = 0;

	while (count < UNWIND_DEPTH_MAX) {
		const struct memo_meta *meta = memo_meta_at(&state->memo, position);
		uint32_t node = 0;

		if (meta->kind == MEMO_LINK) {
			position = meta->link;
			entry = RUN_ENTRY;
			if (last)
				node = memo_join_find(&state->memo, position, last, *outer);
			if (node) {
				*outer = node;
				break;
			}
			continue;
		}
		if (meta->kind != MEMO_CHECK) {
			state->positions[count++] = position | entry;
			entry = 0;
		}
		if (position == last || meta->kind == MEMO_END)
			break;
		position++;
	}
	return count;
}

/* Interns a chain's frames up to `last`, keeping joins; `last` 0: all, keeping ids. */
static uint32_t intern_chain(struct unwind_state *state, memo_position first, memo_position last,
			     uint32_t outer)
{
	struct memo *memo = &state->memo;
	uint32_t node = outer;
	unsigned count = collect(state, first, last, &node);

	while (count-- > 0) {
		memo_position position = state->positions[count] & ~RUN_ENTRY;

		node = stacks_node(node, memo_check_at(memo, position)->value);
		if (!node)
			return 0;
		if (!last)
			memo_meta_at(memo, position)->node = node;
		else if (state->positions[count] & RUN_ENTRY)
			memo_join_keep(memo, position, last, outer, node);
	}
	return node;
}

static uint32_t chain_node(struct unwind_state *state, const struct unwind_piece *piece,
			   uint32_t outer)
{
	struct memo *memo = &state->memo;
	uint32_t node;

	if (piece->complete) {
		node = memo_meta_at(memo, piece->first)->node;
		return node ? node : intern_chain(state, piece->first, 0, 0);
	}
	node = memo_join_find(memo, piece->first, piece->last, outer);
	return node ? node : intern_chain(state, piece->first, piece->last, outer);
}

uint32_t unwind_settle(struct unwind_state *state)
{
	struct unwind_walk *walk = &state->walk;
	uint32_t node = walk->outer;

	for (unsigned i = walk->piece_count; i-- > 0;) {
		const struct unwind_piece *piece = &walk->pieces[i];
		uint32_t outer = node;

		node = piece->first ? chain_node(state, piece, outer)
				    : fresh_node(state, piece, outer);
		if (!node)
			return outer; /* no room for nodes any more */
	}
	for (unsigned i = walk->piece_count; i-- > 0;)
		if (!walk->pieces[i].first)
			unwind_keep(state, &walk->pieces[i],
				    i + 1 < walk->piece_count ? &walk->pieces[i + 1] : NULL);
	return node;
}
