#include <stdbool.h>
#include <stddef.h>

#include "memo.h"
#include "unwind_step.h"
#include "unwind_walk.h"

/* Where the next record of a run goes, and what stands in it. */
struct run {
	struct memo *memo;
	memo_position first, next, end;
	uintptr_t last_sp; /* of the record at `end`, and its kind */
	enum memo_kind end_kind;
	uintptr_t fp_where;	/* where fp was last restored from; 0: not in this run */
	memo_position fp_check; /* the check that has fp's value, if any has */
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
	if (needs_fp && (!reads || reads->fp)) {
		run->fp_check = run->next;
		put(run, MEMO_CHECK, frame->fp, reads ? reads->fp : 0);
	}
	if (reads && reads->fp)
		run->fp_where = reads->fp;
	meta = memo_meta_at(run->memo, run->next);
	put(run, kind, frame->pc, reads ? reads->ra : 0);
	meta->sp = frame->sp;
	meta->end = run->end;
	meta->end_kind = (uint8_t)run->end_kind;
	meta->reach = run->last_sp - frame->sp < UINT32_MAX ? (uint32_t)(run->last_sp - frame->sp)
							    : UINT32_MAX;
	meta->fp_check = needs_fp ? (uint16_t)(run->next - 1 - run->fp_check) : 0;
	meta->fp_below = run->fp_where ? (uint32_t)(frame->sp - run->fp_where) : 0;
	return meta;
}

/* Records that a run of these frames takes; decides which of them need fp. */
static unsigned plan_run(struct unwind_fresh *fresh, unsigned count, bool outer_needs_fp, bool link)
{
	unsigned records = link ? 1 + (outer_needs_fp && fresh[count - 1].reads.fp) : 0;
	bool needs_fp = outer_needs_fp;

	for (unsigned i = count; i-- > 0;) {
		if (fresh[i].reads.cfa && (i + 1 < count || link))
			records++;
		needs_fp =
		    !fresh[i].open && (fresh[i].reads.used_fp || (needs_fp && !fresh[i].reads.fp));
		fresh[i].needs_fp = needs_fp;
		records += 1 + (needs_fp && (i == 0 || fresh[i - 1].reads.fp));
	}
	return records;
}

/*
 * The frame at a position as a walk would find it, fp only where the chain depends on it. False: it
 * has been overwritten, wholly or in part.
 */
static bool kept_frame(struct memo *memo, memo_position position, struct unwind_frame *frame,
		       bool *needs_fp)
{
	const struct memo_meta *meta = memo_meta_at(memo, position);

	if (!memo_alive(memo, position) || !memo_alive(memo, position - meta->fp_check))
		return false;
	frame->pc = memo_check_at(memo, position)->value;
	frame->sp = meta->sp;
	frame->fp = memo_check_at(memo, position - meta->fp_check)->value;
	*needs_fp = meta->fp_check != 0;
	return true;
}

/* Keeps fresh frames [from, to) as one run that leads to `target`, 0: to nothing kept. */
static void keep_run(struct unwind_state *state, unsigned from, unsigned to, memo_position target,
		     bool ended, bool nodes_hold)
{
	struct memo *memo = &state->memo;
	struct unwind_fresh *fresh = state->fresh;
	const struct unwind_reads *reads = NULL;
	struct unwind_frame outer = {0};
	bool outer_needs_fp = false;
	struct run run = {.memo = memo};
	unsigned records;

	if (target && !kept_frame(memo, target, &outer, &outer_needs_fp))
		target = 0;
	records = plan_run(fresh + from, to - from, outer_needs_fp, target != 0);
	run.first = run.next = memo_reserve(memo, records);
	run.end = run.first + records - 1;
	if (!run.first)
		return;
	run.end_kind = target ? MEMO_LINK : ended ? MEMO_END : MEMO_OPEN;
	run.last_sp = target ? outer.sp : fresh[to - 1].frame.sp;
	for (unsigned i = from; i < to; i++) {
		enum memo_kind kind = i + 1 == to && !target ? run.end_kind : MEMO_FRAME;
		struct memo_meta *meta;

		meta = put_frame(&run, kind, &fresh[i].frame, reads, fresh[i].needs_fp);
		meta->frames = (uint16_t)(to - i);
		meta->node = nodes_hold ? fresh[i].node : 0;
		reads = &fresh[i].reads;
	}
	if (target)
		put_frame(&run, MEMO_LINK, &outer, reads, outer_needs_fp)->link = target;
	memo_publish(memo, run.first, records);
}

/* A run for each stretch of frames up to one that must be asked each time. */
void unwind_keep(struct unwind_state *state, const struct unwind_piece *piece,
		 const struct unwind_piece *outer)
{
	const struct unwind_fresh *fresh = state->fresh;
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
