#include "cfi_expr.h"

#include <errno.h>

#include "cfi_reader.h"

#define STACK_MAX 16
#define OPS_MAX	  256

/* DW_OP_*: DWARF 5 table 7.9. */
enum {
	OP_DEREF = 0x06,
	OP_CONST1U = 0x08,
	OP_CONST1S = 0x09,
	OP_CONST2U = 0x0a,
	OP_CONST2S = 0x0b,
	OP_CONST4U = 0x0c,
	OP_CONST4S = 0x0d,
	OP_CONST8U = 0x0e,
	OP_CONST8S = 0x0f,
	OP_CONSTU = 0x10,
	OP_CONSTS = 0x11,
	OP_DUP = 0x12,
	OP_DROP = 0x13,
	OP_OVER = 0x14,
	OP_PICK = 0x15,
	OP_SWAP = 0x16,
	OP_ABS = 0x19,
	OP_AND = 0x1a,
	OP_MINUS = 0x1c,
	OP_MUL = 0x1e,
	OP_NEG = 0x1f,
	OP_NOT = 0x20,
	OP_OR = 0x21,
	OP_PLUS = 0x22,
	OP_PLUS_UCONST = 0x23,
	OP_SHL = 0x24,
	OP_SHR = 0x25,
	OP_SHRA = 0x26,
	OP_XOR = 0x27,
	OP_BRA = 0x28,
	OP_EQ = 0x29,
	OP_GE = 0x2a,
	OP_GT = 0x2b,
	OP_LE = 0x2c,
	OP_LT = 0x2d,
	OP_NE = 0x2e,
	OP_SKIP = 0x2f,
	OP_LIT0 = 0x30,
	OP_BREG0 = 0x70,
	OP_BREGX = 0x92,
	OP_DEREF_SIZE = 0x94,
	OP_NOP = 0x96,
	OP_CALL_FRAME_CFA = 0x9c,
};

struct evaluation {
	const struct cfi_context *context;
	struct cfi_reader reader;
	const uint8_t *start;
	bool bad;
	unsigned depth;
	uintptr_t stack[STACK_MAX];
};

static void push(struct evaluation *e, uintptr_t value)
{
	if (e->depth < STACK_MAX)
		e->stack[e->depth++] = value;
	else
		e->bad = true;
}

static uintptr_t pop(struct evaluation *e)
{
	if (e->depth)
		return e->stack[--e->depth];
	e->bad = true;
	return 0;
}

static void pick(struct evaluation *e, unsigned index)
{
	if (index < e->depth)
		push(e, e->stack[e->depth - 1 - index]);
	else
		e->bad = true;
}

static uintptr_t register_value(struct evaluation *e, uint64_t reg)
{
	if (reg < ARCH_CFI_REGISTERS)
		return e->context->registers[reg];
	e->bad = true;
	return 0;
}

static uintptr_t load(struct evaluation *e, uintptr_t address, size_t bytes)
{
	uint64_t value = 0;

	if (bytes > 8 || address < e->context->low || e->context->high < bytes ||
	    address > e->context->high - bytes) {
		e->bad = true;
		return 0;
	}
	memcpy(&value, (const void *)address, bytes);
	return value;
}

static void jump(struct evaluation *e, int16_t distance)
{
	ptrdiff_t at = e->reader.at - e->start + distance;

	if (at < 0 || at > e->reader.end - e->start)
		e->bad = true;
	else
		e->reader.at = e->start + at;
}

/* Operations that push a constant or a register's value. False: not one of them. */
static bool push_operand(struct evaluation *e, uint8_t op)
{
	struct cfi_reader *r = &e->reader;
	uint64_t reg;

	if (op >= OP_LIT0 && op < OP_LIT0 + 32)
		return push(e, op - OP_LIT0), true;
	if (op >= OP_BREG0 && op < OP_BREG0 + 32) {
		uintptr_t base = register_value(e, op - OP_BREG0);

		return push(e, base + (uintptr_t)cfi_sleb(r)), true;
	}
	switch (op) {
	case OP_BREGX:
		reg = cfi_uleb(r);
		return push(e, register_value(e, reg) + (uintptr_t)cfi_sleb(r)), true;
	case OP_CONST1U:
		return push(e, cfi_u8(r)), true;
	case OP_CONST1S:
		return push(e, (uintptr_t)(intptr_t)(int8_t)cfi_u8(r)), true;
	case OP_CONST2U:
		return push(e, cfi_u16(r)), true;
	case OP_CONST2S:
		return push(e, (uintptr_t)(intptr_t)(int16_t)cfi_u16(r)), true;
	case OP_CONST4U:
		return push(e, cfi_u32(r)), true;
	case OP_CONST4S:
		return push(e, (uintptr_t)(intptr_t)(int32_t)cfi_u32(r)), true;
	case OP_CONST8U:
	case OP_CONST8S:
		return push(e, cfi_u64(r)), true;
	case OP_CONSTU:
		return push(e, cfi_uleb(r)), true;
	case OP_CONSTS:
		return push(e, (uintptr_t)cfi_sleb(r)), true;
	case OP_CALL_FRAME_CFA:
		e->bad |= !e->context->cfa;
		return push(e, e->context->cfa), true;
	}
	return false;
}

/* Operations that replace the two topmost values by one. False: not one of them. */
static bool combine(struct evaluation *e, uint8_t op)
{
	uintptr_t b = e->depth > 1 ? e->stack[e->depth - 1] : 0;
	uintptr_t a = e->depth > 1 ? e->stack[e->depth - 2] : 0;
	intptr_t sa = (intptr_t)a, sb = (intptr_t)b;
	uintptr_t value;

	switch (op) {
	case OP_AND:
		value = a & b;
		break;
	case OP_OR:
		value = a | b;
		break;
	case OP_XOR:
		value = a ^ b;
		break;
	case OP_PLUS:
		value = a + b;
		break;
	case OP_MINUS:
		value = a - b;
		break;
	case OP_MUL:
		value = a * b;
		break;
	case OP_SHL:
		value = b < 64 ? a << b : 0;
		break;
	case OP_SHR:
		value = b < 64 ? a >> b : 0;
		break;
	case OP_SHRA:
		value = (uintptr_t)(sa >> (b < 64 ? b : 63));
		break;
	case OP_EQ:
		value = a == b;
		break;
	case OP_NE:
		value = a != b;
		break;
	case OP_GE:
		value = sa >= sb;
		break;
	case OP_GT:
		value = sa > sb;
		break;
	case OP_LE:
		value = sa <= sb;
		break;
	case OP_LT:
		value = sa < sb;
		break;
	default:
		return false;
	}
	pop(e);
	pop(e);
	push(e, value);
	return true;
}

/* The rest: one value, the order of values, memory, jumps. */
static void operate(struct evaluation *e, uint8_t op)
{
	uintptr_t a, b;

	switch (op) {
	case OP_NOP:
		return;
	case OP_DEREF:
		return push(e, load(e, pop(e), 8));
	case OP_DEREF_SIZE:
		a = cfi_u8(&e->reader);
		return push(e, load(e, pop(e), a));
	case OP_DUP:
		return pick(e, 0);
	case OP_OVER:
		return pick(e, 1);
	case OP_PICK:
		return pick(e, cfi_u8(&e->reader));
	case OP_DROP:
		pop(e);
		return;
	case OP_SWAP:
		a = pop(e), b = pop(e);
		push(e, a);
		return push(e, b);
	case OP_ABS:
		a = pop(e);
		return push(e, (intptr_t)a < 0 ? -a : a);
	case OP_NEG:
		return push(e, -pop(e));
	case OP_NOT:
		return push(e, ~pop(e));
	case OP_PLUS_UCONST:
		a = pop(e);
		return push(e, a + cfi_uleb(&e->reader));
	case OP_SKIP:
		return jump(e, (int16_t)cfi_u16(&e->reader));
	case OP_BRA:
		a = cfi_u16(&e->reader);
		if (pop(e))
			jump(e, (int16_t)a);
		return;
	}
	e->bad = true;
}

int cfi_evaluate(const struct cfi_context *context, const uint8_t *bytes, size_t length,
		 bool has_initial, uintptr_t initial, uintptr_t *result)
{
	struct evaluation e = {.context = context, .start = bytes};

	e.reader = (struct cfi_reader){.at = bytes, .end = bytes + length};
	if (has_initial)
		push(&e, initial);
	for (unsigned ops = 0; e.reader.at < e.reader.end && !e.bad && !e.reader.bad; ops++) {
		uint8_t op = cfi_u8(&e.reader);

		if (ops == OPS_MAX)
			return -EINVAL;
		if (!push_operand(&e, op) && !combine(&e, op))
			operate(&e, op);
	}
	*result = pop(&e);
	return e.bad || e.reader.bad ? -EINVAL : 0;
}
