#include "unwind_last.h"

#include <stdatomic.h>
#include <stddef.h>

#include "memprof/trace.h"

_Static_assert(UNWIND_LAST_FRAMES *UNWIND_STEP_CHECKS <= UINT16_MAX, "their number fits");

unsigned unwind_last_below(const struct unwind_last *last, uintptr_t sp, uintptr_t top)
{
	if (last->count == 0 || last->frames[0].sp > top)
		return 0;
	return unwind_last_ahead(last, last->count, sp);
}

/* As unwind_last_holds(), where some rules must be asked for again. */
static unsigned ask_and_check(const struct unwind_last *last, unsigned count)
{
	for (unsigned i = count; i-- > 0;) {
		const struct unwind_last_frame *frame = &last->frames[i];
		unsigned beyond = i > 0 ? frame[-1].checks : 0;

		if (frame->open &&
		    unwind_rule_kind(unwind_rule_of(frame->pc)) != UNWIND_RULE_UNKNOWN)
			return i;
		if (!memo_hold_in_turn(&last->checks[beyond], frame->checks - beyond))
			return i;
	}
	return count;
}

unsigned unwind_last_holds(const struct unwind_last *last, unsigned count)
{
	unsigned checks = last->frames[count - 1].checks;

	if (last->opens)
		return ask_and_check(last, count);
	if (__builtin_expect(memo_hold_in_turn(last->checks, checks), 1))
		return count;
	return ask_and_check(last, count);
}

/* The checks of the step from a kept frame to the one before it. */
static void put_checks(struct unwind_last *last, struct unwind_last_frame *kept,
		       const struct unwind_reads *reads)
{
	const struct unwind_last_frame *caller = kept - 1;
	struct memo_check *check = &last->checks[caller->checks];

	/* They are read from the last on: what decides where another is comes after it. */
	*check++ = (struct memo_check){caller->pc, reads->ra};
	if (reads->fp && caller->needs_fp)
		*check++ = (struct memo_check){caller->fp, reads->fp};
	if (reads->cfa)
		*check++ = (struct memo_check){caller->sp, reads->cfa};
	kept->needs_fp = reads->used_fp || (!reads->fp && caller->needs_fp);
	kept->checks = (uint16_t)(check - last->checks);
}

unsigned unwind_last_put(struct unwind_last *last, unsigned joined,
			 const struct unwind_fresh *fresh, unsigned count, enum unwind_end end)
{
	struct unwind_last_frame *kept = &last->frames[joined];

	last->count = joined;
	atomic_signal_fence(memory_order_seq_cst);
	if (joined == 0) {
		last->end = end;
		last->opens = false;
	}
	for (unsigned i = count; i-- > 0; kept++) {
		kept->pc = fresh[i].frame.pc;
		kept->sp = fresh[i].frame.sp;
		kept->fp = fresh[i].frame.fp;
		kept->open = fresh[i].open;
		last->opens |= fresh[i].open;
		if (kept != last->frames) {
			put_checks(last, kept, &fresh[i].reads);
		} else {
			kept->checks = 0;
			kept->needs_fp = end != UNWIND_END_NONE;
		}
	}
	return joined + count;
}

/*
 * A recursion that goes deeper than is kept would, if always cut at the same count of frames, have
 * a stack of its own with each frame more, which shares no node with the last. So the cut is made
 * before a frame that stays the same for a while: the one of the outermost quarter whose sp has the
 * least hash (the minimizers of Roberts et al., Bioinformatics 20, 2004, over frames).
 */
unsigned unwind_last_cut(const struct unwind_last *last, unsigned count, unsigned max_depth)
{
	unsigned outermost = count - max_depth, cut = outermost;
	uint64_t least = UINT64_MAX;

	if (max_depth < TRACE_CUT_DEPTH)
		return outermost;
	for (unsigned i = outermost + max_depth / 4; i-- > outermost;) {
		uint64_t rank = (last->frames[i].sp >> 3) * 0x9e3779b97f4a7c15U;

		if (rank >= least)
			continue;
		least = rank;
		cut = i;
	}
	return cut + 1;
}
