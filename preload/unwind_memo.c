/*
 * The default backend. Most events find their whole stack in the thread's memo; others walk by
 * rules until they come upon the stack that was walked last.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "memo.h"
#include "memprof/trace.h"
#include "stack_bounds.h"
#include "stacks.h"
#include "unwind.h"
#include "unwind_general.h"
#include "unwind_memo.h"
#include "unwind_step.h"
#include "unwind_walk.h"

/* Of looking at all stacks of a set: */
#define WORTH_HIT 8   /* what one found pays for, in sets looked at in vain */
#define WORTH_MAX 256 /* no more is saved up */
#define WORTH_TRY 16  /* with nothing saved, one in so many is looked at */

_Static_assert(sizeof(struct unwind_state) <= UNWIND_MEMO_STATE_BYTES,
	       "the verifier makes room for it");

static int init(void)
{
	return 0; /* events may come before this: all that is needed is there from the start */
}

static void worth_looking(struct unwind_state *state)
{
	state->worth += state->worth < WORTH_MAX ? WORTH_HIT : 0;
}

/* ---- walking ---- */

/*
 * The walk goes on by a frame pointer, on a stack that is not the thread's own. That may be any
 * register's value, such as one from the coroutine that made this one, whose stack lies beside it
 * and may be given back while this one is still in use. So what is beyond is asked for in each walk
 * and none of it is kept.
 */
static __attribute__((noinline)) void look_anew(struct unwind_state *state)
{
	struct unwind_walk *walk = &state->walk;

	if (walk->guessed || !unwind_step_may_guess(&walk->frame, walk->top))
		return;
	walk->guessed = true;
	walk->top = stack_bounds_anew(&state->bounds, walk->origin_sp);
}

static bool by_guess(enum unwind_rule_kind kind)
{
	return kind == UNWIND_RULE_NO_CFI || kind == UNWIND_RULE_UNKNOWN;
}

/* Steps from the walk's frame, with another look at the bounds if they are in the way. */
static enum unwind_step step(struct unwind_state *state, struct unwind_reads *reads, bool *open)
{
	struct unwind_walk *walk = &state->walk;
	unwind_rule rule = unwind_rule_of(walk->frame.pc);
	enum unwind_rule_kind kind = unwind_rule_kind(rule);
	enum unwind_step result;

	if (__builtin_expect(by_guess(kind), 0) && walk->top != state->bounds.own.high)
		look_anew(state);
	result = unwind_step(&walk->frame, rule, walk->top, reads);
	*open = kind == UNWIND_RULE_UNKNOWN;
	/* What is beyond the bounds is asked for CFI's sake, not for a guess. */
	if (__builtin_expect(result == UNWIND_STEP_STOP, 0) &&
	    walk->top != state->bounds.own.high && !by_guess(kind)) {
		walk->top = stack_bounds_extend(&state->bounds, walk->origin_sp, walk->top);
		result = unwind_step(&walk->frame, rule, walk->top, reads);
	}
	return result;
}

/*
 * Walks outward from the walk's frame until it comes upon one of the first `ahead` frames of the
 * last stack beyond which all is as it was, to the end, or to where it is deep enough.
 */
static void walk_out(struct unwind_state *state, const struct unwind_last *last, unsigned ahead)
{
	struct unwind_walk *walk = &state->walk;
	/* Somewhat more than is wanted, so that it lasts while inner frames return. */
	unsigned limit = walk->max_depth + walk->max_depth / 2;

	walk->fresh_count = walk->joined = 0;
	walk->guessed = false;
	for (;;) {
		struct unwind_fresh *fresh = &state->fresh[walk->fresh_count];
		enum unwind_step result;

		ahead = unwind_last_ahead(last, ahead, walk->frame.sp);
		if (ahead > 0 && unwind_last_is(&last->frames[ahead - 1], &walk->frame) &&
		    last->frames[0].sp <= walk->top) {
			unsigned holding = unwind_last_holds(last, ahead);

			if (holding == ahead) {
				walk->joined = ahead;
				return;
			}
			ahead = holding;
		}
		if (walk->fresh_count == limit) {
			walk->end = UNWIND_END_DEEP;
			return;
		}
		fresh->frame = walk->frame;
		walk->fresh_count++;
		result = step(state, &fresh->reads, &fresh->open);
		if (result == UNWIND_STEP_CALLER)
			continue;
		walk->end = result == UNWIND_STEP_END ? UNWIND_END_NONE : UNWIND_END_UNKNOWN;
		return;
	}
}

/* Whether what is beyond the last stack's frames can be had without walking them again. */
static bool end_holds(struct unwind_state *state, const struct unwind_last *last)
{
	struct unwind_walk *walk = &state->walk;
	const struct unwind_last_frame *outermost = &last->frames[0];
	unsigned depth = walk->joined + walk->fresh_count;
	struct unwind_reads reads;
	enum unwind_step result;
	bool open;

	walk->end = last->end;
	if (depth > UNWIND_LAST_FRAMES)
		return false;
	if (__builtin_expect(last->end == UNWIND_END_NONE, 1))
		return true;
	if (last->end == UNWIND_END_DEEP)
		return depth >= walk->max_depth;
	walk->frame = (struct unwind_frame){outermost->pc, outermost->sp, outermost->fp};
	result = step(state, &reads, &open);
	return result == UNWIND_STEP_GENERAL || result == UNWIND_STEP_STOP;
}

/* The id of the callers of the outermost frame, as the general unwinder finds them. */
static uint32_t general_outer(struct unwind_state *state, const struct unwind_last_frame *outermost,
			      unsigned depth, struct unwind_counts *counts)
{
	unsigned room = state->walk.max_depth - depth;
	unsigned count =
	    unwind_general(&state->bounds, outermost->pc, outermost->sp, state->pcs, room);
	uint32_t node = 0;

	counts->fallbacks++;
	if (count > room) {
		counts->truncated++;
		count = room;
		node = TRACE_NODE_CUT;
	}
	while (count-- > 0) {
		uint32_t inner = stacks_node(node, state->pcs[count]);

		node = inner ? inner : node;
	}
	return node;
}

/* ---- ids ---- */

/* The id of what is beyond the recorded part of `depth` frames, which begins at `*first`. */
static uint32_t outer_of(struct unwind_state *state, const struct unwind_last *last, unsigned depth,
			 unsigned *first, struct unwind_counts *counts)
{
	const struct unwind_walk *walk = &state->walk;
	const struct unwind_last_frame *outermost = &last->frames[0];

	*first = 0;
	if (depth > walk->max_depth || (depth == walk->max_depth && walk->end == UNWIND_END_DEEP)) {
		counts->truncated++;
		*first = unwind_last_cut(last, depth, walk->max_depth);
		return TRACE_NODE_CUT;
	}
	if (walk->end == UNWIND_END_UNKNOWN &&
	    unwind_rule_kind(unwind_rule_of(outermost->pc)) == UNWIND_RULE_GENERAL)
		return general_outer(state, outermost, depth, counts);
	return 0;
}

/* The id of the innermost of `depth` frames, of which the joined ones have theirs. */
static uint32_t settle(struct unwind_state *state, struct unwind_last *last, unsigned depth,
		       struct unwind_counts *counts)
{
	unsigned from = state->walk.joined, first;
	uint32_t outer = outer_of(state, last, depth, &first, counts);
	uint32_t node;

	if (__builtin_expect(outer != last->outer || first != last->first, 0)) {
		last->count = 0;
		atomic_signal_fence(memory_order_seq_cst);
		last->outer = outer;
		last->first = first;
		from = first;
	}
	if (from < first)
		from = first;
	node = from > first ? last->frames[from - 1].node : outer;
	for (unsigned i = from; i < depth; i++) {
		uint32_t inner = stacks_node(node, last->frames[i].pc);

		if (!inner) {
			last->count = 0;
			return node;
		}
		last->frames[i].node = node = inner;
	}
	atomic_signal_fence(memory_order_seq_cst);
	if (depth > last->count && !state->walk.guessed)
		last->count = depth;
	return node;
}

/*
 * Puts a stack into the memo that is all of the last one's first `depth` frames; if it is there
 * already it was worth looking.
 */
static void keep(struct unwind_state *state, const struct unwind_last *last, unsigned depth,
		 const struct unwind_origin *origin)
{
	const struct unwind_last_frame *inner = &last->frames[depth - 1];
	uintptr_t reach = last->frames[0].sp - origin->sp;
	struct memo_stack stack = {.pc = origin->pc,
				   .sp = origin->sp,
				   .fp = origin->fp,
				   .fp_mask = inner->needs_fp ? UINTPTR_MAX : 0,
				   .node = inner->node,
				   .reach = (uint32_t)reach,
				   .frames = (uint16_t)depth,
				   .count = inner->checks};

	if (memo_find(&state->memo, origin, state->walk.top, depth, false, true))
		worth_looking(state);
	else if (reach <= UINT32_MAX)
		memo_keep(&state->memo, &stack, last->checks);
}

/* Whether the stack just walked is one that may come again and can be known by its checks alone. */
static bool worth_keeping(struct unwind_state *state, const struct unwind_last *last, uint32_t node)
{
	const struct unwind_walk *walk = &state->walk;

	return walk->end == UNWIND_END_NONE && last->first == 0 && !last->opens &&
	       last->count > 0 && memo_seen(&state->memo, node, walk->origin_sp);
}

/* ---- events ---- */

/* The last stack that was walked in the memory that `sp` lies in. */
static struct unwind_last *last_of(struct unwind_state *state, uintptr_t sp)
{
	if (__builtin_expect(stack_bounds_own(&state->bounds, sp), 1))
		return &state->lasts[0];
	return &state->lasts[1 + (sp >> 16) % (UNWIND_LASTS - 1)];
}

static uint32_t walk(struct unwind_state *state, const struct unwind_origin *origin, uintptr_t top,
		     unsigned max_depth, struct unwind_counts *counts)
{
	struct unwind_walk *walk = &state->walk;
	struct unwind_frame begin = {origin->pc, origin->sp, origin->fp};
	struct unwind_last *last = last_of(state, origin->sp);
	unsigned depth;
	uint32_t node;

	walk->frame = begin;
	walk->origin_sp = origin->sp;
	walk->top = top;
	walk->max_depth = max_depth < UNWIND_DEPTH_MAX ? max_depth : UNWIND_DEPTH_MAX;
	walk_out(state, last, unwind_last_below(last, origin->sp, top));
	if (walk->joined > 0 && !end_holds(state, last)) {
		walk->frame = begin;
		walk_out(state, last, 0);
	}
	depth = walk->joined;
	if (walk->fresh_count > 0)
		depth =
		    unwind_last_put(last, walk->joined, state->fresh, walk->fresh_count, walk->end);
	node = settle(state, last, depth, counts);
	if (walk->guessed)
		return node;
	if (walk->top != state->bounds.own.high)
		stack_bounds_proved(&state->bounds, origin->sp, last->frames[0].sp);
	if (worth_keeping(state, last, node))
		keep(state, last, depth, origin);
	return node;
}

/*
 * The stack if it is one of those kept, but not the one that began like it before; NULL: it is not.
 * Where stacks hardly ever return none of it is worth the time, and it is only tried now and then.
 */
static const struct memo_stack *other_known(struct unwind_state *state,
					    const struct unwind_origin *origin, uintptr_t top,
					    unsigned max_depth)
{
	bool own = stack_bounds_own(&state->bounds, origin->sp); /* then stack() looked at one */
	const struct memo_stack *known;

	if (!state->worth && ++state->doubts % WORTH_TRY && own)
		return NULL;
	known = memo_find(&state->memo, origin, top, max_depth, own, !own);
	if (known)
		worth_looking(state);
	else
		state->worth -= state->worth > 0;
	return known;
}

static void forget(struct unwind_state *state, uint32_t generation)
{
	for (unsigned i = 0; i < UNWIND_LASTS; i++)
		state->lasts[i].count = 0;
	/* Who is interrupted for good before all is forgotten finds the old generation again. */
	atomic_signal_fence(memory_order_seq_cst);
	memo_reset(&state->memo, generation);
}

/* As stack(), which does not begin as the one that began like it before, or not on this stack. */
__attribute__((noinline)) static uint32_t stack_of_others(void *memory,
							  const struct unwind_origin *origin,
							  unsigned max_depth,
							  struct unwind_counts *counts)
{
	struct unwind_state *state = memory;
	struct memo *memo = &state->memo;
	uint32_t generation = atomic_load_explicit(&unwind_generation, memory_order_acquire) + 1;
	uintptr_t top = stack_bounds_top(&state->bounds, origin->sp);
	const struct memo_stack *known;

	if (memo->generation != generation)
		forget(state, generation);
	known = other_known(state, origin, top, max_depth);
	return known ? known->node : walk(state, origin, top, max_depth, counts);
}

/* Most events end here: the stack is the one that began with this frame before. */
static uint32_t stack(void *memory, const struct unwind_origin *origin, unsigned max_depth,
		      struct unwind_counts *counts)
{
	struct unwind_state *state = memory;
	struct memo *memo = &state->memo;
	const struct memo_stack *known = memo_latest(memo, origin);

	if (__builtin_expect(
		memo->generation ==
			atomic_load_explicit(&unwind_generation, memory_order_acquire) + 1 &&
		    stack_bounds_own(&state->bounds, origin->sp) &&
		    memo_is_known(memo, known, origin, state->bounds.own.high, max_depth, true),
		1))
		return known->node;
	return stack_of_others(memory, origin, max_depth, counts);
}

const struct unwind_backend unwind_memo = {
    .name = "memo",
    .state_bytes = sizeof(struct unwind_state),
    .init = init,
    .stack = stack,
};
