/*
 * DWARF expressions, as far as call frame information uses them (DWARF 5 section 2.5): a stack
 * machine over registers and bounded memory.
 */
#ifndef CFI_EXPR_H
#define CFI_EXPR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch.h"

struct cfi_context {
	const uintptr_t *registers; /* ARCH_CFI_REGISTERS of them, as of the frame */
	uintptr_t cfa;		    /* for DW_OP_call_frame_cfa; 0 where there is none */
	uintptr_t low, high;	    /* memory that may be read */
};

/*
 * Evaluates `length` bytes of expression on a stack that holds `initial` when has_initial (as
 * DW_CFA_expression wants). 0 and *result, or -EINVAL: broken, unknown, or out of bounds.
 */
int cfi_evaluate(const struct cfi_context *context, const uint8_t *bytes, size_t length,
		 bool has_initial, uintptr_t initial, uintptr_t *result);

#endif
