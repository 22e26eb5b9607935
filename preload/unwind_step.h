/*
 * One step of a walk: from a frame to its caller's, by the frame's rule.
 *
 * A step is a pure function of the frame, of the rule for its pc, and of the words it reads; it
 * says which words those were, so that the same step can later be proved by reading them again.
 */
#ifndef UNWIND_STEP_H
#define UNWIND_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "arch.h"
#include "unwind_rule.h"

/* A frame as its callee's return will find it. */
struct unwind_frame {
	uintptr_t pc; /* return address into it */
	uintptr_t sp;
	uintptr_t fp;
};

/* Addresses of the words that a step read; 0: it had no need to. */
struct unwind_reads {
	uintptr_t ra;
	uintptr_t fp;
	uintptr_t cfa; /* of a realigned frame: where the CFA is kept */
	bool used_fp;  /* the frame's fp decided where the others are */
};

enum unwind_step {
	UNWIND_STEP_CALLER,  /* the frame is now the caller's */
	UNWIND_STEP_END,     /* it was the outermost */
	UNWIND_STEP_GENERAL, /* ask the general unwinder; the frame is as it was */
	UNWIND_STEP_STOP,    /* nowhere to go within the bounds; the frame is as it was */
};

/* Without CFI a frame pointer is believed when it is no further up than this. */
#define UNWIND_GUESS_BYTES 0x10000

/* A word of the stack; the compiler is not to reason about where it may lie. */
static inline uintptr_t unwind_load(uintptr_t address)
{
	__asm__("" : "+r"(address));
	return *(const uintptr_t *)address;
}

/* Reads what `reads` names, all of it in [sp, top), and moves the frame to its caller. */
static inline enum unwind_step unwind_step_to(struct unwind_frame *frame, uintptr_t cfa,
					      uintptr_t top, const struct unwind_reads *reads)
{
	if (cfa <= frame->sp || cfa > top || cfa % 8 || reads->ra < frame->sp || reads->ra >= cfa ||
	    (reads->fp && (reads->fp < frame->sp || reads->fp >= cfa)))
		return UNWIND_STEP_STOP;
	uintptr_t pc = arch_strip_pc(unwind_load(reads->ra));
	if (!pc)
		return UNWIND_STEP_STOP;
	if (reads->fp)
		frame->fp = unwind_load(reads->fp);
	frame->pc = pc;
	frame->sp = cfa;
	return UNWIND_STEP_CALLER;
}

/* Whether the frame pointer is one that may be believed without CFI. */
static inline bool unwind_step_may_guess(const struct unwind_frame *frame, uintptr_t top)
{
	return frame->fp >= frame->sp && frame->fp - frame->sp <= UNWIND_GUESS_BYTES &&
	       frame->fp % 8 == 0 && frame->fp + 16 <= top;
}

/* The frame pointer of `frame` points at {caller's fp, return address}, or we stop. */
static inline enum unwind_step unwind_step_guess(struct unwind_frame *frame, uintptr_t top,
						 struct unwind_reads *reads)
{
	reads->used_fp = true;
	if (!unwind_step_may_guess(frame, top))
		return UNWIND_STEP_STOP;
	reads->fp = frame->fp;
	reads->ra = frame->fp + 8;
	return unwind_step_to(frame, frame->fp + 16, top, reads);
}

/*
 * Steps by `rule`, which is the frame's, reading nothing outside [frame->sp, top). `reads` is
 * filled in when the answer is UNWIND_STEP_CALLER; the frame changes only then.
 */
static inline enum unwind_step unwind_step(struct unwind_frame *frame, unwind_rule rule,
					   uintptr_t top, struct unwind_reads *reads)
{
	uintptr_t cfa = unwind_rule_cfa(rule);

	*reads = (struct unwind_reads){0};
	switch (unwind_rule_kind(rule)) {
	case UNWIND_RULE_SP:
		cfa += frame->sp;
		break;
	case UNWIND_RULE_FP:
		reads->used_fp = true;
		cfa += frame->fp;
		break;
	case UNWIND_RULE_REALIGN:
		reads->used_fp = true;
		reads->cfa = frame->fp - cfa;
		if (reads->cfa < frame->sp || frame->fp % 8 || frame->fp + 8 > top ||
		    frame->fp < reads->cfa)
			return UNWIND_STEP_STOP;
		cfa = unwind_load(reads->cfa);
		reads->fp = frame->fp;
		reads->ra = cfa - 8;
		return unwind_step_to(frame, cfa, top, reads);
	case UNWIND_RULE_END:
		return UNWIND_STEP_END;
	case UNWIND_RULE_NO_CFI:
	case UNWIND_RULE_UNKNOWN:
		return unwind_step_guess(frame, top, reads);
	default:
		return UNWIND_STEP_GENERAL;
	}
	if (unwind_rule_fp(rule))
		reads->fp = cfa - unwind_rule_fp(rule);
	reads->ra = ARCH_RA_AT_CFA ? cfa - 8 : reads->fp + 8;
	return unwind_step_to(frame, cfa, top, reads);
}

#endif
