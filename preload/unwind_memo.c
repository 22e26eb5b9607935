/*
 * The default backend: rules for fresh frames, the thread's memo for known ones.
 *
 * A walk is a path of pieces, innermost first. A piece is either fresh frames, stepped by their
 * rules, or part of a chain of the memo whose checks held. Ids are found from the outermost piece
 * inward; then fresh pieces are put into the memo.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "memo.h"
#include "stack_bounds.h"
#include "stacks.h"
#include "unwind.h"
#include "unwind_general.h"
#include "unwind_memo.h"
#include "unwind_step.h"

#define DEPTH_MAX     1024 /* MEMPROF_DEPTH goes no higher */
#define PIECES_MAX    24
#define REWALK_BREAKS 128 /* every so many broken chains, a walk is kept as one run of its own */

struct fresh {
	struct unwind_frame frame;
	struct unwind_reads reads; /* of the step to its caller */
	uint32_t node;
	bool open;     /* its rule must be asked for each time */
	bool needs_fp; /* the walk from here depends on fp */
};

struct piece {
	memo_position first; /* 0: fresh frames */
	memo_position last;  /* of a chain: its last frame that holds */
	unsigned from, to;   /* of fresh frames: where in `fresh` */
	bool complete;	     /* a chain that holds to its outermost frame */
};

struct walk {
	struct unwind_frame frame;
	uintptr_t top;
	unsigned depth; /* frames in pieces */
	unsigned max_depth;
	unsigned fresh_count;
	unsigned piece_count;
	uint32_t outer; /* id of what is beyond the last piece */
	bool ended;	/* the last frame is the outermost */
	struct piece pieces[PIECES_MAX];
};

struct state {
	struct stack_bounds bounds;
	unsigned breaks;
	struct walk walk;
	struct memo memo;
	union {
		memo_position positions[DEPTH_MAX];
		uintptr_t pcs[DEPTH_MAX];
	};
	struct fresh fresh[DEPTH_MAX];
};

_Static_assert(sizeof(struct state) <= UNWIND_MEMO_STATE_BYTES, "the verifier makes room for it");

static int init(void)
{
	return 0; /* events may come before this: all that is needed is there from the start */
}

/* The first record of (from, to] whose check is not true any more; to + 1: all are. */
static inline memo_position first_untrue(struct memo *memo, memo_position from, memo_position to)
{
	const struct memo_check *check = memo_check_at(memo, from);
	memo_position position = from;

	while (position++ < to) {
		check++;
		if (arch_strip_pc(unwind_load(check->where)) != check->value)
			return position;
	}
	return position;
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
static bool follow(struct state *state, memo_position position)
{
	struct memo *memo = &state->memo;
	struct walk *walk = &state->walk;
	struct piece *piece = &walk->pieces[walk->piece_count++];
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
			stretch = cut_stretch(memo, run, stretch.last, DEPTH_MAX);
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

static struct fresh *add_fresh(struct state *state)
{
	struct walk *walk = &state->walk;
	struct fresh *fresh = &state->fresh[walk->fresh_count];

	if (walk->piece_count == 0 || walk->pieces[walk->piece_count - 1].first)
		walk->pieces[walk->piece_count++] = (struct piece){.from = walk->fresh_count};
	walk->pieces[walk->piece_count - 1].to = ++walk->fresh_count;
	walk->depth++;
	fresh->frame = walk->frame;
	return fresh;
}

/* Steps from the walk's frame, with another look at the bounds if they are in the way. */
static enum unwind_step step(struct state *state, uintptr_t origin_sp, struct unwind_reads *reads,
			     bool *open)
{
	struct walk *walk = &state->walk;
	unwind_rule rule = unwind_rule_of(walk->frame.pc);
	enum unwind_step result = unwind_step(&walk->frame, rule, walk->top, reads);

	*open = unwind_rule_kind(rule) == UNWIND_RULE_UNKNOWN;
	if (result == UNWIND_STEP_STOP && walk->top != state->bounds.own.high) {
		walk->top = stack_bounds_extend(&state->bounds, origin_sp, walk->top);
		result = unwind_step(&walk->frame, rule, walk->top, reads);
	}
	return result;
}

/* The id of the callers of the walk's frame, as the general unwinder finds them. */
static uint32_t general_outer(struct state *state, struct unwind_counts *counts)
{
	struct walk *walk = &state->walk;
	unsigned room = walk->max_depth - walk->depth;
	unsigned count =
	    unwind_general(&state->bounds, walk->frame.pc, walk->frame.sp, state->pcs, room);
	uint32_t node = 0;

	counts->fallbacks++;
	if (count > room) {
		counts->truncated++;
		count = room;
	}
	while (count-- > 0) {
		uint32_t inner = stacks_node(node, state->pcs[count]);

		node = inner ? inner : node;
	}
	return node;
}

/* Walks outward from state->walk.frame until the end, making pieces. */
static void walk_out(struct state *state, bool use_memo, struct unwind_counts *counts)
{
	struct walk *walk = &state->walk;
	uintptr_t origin_sp = walk->frame.sp;

	for (;;) {
		struct fresh *fresh = NULL;
		struct unwind_reads reads;
		enum unwind_step result;
		memo_position known = 0;
		bool open;

		if (walk->depth == walk->max_depth) {
			counts->truncated++;
			return;
		}
		if (use_memo && walk->piece_count < PIECES_MAX - 1)
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

/* Ids of fresh frames, outermost first; the innermost's, 0: no room for a node. */
static uint32_t fresh_node(struct state *state, const struct piece *piece, uint32_t outer)
{
	for (unsigned i = piece->to; i-- > piece->from;) {
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
static unsigned collect(struct state *state, memo_position position, memo_position last,
			uint32_t *outer)
{
	uint32_t entry = RUN_ENTRY;
	unsigned count = 0;

	while (count < DEPTH_MAX) {
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
static uint32_t intern_chain(struct state *state, memo_position first, memo_position last,
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

static uint32_t chain_node(struct state *state, const struct piece *piece, uint32_t outer)
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

/* Where the next record of a run goes, and what stands in it. */
struct run {
	struct memo *memo;
	memo_position first, next, end;
	uintptr_t fp_where; /* where fp was last restored from; 0: not in this run */
};

static void put(struct run *run, enum memo_kind kind, uintptr_t value, uintptr_t where)
{
	struct memo_check *check = memo_check_at(run->memo, run->next);

	check->value = value;
	check->where = where ? where : (uintptr_t)&check->value;
	memo_meta_at(run->memo, run->next++)->kind = (uint8_t)kind;
}

/* The checks that lead to `frame`, whose callee's step was `reads` (NULL: a run's first). */
static struct memo_meta *put_frame(struct run *run, enum memo_kind kind,
				   const struct unwind_frame *frame,
				   const struct unwind_reads *reads, bool needs_fp)
{
	struct memo_meta *meta;

	if (reads && reads->cfa)
		put(run, MEMO_CHECK, frame->sp, reads->cfa);
	if (needs_fp)
		put(run, MEMO_CHECK, frame->fp, reads ? reads->fp : 0);
	if (reads && reads->fp)
		run->fp_where = reads->fp;
	meta = memo_meta_at(run->memo, run->next);
	put(run, kind, frame->pc, reads ? reads->ra : 0);
	meta->sp = frame->sp;
	meta->end = run->end;
	meta->needs_fp = needs_fp;
	meta->fp_below = run->fp_where ? (uint32_t)(frame->sp - run->fp_where) : 0;
	return meta;
}

/* Records that a run of these frames takes; decides which of them need fp. */
static unsigned plan_run(struct fresh *fresh, unsigned count, bool outer_needs_fp, bool link)
{
	unsigned records = link ? 1 + outer_needs_fp : 0;
	bool needs_fp = outer_needs_fp;

	for (unsigned i = count; i-- > 0;) {
		if (fresh[i].reads.cfa && (i + 1 < count || link))
			records++;
		needs_fp =
		    !fresh[i].open && (fresh[i].reads.used_fp || (needs_fp && !fresh[i].reads.fp));
		fresh[i].needs_fp = needs_fp;
		records += 1 + needs_fp;
	}
	return records;
}

/* The frame at a position as a walk would find it; fp only where the chain depends on it. */
static struct unwind_frame kept_frame(struct memo *memo, memo_position position)
{
	const struct memo_meta *meta = memo_meta_at(memo, position);
	struct unwind_frame frame = {memo_check_at(memo, position)->value, meta->sp, 0};

	if (meta->needs_fp)
		frame.fp = memo_check_at(memo, position - 1)->value;
	return frame;
}

/* Keeps fresh frames [from, to) as one run that leads to `target`, 0: to nothing kept. */
static void keep_run(struct state *state, unsigned from, unsigned to, memo_position target,
		     bool ended, bool nodes_hold)
{
	struct memo *memo = &state->memo;
	struct fresh *fresh = state->fresh;
	const struct unwind_reads *reads = NULL;
	struct unwind_frame outer = {0};
	bool outer_needs_fp = false;
	struct run run = {.memo = memo};
	unsigned records;

	if (target && !memo_alive(memo, target))
		target = 0;
	if (target) {
		outer = kept_frame(memo, target);
		outer_needs_fp = memo_meta_at(memo, target)->needs_fp;
	}
	records = plan_run(fresh + from, to - from, outer_needs_fp, target != 0);
	run.first = run.next = memo_reserve(memo, records);
	run.end = run.first + records - 1;
	if (!run.first)
		return;
	for (unsigned i = from; i < to; i++) {
		enum memo_kind kind = MEMO_FRAME;
		struct memo_meta *meta;

		if (i + 1 == to && !target)
			kind = ended ? MEMO_END : MEMO_OPEN;
		meta = put_frame(&run, kind, &fresh[i].frame, reads, fresh[i].needs_fp);
		meta->frames = (uint16_t)(to - i);
		meta->node = nodes_hold ? fresh[i].node : 0;
		reads = &fresh[i].reads;
	}
	if (target)
		put_frame(&run, MEMO_LINK, &outer, reads, outer_needs_fp)->link = target;
	memo_publish(memo, run.first, records);
}

/* Keeps a piece of fresh frames: a run for each stretch up to one that must be asked each time. */
static void keep_piece(struct state *state, const struct piece *piece, const struct piece *outer)
{
	const struct fresh *fresh = state->fresh;
	unsigned from = piece->from;

	for (unsigned to = from + 1; to <= piece->to; to++) {
		bool last = to == piece->to;
		bool open = fresh[to - 1].open;

		if (!last && !open)
			continue;
		keep_run(state, from, to, last && outer && !open ? outer->first : 0,
			 last && !outer && state->walk.ended,
			 last && (outer ? outer->complete : state->walk.ended));
		from = to;
	}
}

/* The id of the path walked, from the outermost piece inward; keeps what was fresh. */
static uint32_t settle(struct state *state)
{
	struct walk *walk = &state->walk;
	uint32_t node = walk->outer;

	for (unsigned i = walk->piece_count; i-- > 0;) {
		const struct piece *piece = &walk->pieces[i];
		uint32_t outer = node;

		node = piece->first ? chain_node(state, piece, outer)
				    : fresh_node(state, piece, outer);
		if (!node)
			return outer; /* no room for nodes any more */
	}
	for (unsigned i = walk->piece_count; i-- > 0;)
		if (!walk->pieces[i].first)
			keep_piece(state, &walk->pieces[i],
				   i + 1 < walk->piece_count ? &walk->pieces[i + 1] : NULL);
	return node;
}

static void begin(struct state *state, const struct unwind_origin *origin, unsigned max_depth)
{
	struct walk *walk = &state->walk;

	walk->frame = (struct unwind_frame){origin->pc, origin->sp, origin->fp};
	walk->top = stack_bounds_top(&state->bounds, origin->sp);
	walk->max_depth = max_depth < DEPTH_MAX ? max_depth : DEPTH_MAX;
	walk->depth = walk->fresh_count = walk->piece_count = 0;
	walk->outer = 0;
	walk->ended = false;
}

/*
 * Whether this walk should be made again as one run of its own: a chain that keeps breaking tells
 * that the stacks it was part of are gone.
 */
static bool rewalk_due(struct state *state)
{
	const struct walk *walk = &state->walk;

	if (walk->piece_count < 2 || !walk->pieces[0].first)
		return false;
	return ++state->breaks % REWALK_BREAKS == 0;
}

static uint32_t stack(void *memory, const struct unwind_origin *origin, unsigned max_depth,
		      struct unwind_counts *counts)
{
	struct state *state = memory;
	struct unwind_counts uncounted = {0};
	uint32_t generation = atomic_load_explicit(&unwind_generation, memory_order_acquire);
	uint32_t node;

	if (!state->memo.head || state->memo.generation != generation)
		memo_reset(&state->memo, generation);
	begin(state, origin, max_depth);
	walk_out(state, true, counts);
	node = settle(state);
	if (rewalk_due(state)) {
		begin(state, origin, max_depth);
		walk_out(state, false, &uncounted);
		node = settle(state);
	}
	if (state->walk.top != state->bounds.own.high)
		stack_bounds_proved(&state->bounds, origin->sp, state->walk.frame.sp);
	return node;
}

const struct unwind_backend unwind_memo = {
    .name = "memo",
    .state_bytes = sizeof(struct state),
    .init = init,
    .stack = stack,
};
