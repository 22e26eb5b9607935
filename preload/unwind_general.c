#include "unwind_general.h"

#include <stdbool.h>
#include <stddef.h>

#include "arch.h"
#include "cfi.h"
#include "cfi_expr.h"
#include "stack_bounds.h"
#include "unwind_rule.h"
#include "unwind_step.h"

#define OWN_FRAMES_MAX	 32
#define STACK_SWITCH_MAX 4 /* signal handlers on stacks of their own, one inside the other */

/* All registers as of a frame, by DWARF number; that of the return address register is not kept. */
struct cursor {
	uintptr_t registers[ARCH_CFI_REGISTERS];
	uintptr_t pc;
	uintptr_t top; /* of the stack that the frame is on */
	struct stack_bounds *bounds;
	unsigned switches;
	bool interrupted; /* pc is where a signal came, not a return address */
};

/* The registers that calls preserve, and where we are; CFI leads from here to all others. */
#if defined(__x86_64__)
#define CAPTURE(cursor)                                                                            \
	__asm__ volatile("lea 0f(%%rip), %%rax\n\t"                                                \
			 "mov %%rbx, 24(%1)\n\t"                                                   \
			 "mov %%rbp, 48(%1)\n\t"                                                   \
			 "mov %%rsp, 56(%1)\n\t"                                                   \
			 "mov %%r12, 96(%1)\n\t"                                                   \
			 "mov %%r13, 104(%1)\n\t"                                                  \
			 "mov %%r14, 112(%1)\n\t"                                                  \
			 "mov %%r15, 120(%1)\n"                                                    \
			 "0:"                                                                      \
			 : "=&a"((cursor)->pc)                                                     \
			 : "r"((cursor)->registers)                                                \
			 : "memory")
#else
#define CAPTURE(cursor)                                                                            \
	__asm__ volatile("adr %0, 0f\n\t"                                                          \
			 "stp x19, x20, [%1, 152]\n\t"                                             \
			 "stp x21, x22, [%1, 168]\n\t"                                             \
			 "stp x23, x24, [%1, 184]\n\t"                                             \
			 "stp x25, x26, [%1, 200]\n\t"                                             \
			 "stp x27, x28, [%1, 216]\n\t"                                             \
			 "stp x29, x30, [%1, 232]\n\t"                                             \
			 "mov x9, sp\n\t"                                                          \
			 "str x9, [%1, 248]\n"                                                     \
			 "0:"                                                                      \
			 : "=&r"((cursor)->pc)                                                     \
			 : "r"((cursor)->registers)                                                \
			 : "memory", "x9")
#endif

/* The caller's value of register `reg`, as its place says. */
static bool recover(const struct cfi_module *module, const struct cfi_context *context,
		    const struct cfi_place *place, unsigned reg, uintptr_t *value)
{
	uintptr_t at = context->cfa + (uintptr_t)(intptr_t)place->offset;
	const uint8_t *bytes;
	size_t length;

	switch (place->kind) {
	case CFI_SAME:
		*value = context->registers[reg];
		return true;
	case CFI_UNDEFINED:
		*value = 0;
		return true;
	case CFI_VALUE:
		*value = at;
		return true;
	case CFI_REGISTER:
		*value = (uint32_t)place->offset < ARCH_CFI_REGISTERS
			     ? context->registers[place->offset]
			     : 0;
		return true;
	case CFI_OFFSET:
		break;
	default:
		if (cfi_expression(module, place->offset, &bytes, &length) != 0 ||
		    cfi_evaluate(context, bytes, length, true, context->cfa, &at) != 0)
			return false;
		if (place->kind == CFI_VALUE_EXPRESSION) {
			*value = at;
			return true;
		}
	}
	if (at < context->low || at % 8 || at + 8 > context->high)
		return false;
	*value = unwind_load(at);
	return true;
}

static bool find_cfa(const struct cfi_module *module, const struct cfi_row *row,
		     struct cfi_context *context)
{
	const uint8_t *bytes;
	size_t length;

	context->cfa = 0;
	if (!row->cfa_expression) {
		context->cfa =
		    context->registers[row->cfa_register] + (uintptr_t)(intptr_t)row->cfa_offset;
		return true;
	}
	return cfi_expression(module, row->cfa_offset, &bytes, &length) == 0 &&
	       cfi_evaluate(context, bytes, length, false, 0, &context->cfa) == 0;
}

/* What may be read above sp. Where earlier walks had no need of more, it is looked at again. */
static uintptr_t find_top(struct stack_bounds *bounds, uintptr_t sp)
{
	return stack_bounds_extend(bounds, sp, stack_bounds_top(bounds, sp));
}

/* Takes over the caller's registers; a frame further in than its callee is on another stack. */
static bool move_to(struct cursor *cursor, const uintptr_t *registers, uintptr_t pc,
		    bool signal_frame)
{
	uintptr_t sp = registers[ARCH_CFI_SP];

	if (!pc || sp % 8)
		return false;
	if (sp <= cursor->registers[ARCH_CFI_SP] || sp > cursor->top) {
		if (!signal_frame || cursor->switches++ == STACK_SWITCH_MAX)
			return false;
		cursor->top = find_top(cursor->bounds, sp);
	}
	for (unsigned i = 0; i < ARCH_CFI_REGISTERS; i++)
		cursor->registers[i] = registers[i];
	cursor->pc = pc;
	cursor->interrupted = signal_frame;
	return true;
}

static bool step_by_row(struct cursor *cursor, const struct cfi_module *module,
			const struct cfi_fde *fde, uintptr_t pc)
{
	struct cfi_row row;
	uintptr_t registers[ARCH_CFI_REGISTERS];
	uintptr_t ra;
	struct cfi_context context = {.registers = cursor->registers,
				      .low = cursor->registers[ARCH_CFI_SP],
				      .high = cursor->top};

	if (cfi_row(module, fde, pc, &row) != 0 || row.place[ARCH_CFI_RA].kind == CFI_UNDEFINED ||
	    !find_cfa(module, &row, &context))
		return false;
	for (unsigned i = 0; i < ARCH_CFI_REGISTERS; i++) {
		if (i == ARCH_CFI_SP && row.place[i].kind == CFI_SAME)
			registers[i] = context.cfa;
		else if (!recover(module, &context, &row.place[i], i, &registers[i]))
			return false;
	}
	ra = arch_strip_pc(registers[ARCH_CFI_RA]);
	return move_to(cursor, registers, ra, fde->signal_frame);
}

/* Without CFI: the frame pointer, as rules have it. */
static bool step_by_guess(struct cursor *cursor)
{
	struct unwind_frame frame = {cursor->pc, cursor->registers[ARCH_CFI_SP],
				     cursor->registers[ARCH_CFI_FP]};
	struct unwind_reads reads = {0};

	/* What is not the own stack may have been given back: as in unwind_memo. */
	if (cursor->top != cursor->bounds->own.high && unwind_step_may_guess(&frame, cursor->top))
		cursor->top = stack_bounds_anew(cursor->bounds, frame.sp);
	if (unwind_step_guess(&frame, cursor->top, &reads) != UNWIND_STEP_CALLER)
		return false;
	cursor->registers[ARCH_CFI_SP] = frame.sp;
	cursor->registers[ARCH_CFI_FP] = frame.fp;
	cursor->pc = frame.pc;
	cursor->interrupted = false;
	return true;
}

static bool step(struct cursor *cursor)
{
	struct cfi_module module;
	struct cfi_fde fde;
	uintptr_t pc = cursor->pc - !cursor->interrupted;

	if (unwind_find_module(pc, &module)) {
		if (cfi_find(&module, pc, &fde) == 0)
			return step_by_row(cursor, &module, &fde, pc);
		/* A signal frame's pc is its first instruction: its FDE begins a byte before. */
		if (!cursor->interrupted && cfi_find(&module, cursor->pc, &fde) == 0 &&
		    fde.signal_frame)
			return step_by_row(cursor, &module, &fde, cursor->pc);
	}
	return step_by_guess(cursor);
}

__attribute__((noinline)) unsigned unwind_general(struct stack_bounds *bounds, uintptr_t pc,
						  uintptr_t sp, uintptr_t *pcs, unsigned room)
{
	struct cursor cursor = {.bounds = bounds};
	unsigned count = 0;
	unsigned steps = OWN_FRAMES_MAX + room + 1024;

	CAPTURE(&cursor);
	cursor.interrupted = true; /* pc is exact */
	cursor.top = find_top(bounds, cursor.registers[ARCH_CFI_SP]);
	while (cursor.pc != pc || cursor.registers[ARCH_CFI_SP] != sp)
		if (steps-- == 0 || !step(&cursor))
			return 0;
	while (count <= room && step(&cursor)) {
		if (count < room)
			pcs[count] = cursor.pc;
		count++;
	}
	return count;
}
