#include "unwind_last.h"

#include <stdatomic.h>
#include <stddef.h>

#include "memprof/trace.h"

_Static_assert(UNWIND_LAST_FRAMES *UNWIND_STEP_CHECKS <= UINT16_MAX, "their number fits");

/* The first check of which the word has changed; `count`: none has. */
static unsigned first_changed(const struct memo_check *checks, unsigned count)
{
	const struct memo_check *check = checks, *end = checks + count;

	for (; end - check >= 4; check += 4)
		if (memo_changed(check) | memo_changed(check + 1) | memo_changed(check + 2) |
		    memo_changed(check + 3))
			break;
	while (check < end && !memo_changed(check))
		check++;
	return (unsigned)(check - checks);
}

/* Of these frames so many as are beyond open ones whose rules are others now. */
static unsigned ask_again(const struct unwind_last *last, unsigned known)
{
	for (unsigned i = 0; i < known; i++)
		if (last->frames[i].open &&
		    unwind_rule_kind(unwind_rule_of(last->frames[i].pc)) != UNWIND_RULE_UNKNOWN)
			return i;
	return known;
}

unsigned unwind_last_known(const struct unwind_last *last, uintptr_t sp, uintptr_t top)
{
	unsigned known = last->count, holding;

	if (known == 0 || last->frames[0].sp > top)
		return 0;
	known = unwind_last_ahead(last, known, sp);
	if (known == 0)
		return 0;
	holding = first_changed(last->checks, last->frames[known - 1].checks);
	while (last->frames[known - 1].checks > holding)
		known--;
	return last->opens ? ask_again(last, known) : known;
}

/* The checks of the step from a kept frame to the one before it. */
static void put_checks(struct unwind_last *last, struct unwind_last_frame *kept,
		       const struct unwind_reads *reads)
{
	const struct unwind_last_frame *caller = kept - 1;
	struct memo_check *check = &last->checks[caller->checks];

	*check++ = (struct memo_check){caller->pc, reads->ra};
	if (reads->cfa)
		*check++ = (struct memo_check){caller->sp, reads->cfa};
	if (reads->fp && caller->needs_fp)
		*check++ = (struct memo_check){caller->fp, reads->fp};
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
