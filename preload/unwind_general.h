/*
 * The general unwinder, for frames that no rule can say: whole register sets, CFI expressions,
 * signal frames. It starts in our own frames, where all registers are at hand, walks out to the
 * frame in question and on from there.
 *
 * Several hundred nanoseconds a frame, but no lock, no malloc and no libunwind: it runs wherever
 * the rest of the recorder runs. Reads are bounded as everywhere.
 */
#ifndef UNWIND_GENERAL_H
#define UNWIND_GENERAL_H

#include <stdint.h>

struct stack_bounds;

/*
 * Writes the return addresses of the callers of the frame {pc, sp} to `pcs`, innermost first, at
 * most `room`. Returns how many there are, which is more than `room` when there are more; 0 when
 * that frame was not reached or has no caller that can be found.
 */
unsigned unwind_general(struct stack_bounds *bounds, uintptr_t pc, uintptr_t sp, uintptr_t *pcs,
			unsigned room);

#endif
