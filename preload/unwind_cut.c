/*
 * A recursion that goes deeper than is kept would, if always cut at the same count of frames, have
 * a stack of its own with each frame more, which shares no node with the last. So the cut is made
 * before a frame that stays the same for a while: the one of the outermost quarter whose sp has the
 * least hash (the minimizers of Roberts et al., Bioinformatics 20, 2004, over frames).
 */
#include <stdbool.h>

#include "memprof/trace.h"
#include "unwind_walk.h"

/* Where a stack that is too deep may be cut: before a frame of a piece. */
struct cut {
	uint64_t rank; /* of the best frame so far */
	unsigned skip; /* frames yet that must stay */
	unsigned piece;
	unsigned fresh;	     /* the frame, when the piece is of fresh ones; else */
	memo_position inner; /* the frame inside it, 0: it is the piece's first */
};

/* Whether the next frame, whose sp is given, is the best so far. */
static bool cut_here(struct cut *cut, uintptr_t sp)
{
	uint64_t rank = (sp >> 3) * 0x9e3779b97f4a7c15U;

	if (cut->skip > 0) {
		cut->skip--;
		return false;
	}
	if (rank >= cut->rank)
		return false;
	cut->rank = rank;
	return true;
}

static void find_cut_of_chain(struct unwind_state *state, unsigned piece, struct cut *cut)
{
	memo_position position = state->walk.pieces[piece].first, inner = 0;

	for (;;) {
		const struct memo_meta *meta = memo_meta_at(&state->memo, position);

		if (meta->kind == MEMO_LINK) {
			position = meta->link;
			continue;
		}
		if (meta->kind != MEMO_CHECK) {
			if (cut_here(cut, meta->sp)) {
				cut->piece = piece;
				cut->inner = inner;
			}
			inner = position;
		}
		if (position++ == state->walk.pieces[piece].last)
			return;
	}
}

void unwind_cut_back(struct unwind_state *state)
{
	struct unwind_walk *walk = &state->walk;
	struct cut cut = {.rank = UINT64_MAX, .skip = walk->max_depth - walk->max_depth / 4};

	if (walk->max_depth < TRACE_CUT_DEPTH)
		return;
	for (unsigned i = 0; i < walk->piece_count; i++) {
		if (walk->pieces[i].first) {
			find_cut_of_chain(state, i, &cut);
			continue;
		}
		for (unsigned j = walk->pieces[i].from; j < walk->pieces[i].to; j++) {
			if (!cut_here(&cut, state->fresh[j].frame.sp))
				continue;
			cut.piece = i;
			cut.fresh = j;
		}
	}
	if (walk->pieces[cut.piece].first)
		walk->pieces[cut.piece].last = cut.inner;
	else
		walk->pieces[cut.piece].cut = cut.fresh;
	/* Nothing of the piece may be left. */
	walk->piece_count = cut.piece + 1;
	if (walk->pieces[cut.piece].first ? !cut.inner : cut.fresh == walk->pieces[cut.piece].from)
		walk->piece_count--;
}
