/*
 * The default backend: the thread's memo for stacks it has seen, rules for fresh frames.
 *
 * Most events find their whole stack in one chain of the memo. Otherwise a path of known and fresh
 * pieces is walked; unwind_settle.c finds its id and keeps what was fresh.
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

#define REWALK_BREAKS 128 /* every so many broken chains, a walk is kept as one run of its own */
#define REWALK_LINKED 16  /* and every so many known ones of several runs */

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

/* Not zero: the word that the check is about has changed. */
static inline uintptr_t changed(const struct memo_check *check)
{
	return arch_strip_pc(unwind_load(check->where)) ^ check->value;
}

/*
 * Whether the `count` checks after `check` all hold: four at a time, with one branch for each four.
 * The last four are those at the end, some of them once more, which costs less than counting them.
 */
static inline bool all_hold(const struct memo_check *check, unsigned count)
{
	const struct memo_check *last = check + count;

	if (count < 4) {
		while (check < last)
			if (changed(++check))
				return false;
		return true;
	}
	for (; last - check > 4; check += 4)
		if (changed(check + 1) | changed(check + 2) | changed(check + 3) |
		    changed(check + 4))
			return false;
	return !(changed(last) | changed(last - 1) | changed(last - 2) | changed(last - 3));
}

/* The first record of (from, to] whose check is not true any more; to + 1: all are. */
static inline memo_position first_untrue(struct memo *memo, memo_position from, memo_position to)
{
	const struct memo_check *check = memo_check_at(memo, from);
	memo_position position = from;

	while (position++ < to)
		if (changed(++check))
			return position;
	return position;
}

/* Whether the run from `meta`, which is at `position`, holds, within these bounds. */
static inline bool run_holds(struct memo *memo, memo_position position,
			     const struct memo_meta *meta, uintptr_t top, unsigned room)
{
	return meta->reach <= top - meta->sp && meta->frames <= room &&
	       all_hold(memo_check_at(memo, position), meta->end - position);
}

/* How far a chain can be followed within one run. */
struct stretch {
	memo_position last; /* last frame that holds */
	unsigned frames;    /* up to and with it */
	bool whole;	    /* all of the run holds */
};

static struct stretch cut_stretch(struct memo *memo, memo_position position, memo_position end,
				  unsigned room)
{
	struct stretch stretch = {position, 1, false};

	while (++position < end && stretch.frames < room) {
		uint8_t kind = memo_meta_at(memo, position)->kind;

		if (kind == MEMO_CHECK || kind == MEMO_LINK)
			continue;
		stretch.last = position;
		stretch.frames++;
	}
	return stretch;
}

/* Reads again what the run from `position` on read, of at most `room` frames. */
static inline struct stretch check_run(struct memo *memo, memo_position position, uintptr_t top,
				       unsigned room)
{
	const struct memo_meta *meta = memo_meta_at(memo, position);
	memo_position untrue;

	if (__builtin_expect(memo_meta_at(memo, meta->end)->sp > top, 0))
		return (struct stretch){position, 1, false};
	untrue = first_untrue(memo, position, meta->end);
	if (__builtin_expect(untrue > meta->end && meta->frames <= room, 1))
		return (struct stretch){meta->end, meta->frames, true};
	return cut_stretch(memo, position, untrue, room);
}

/* Where fp at the record was last restored from, by a frame not inside `entry`; else `before`. */
static uintptr_t fp_source(struct memo *memo, memo_position position, memo_position entry,
			   uintptr_t before)
{
	const struct memo_meta *meta = memo_meta_at(memo, position);
	uintptr_t where = meta->sp - meta->fp_below;

	return meta->fp_below && where >= memo_meta_at(memo, entry)->sp ? where : before;
}

/*
 * Follows the chain from `position`, which is the walk's frame, as far as it holds; the walk's
 * frame is then the last that does. Returns whether that is the outermost.
 */
static bool follow(struct unwind_state *state, memo_position position)
{
	struct memo *memo = &state->memo;
	struct unwind_walk *walk = &state->walk;
	struct unwind_piece *piece = &walk->pieces[walk->piece_count++];
	memo_position run = position; /* where this run was entered */
	uintptr_t fp_where = 0;
	struct stretch stretch;
	const struct memo_meta *last;

	piece->first = position;
	piece->complete = false;
	for (;;) {
		stretch = check_run(memo, run, walk->top, walk->max_depth - walk->depth);
		walk->depth += stretch.frames;
		if (!stretch.whole)
			break;
		last = memo_meta_at(memo, stretch.last);
		if (last->kind == MEMO_END) {
			piece->complete = true;
			walk->frame.sp = last->sp;
			return true;
		}
		if (last->kind == MEMO_OPEN)
			break;
		/* A link: its record is not a frame, but the next run's first is. */
		if (walk->depth == walk->max_depth || !memo_alive(memo, last->link)) {
			stretch = cut_stretch(memo, run, stretch.last, UNWIND_DEPTH_MAX);
			break;
		}
		fp_where = fp_source(memo, stretch.last, run, fp_where);
		run = last->link;
	}
	fp_where = fp_source(memo, stretch.last, run, fp_where);
	piece->last = stretch.last;
	walk->frame.pc = memo_check_at(memo, stretch.last)->value;
	walk->frame.sp = memo_meta_at(memo, stretch.last)->sp;
	if (fp_where)
		walk->frame.fp = unwind_load(fp_where);
	return false;
}

static struct unwind_fresh *add_fresh(struct unwind_state *state)
{
	struct unwind_walk *walk = &state->walk;
	struct unwind_fresh *fresh = &state->fresh[walk->fresh_count];

	if (walk->piece_count == 0 || walk->pieces[walk->piece_count - 1].first)
		walk->pieces[walk->piece_count++] =
		    (struct unwind_piece){.from = walk->fresh_count};
	walk->pieces[walk->piece_count - 1].cut = walk->pieces[walk->piece_count - 1].to =
	    ++walk->fresh_count;
	walk->depth++;
	fresh->frame = walk->frame;
	return fresh;
}

/* Steps from the walk's frame, with another look at the bounds if they are in the way. */
static enum unwind_step step(struct unwind_state *state, uintptr_t origin_sp,
			     struct unwind_reads *reads, bool *open)
{
	struct unwind_walk *walk = &state->walk;
	unwind_rule rule = unwind_rule_of(walk->frame.pc);
	enum unwind_rule_kind kind = unwind_rule_kind(rule);
	enum unwind_step result = unwind_step(&walk->frame, rule, walk->top, reads);

	*open = kind == UNWIND_RULE_UNKNOWN;
	/* What is beyond the bounds is asked for CFI's sake, not for a guess. */
	if (result == UNWIND_STEP_STOP && walk->top != state->bounds.own.high &&
	    kind != UNWIND_RULE_NO_CFI && kind != UNWIND_RULE_UNKNOWN) {
		walk->top = stack_bounds_extend(&state->bounds, origin_sp, walk->top);
		result = unwind_step(&walk->frame, rule, walk->top, reads);
	}
	return result;
}

/* The id of the callers of the walk's frame, as the general unwinder finds them. */
static uint32_t general_outer(struct unwind_state *state, struct unwind_counts *counts)
{
	struct unwind_walk *walk = &state->walk;
	unsigned room = walk->max_depth - walk->depth;
	unsigned count =
	    unwind_general(&state->bounds, walk->frame.pc, walk->frame.sp, state->pcs, room);
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

/* Walks outward from state->walk.frame until the end, making pieces. */
static void walk_out(struct unwind_state *state, bool use_memo, struct unwind_counts *counts)
{
	struct unwind_walk *walk = &state->walk;
	uintptr_t origin_sp = walk->frame.sp;

	for (;;) {
		struct unwind_fresh *fresh = NULL;
		struct unwind_reads reads;
		enum unwind_step result;
		memo_position known = 0;
		bool open;

		if (walk->depth == walk->max_depth) {
			counts->truncated++;
			walk->outer = TRACE_NODE_CUT;
			unwind_cut_back(state);
			return;
		}
		if (use_memo && walk->piece_count < UNWIND_PIECES_MAX - 1)
			known =
			    memo_find(&state->memo, walk->frame.pc, walk->frame.sp, walk->frame.fp);
		if (!known)
			fresh = add_fresh(state);
		else if (follow(state, known))
			return;
		result = step(state, origin_sp, &reads, &open);
		if (fresh) {
			fresh->reads = reads;
			fresh->open =
			    open || (result != UNWIND_STEP_CALLER && result != UNWIND_STEP_END);
		}
		if (result == UNWIND_STEP_GENERAL)
			walk->outer = general_outer(state, counts);
		walk->ended = result == UNWIND_STEP_END;
		if (result != UNWIND_STEP_CALLER)
			return;
	}
}

static void begin(struct unwind_state *state, const struct unwind_origin *origin,
		  unsigned max_depth)
{
	struct unwind_walk *walk = &state->walk;

	walk->frame = (struct unwind_frame){origin->pc, origin->sp, origin->fp};
	walk->top = stack_bounds_top(&state->bounds, origin->sp);
	walk->max_depth = max_depth < UNWIND_DEPTH_MAX ? max_depth : UNWIND_DEPTH_MAX;
	walk->depth = walk->fresh_count = walk->piece_count = 0;
	walk->outer = 0;
	walk->ended = false;
}

/*
 * Whether this walk should be made again as one run of its own: a chain that keeps breaking tells
 * that the stacks it was part of are gone.
 */
static bool rewalk_due(struct unwind_state *state)
{
	const struct unwind_walk *walk = &state->walk;

	if (walk->piece_count < 2 || !walk->pieces[0].first)
		return false;
	return ++state->breaks % REWALK_BREAKS == 0;
}

/* Walks the whole stack by its rules and keeps it as one run. */
static uint32_t walk_afresh(struct unwind_state *state, const struct unwind_origin *origin,
			    unsigned max_depth)
{
	struct unwind_counts uncounted = {0};

	begin(state, origin, max_depth);
	walk_out(state, false, &uncounted);
	return unwind_settle(state);
}

__attribute__((noinline)) static uint32_t walk(struct unwind_state *state,
					       const struct unwind_origin *origin,
					       unsigned max_depth, struct unwind_counts *counts)
{
	uint32_t node;

	begin(state, origin, max_depth);
	walk_out(state, true, counts);
	node = unwind_settle(state);
	if (rewalk_due(state))
		node = walk_afresh(state, origin, max_depth);
	if (state->walk.top != state->bounds.own.high)
		stack_bounds_proved(&state->bounds, origin->sp, state->walk.frame.sp);
	return node;
}

/* As stack(), of which the first run, at `position`, holds, but leads to another. */
__attribute__((noinline)) static uint32_t stack_of_runs(struct unwind_state *state,
							const struct unwind_origin *origin,
							memo_position position, unsigned max_depth,
							struct unwind_counts *counts)
{
	struct memo *memo = &state->memo;
	const struct memo_meta *meta = memo_meta_at(memo, position);
	uintptr_t top = stack_bounds_top(&state->bounds, origin->sp);
	uint32_t node = meta->node;
	unsigned room = max_depth;

	while (node && meta->end_kind == MEMO_LINK) {
		room -= meta->frames;
		position = memo_meta_at(memo, meta->end)->link;
		meta = memo_meta_at(memo, position);
		if (!memo_alive(memo, position) || !run_holds(memo, position, meta, top, room))
			node = 0;
	}
	if (!node || meta->end_kind != MEMO_END)
		return walk(state, origin, max_depth, counts);
	if (++state->linked % REWALK_LINKED == 0)
		walk_afresh(state, origin, max_depth);
	return node;
}

/* Whether the stack that begins at `origin` is this one; words up to `top` may be read. */
static inline bool is_known(const struct memo *memo, const struct memo_stack *known,
			    const struct unwind_origin *origin, uintptr_t top, unsigned room)
{
	return !((known->pc ^ origin->pc) | (known->sp ^ origin->sp) |
		 ((known->fp ^ origin->fp) & known->fp_mask)) &&
	       memo_alive(memo, known->first) && known->reach <= top - origin->sp &&
	       known->frames <= room && all_hold(known->checks, known->count);
}

/*
 * The stack of this set that begins at `origin`, NULL: none does. The one at `first` is looked at
 * last, as it was most likely looked at by stack(). Where stacks hardly ever return none of it is
 * worth the time, and it is only tried now and then.
 */
static const struct memo_stack *other_known(struct unwind_state *state,
					    const struct memo_stack *set, unsigned first,
					    const struct unwind_origin *origin, uintptr_t top,
					    unsigned max_depth)
{
	bool looked = stack_bounds_own(&state->bounds, origin->sp);

	if (!state->worth && ++state->doubts % WORTH_TRY && looked)
		return NULL;
	for (unsigned i = 1; i < MEMO_WAYS || (i == MEMO_WAYS && !looked); i++) {
		const struct memo_stack *known = &set[(first + i) % MEMO_WAYS];

		if (!is_known(&state->memo, known, origin, top, max_depth))
			continue;
		state->worth += state->worth < WORTH_MAX ? WORTH_HIT : 0;
		return known;
	}
	state->worth -= state->worth > 0;
	return NULL;
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
	unsigned latest = memo_latest_of(origin->pc, origin->sp);
	const struct memo_stack *set = memo->stacks[latest % MEMO_SETS], *known;
	unsigned first = memo->latest[latest];
	const struct memo_meta *meta;
	memo_position position;

	if (memo->generation != generation)
		memo_reset(memo, generation);
	known = other_known(state, set, first, origin, top, max_depth);
	if (known) {
		memo->latest[latest] = (uint8_t)(known - set);
		return known->node;
	}
	position = memo_find(memo, origin->pc, origin->sp, origin->fp);
	meta = memo_meta_at(memo, position);
	if (!position || set[first].first == position ||
	    !run_holds(memo, position, meta, top, max_depth))
		return walk(state, origin, max_depth, counts);
	if (meta->end_kind != MEMO_END || !meta->node)
		return stack_of_runs(state, origin, position, max_depth, counts);
	memo_keep_stack(memo, position);
	return meta->node;
}

/* Most events end here: the stack is the one that began with this frame before. */
static uint32_t stack(void *memory, const struct unwind_origin *origin, unsigned max_depth,
		      struct unwind_counts *counts)
{
	struct unwind_state *state = memory;
	struct memo *memo = &state->memo;
	unsigned latest = memo_latest_of(origin->pc, origin->sp);
	const struct memo_stack *known = &memo->stacks[latest % MEMO_SETS][memo->latest[latest]];

	if (__builtin_expect(
		memo->generation ==
			atomic_load_explicit(&unwind_generation, memory_order_acquire) + 1 &&
		    stack_bounds_own(&state->bounds, origin->sp) &&
		    is_known(memo, known, origin, state->bounds.own.high, max_depth),
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
