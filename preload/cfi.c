#include "cfi.h"
#include "cfi_reader.h"
#include <errno.h>

/* DW_EH_PE_*: how a pointer is written (LSB 5 section 10.5.1). */
enum {
	PE_ABSPTR = 0x00,
	PE_ULEB = 0x01,
	PE_UDATA2 = 0x02,
	PE_UDATA4 = 0x03,
	PE_UDATA8 = 0x04,
	PE_SLEB = 0x09,
	PE_SDATA2 = 0x0a,
	PE_SDATA4 = 0x0b,
	PE_SDATA8 = 0x0c,
	PE_FORMAT = 0x0f,
	PE_PCREL = 0x10,
	PE_DATAREL = 0x30,
	PE_RELATION = 0x70,
	PE_INDIRECT = 0x80,
};

/* DW_CFA_*: DWARF 5 table 7.29, and the GNU and vendor ones in use. */
enum {
	CFA_ADVANCE_LOC = 0x40, /* low six bits: delta */
	CFA_OFFSET = 0x80,	/* low six bits: register */
	CFA_RESTORE = 0xc0,	/* low six bits: register */
	CFA_NOP = 0x00,
	CFA_SET_LOC = 0x01,
	CFA_ADVANCE_LOC1 = 0x02,
	CFA_ADVANCE_LOC2 = 0x03,
	CFA_ADVANCE_LOC4 = 0x04,
	CFA_OFFSET_EXTENDED = 0x05,
	CFA_RESTORE_EXTENDED = 0x06,
	CFA_UNDEFINED = 0x07,
	CFA_SAME_VALUE = 0x08,
	CFA_REGISTER = 0x09,
	CFA_REMEMBER_STATE = 0x0a,
	CFA_RESTORE_STATE = 0x0b,
	CFA_DEF_CFA = 0x0c,
	CFA_DEF_CFA_REGISTER = 0x0d,
	CFA_DEF_CFA_OFFSET = 0x0e,
	CFA_DEF_CFA_EXPRESSION = 0x0f,
	CFA_EXPRESSION = 0x10,
	CFA_OFFSET_EXTENDED_SF = 0x11,
	CFA_DEF_CFA_SF = 0x12,
	CFA_DEF_CFA_OFFSET_SF = 0x13,
	CFA_VAL_OFFSET = 0x14,
	CFA_VAL_OFFSET_SF = 0x15,
	CFA_VAL_EXPRESSION = 0x16,
	CFA_AARCH64_NEGATE_RA_STATE = 0x2d,
	CFA_GNU_ARGS_SIZE = 0x2e,
	CFA_GNU_NEGATIVE_OFFSET_EXTENDED = 0x2f,
};

#define REMEMBER_MAX 6 /* states remembered at a time; compilers nest one, rarely two */

/* The machine: the row it builds, and what it may go back to. */
struct machine {
	const struct cfi_module *module;
	const struct cfi_fde *fde;
	uintptr_t location;
	struct cfi_row *row;
	const struct cfi_row *initial; /* NULL while the CIE's program runs */
	unsigned remembered;
	struct cfi_row memory[REMEMBER_MAX];
};

static bool inside(const struct cfi_module *module, uintptr_t at)
{
	return at >= module->start && at < module->end;
}

static uintptr_t read_format(struct cfi_reader *reader, uint8_t encoding)
{
	switch (encoding & PE_FORMAT) {
	case PE_ABSPTR:
	case PE_UDATA8:
	case PE_SDATA8:
		return (uintptr_t)cfi_u64(reader);
	case PE_UDATA4:
		return cfi_u32(reader);
	case PE_SDATA4:
		return (uintptr_t)(intptr_t)(int32_t)cfi_u32(reader);
	case PE_UDATA2:
		return cfi_u16(reader);
	case PE_SDATA2:
		return (uintptr_t)(intptr_t)(int16_t)cfi_u16(reader);
	case PE_ULEB:
		return (uintptr_t)cfi_uleb(reader);
	case PE_SLEB:
		return (uintptr_t)cfi_sleb(reader);
	}
	reader->bad = true;
	return 0;
}

/* A pointer as `encoding` says; `data_base` is what DW_EH_PE_datarel is relative to. */
static uintptr_t read_pointer(struct cfi_reader *reader, uint8_t encoding, uintptr_t data_base)
{
	uintptr_t field = (uintptr_t)reader->at;
	uintptr_t value = read_format(reader, encoding);
	switch (encoding & PE_RELATION) {
	case 0:
		break;
	case PE_PCREL:
		value += field;
		break;
	case PE_DATAREL:
		value += data_base;
		break;
	default:
		reader->bad = true;
	}
	if (encoding & PE_INDIRECT)
		reader->bad = true; /* only personalities are; those are skipped unread */
	return value;
}

/* Reads a CIE's or FDE's length and limits the reader to it. */
static bool read_length(struct cfi_reader *reader)
{
	uint64_t length = cfi_u32(reader);
	if (length == 0xffffffff)
		length = cfi_u64(reader);
	if (reader->bad || length < 4 || length > (uint64_t)(reader->end - reader->at))
		return false;
	reader->end = reader->at + length;
	return true;
}

static bool read_augmentation(struct cfi_reader *reader, const char *letters, struct cfi_fde *fde)
{
	uint64_t length = cfi_uleb(reader);
	if (reader->bad || length > (uint64_t)(reader->end - reader->at))
		return false;
	struct cfi_reader data = {.at = reader->at, .end = reader->at + length};
	reader->at += length;
	for (; *letters; letters++) {
		switch (*letters) {
		case 'R':
			fde->pointer_encoding = cfi_u8(&data);
			break;
		case 'L':
			cfi_u8(&data);
			break;
		case 'P':
			read_format(&data, cfi_u8(&data));
			break;
		case 'S':
			fde->signal_frame = true;
			break;
		case 'B': /* signed with the B key; taken off in the same way */
			break;
		default:
			return false;
		}
	}
	return !data.bad;
}

static int parse_cie(const struct cfi_module *module, uintptr_t at, struct cfi_fde *fde)
{
	if (!inside(module, at))
		return -EINVAL;
	struct cfi_reader reader = {.at = (const uint8_t *)at, .end = (const uint8_t *)module->end};
	if (!read_length(&reader) || cfi_u32(&reader) != 0)
		return -EINVAL;
	uint8_t version = cfi_u8(&reader);
	if (version != 1 && version != 3)
		return -EINVAL;
	const char *letters = (const char *)reader.at;
	const uint8_t *terminator = memchr(reader.at, 0, (size_t)(reader.end - reader.at));
	if (!terminator)
		return -EINVAL;
	reader.at = terminator + 1;
	fde->code_align = cfi_uleb(&reader);
	fde->data_align = cfi_sleb(&reader);
	fde->ra_register = version == 1 ? cfi_u8(&reader) : (uint32_t)cfi_uleb(&reader);
	fde->pointer_encoding = PE_ABSPTR;
	fde->signal_frame = false;
	fde->augmented = *letters == 'z';
	if (*letters && (*letters != 'z' || !read_augmentation(&reader, letters + 1, fde)))
		return -EINVAL;
	fde->cie_program = reader.at;
	fde->cie_program_end = reader.end;
	if (!reader.bad && fde->ra_register != ARCH_CFI_RA)
		return -ENOTSUP;
	return reader.bad ? -EINVAL : 0;
}

int cfi_parse_fde(const struct cfi_module *module, uintptr_t at, struct cfi_fde *fde)
{
	if (!inside(module, at))
		return -EINVAL;
	struct cfi_reader reader = {.at = (const uint8_t *)at, .end = (const uint8_t *)module->end};
	if (!read_length(&reader))
		return -EINVAL;
	uintptr_t field = (uintptr_t)reader.at;
	uint32_t back = cfi_u32(&reader);
	if (reader.bad || back == 0)
		return -EINVAL;
	int error = parse_cie(module, field - back, fde);
	if (error)
		return error;
	fde->pc_start = read_pointer(&reader, fde->pointer_encoding, 0);
	uintptr_t range = read_format(&reader, fde->pointer_encoding);
	fde->pc_end = fde->pc_start + range;
	if (fde->pc_end < fde->pc_start)
		return -EINVAL;
	if (fde->augmented)
		cfi_skip(&reader, cfi_uleb(&reader));
	fde->program = reader.at;
	fde->program_end = reader.end;
	return reader.bad ? -EINVAL : 0;
}

/* The last of the table's `count` {function, FDE} pairs whose function begins at or before pc. */
static const uint8_t *search_table(const uint8_t *table, size_t count, uintptr_t base, uintptr_t pc)
{
	size_t low = 0, high = count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int32_t start;
		memcpy(&start, table + middle * 8, sizeof start);
		if (base + (uintptr_t)(intptr_t)start <= pc)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? table + (low - 1) * 8 : NULL;
}

int cfi_find(const struct cfi_module *module, uintptr_t pc, struct cfi_fde *fde)
{
	if (!inside(module, module->hdr))
		return -EINVAL;
	struct cfi_reader reader = {.at = (const uint8_t *)module->hdr,
				    .end = (const uint8_t *)module->end};
	uint8_t version = cfi_u8(&reader);
	uint8_t frame_encoding = cfi_u8(&reader);
	uint8_t count_encoding = cfi_u8(&reader);
	uint8_t table_encoding = cfi_u8(&reader);
	if (reader.bad || version != 1 || table_encoding != (PE_DATAREL | PE_SDATA4))
		return -EINVAL;
	read_format(&reader, frame_encoding);
	size_t count = read_pointer(&reader, count_encoding, module->hdr);
	if (reader.bad || count > (size_t)(reader.end - reader.at) / 8)
		return -EINVAL;
	const uint8_t *entry = search_table(reader.at, count, module->hdr, pc);
	if (!entry)
		return -ENOENT;
	int32_t offset;
	memcpy(&offset, entry + 4, sizeof offset);
	int error = cfi_parse_fde(module, module->hdr + (uintptr_t)(intptr_t)offset, fde);
	if (error)
		return error;
	return pc >= fde->pc_start && pc < fde->pc_end ? 0 : -ENOENT;
}

static void set_place(struct machine *machine, uint64_t reg, enum cfi_place_kind kind,
		      int64_t value)
{
	if (reg >= ARCH_CFI_REGISTERS)
		return; /* vector registers hold no address we follow */
	if (value != (int32_t)value)
		kind = CFI_UNDEFINED, value = 0; /* nothing that large is a frame */
	machine->row->place[reg].kind = kind;
	machine->row->place[reg].offset = (int32_t)value;
}

/* Skips an expression; its place for cfi_expression. */
static int64_t take_expression(struct machine *machine, struct cfi_reader *reader)
{
	int64_t offset = (int64_t)((uintptr_t)reader->at - machine->module->start);
	cfi_skip(reader, cfi_uleb(reader));
	if (offset != (int32_t)offset)
		reader->bad = true;
	return offset;
}

static void restore_place(struct machine *machine, uint64_t reg)
{
	if (reg < ARCH_CFI_REGISTERS && machine->initial)
		machine->row->place[reg] = machine->initial->place[reg];
}

static bool remember(struct machine *machine)
{
	if (machine->remembered == REMEMBER_MAX)
		return false;
	machine->memory[machine->remembered++] = *machine->row;
	return true;
}

static bool recall(struct machine *machine)
{
	if (machine->remembered == 0)
		return false;
	*machine->row = machine->memory[--machine->remembered];
	return true;
}

static bool set_cfa(struct machine *machine, uint64_t reg, int64_t offset)
{
	machine->row->cfa_register = (uint32_t)reg;
	machine->row->cfa_offset = (int32_t)offset;
	machine->row->cfa_expression = false;
	return reg < ARCH_CFI_REGISTERS && offset == (int32_t)offset;
}

/* Instructions that say where a register is. Returns false for any other. */
static bool run_place(struct machine *machine, struct cfi_reader *reader, uint8_t opcode)
{
	int64_t align = machine->fde->data_align;
	uint64_t reg = cfi_uleb(reader);
	switch (opcode) {
	case CFA_OFFSET_EXTENDED:
		set_place(machine, reg, CFI_OFFSET, (int64_t)cfi_uleb(reader) * align);
		return true;
	case CFA_OFFSET_EXTENDED_SF:
		set_place(machine, reg, CFI_OFFSET, cfi_sleb(reader) * align);
		return true;
	case CFA_GNU_NEGATIVE_OFFSET_EXTENDED:
		set_place(machine, reg, CFI_OFFSET, -(int64_t)cfi_uleb(reader) * align);
		return true;
	case CFA_VAL_OFFSET:
		set_place(machine, reg, CFI_VALUE, (int64_t)cfi_uleb(reader) * align);
		return true;
	case CFA_VAL_OFFSET_SF:
		set_place(machine, reg, CFI_VALUE, cfi_sleb(reader) * align);
		return true;
	case CFA_RESTORE_EXTENDED:
		restore_place(machine, reg);
		return true;
	case CFA_UNDEFINED:
		set_place(machine, reg, CFI_UNDEFINED, 0);
		return true;
	case CFA_SAME_VALUE:
		set_place(machine, reg, CFI_SAME, 0);
		return true;
	case CFA_REGISTER:
		set_place(machine, reg, CFI_REGISTER, (int64_t)cfi_uleb(reader));
		return true;
	case CFA_EXPRESSION:
		set_place(machine, reg, CFI_EXPRESSION, take_expression(machine, reader));
		return true;
	case CFA_VAL_EXPRESSION:
		set_place(machine, reg, CFI_VALUE_EXPRESSION, take_expression(machine, reader));
		return true;
	}
	return false;
}

/* Instructions about the CFA, the state stack and what else there is. False: unknown or broken. */
static bool run_other(struct machine *machine, struct cfi_reader *reader, uint8_t opcode)
{
	struct cfi_row *row = machine->row;
	int64_t align = machine->fde->data_align;
	uint64_t reg;
	switch (opcode) {
	case CFA_NOP:
		return true;
	case CFA_REMEMBER_STATE:
		return remember(machine);
	case CFA_RESTORE_STATE:
		return recall(machine);
	case CFA_DEF_CFA:
		reg = cfi_uleb(reader);
		return set_cfa(machine, reg, (int64_t)cfi_uleb(reader));
	case CFA_DEF_CFA_SF:
		reg = cfi_uleb(reader);
		return set_cfa(machine, reg, cfi_sleb(reader) * align);
	case CFA_DEF_CFA_REGISTER:
		return !row->cfa_expression && set_cfa(machine, cfi_uleb(reader), row->cfa_offset);
	case CFA_DEF_CFA_OFFSET:
		return !row->cfa_expression &&
		       set_cfa(machine, row->cfa_register, (int64_t)cfi_uleb(reader));
	case CFA_DEF_CFA_OFFSET_SF:
		return !row->cfa_expression &&
		       set_cfa(machine, row->cfa_register, cfi_sleb(reader) * align);
	case CFA_DEF_CFA_EXPRESSION:
		row->cfa_expression = true;
		row->cfa_offset = (int32_t)take_expression(machine, reader);
		return true;
	case CFA_AARCH64_NEGATE_RA_STATE:
		row->ra_signed = !row->ra_signed;
		return true;
	case CFA_GNU_ARGS_SIZE:
		cfi_uleb(reader);
		return true;
	}
	return false;
}

/* Whether `opcode` moves on; if so, *location is where to. */
static bool run_advance(struct machine *machine, struct cfi_reader *reader, uint8_t opcode,
			uintptr_t *location)
{
	uint64_t delta;
	switch (opcode) {
	case CFA_SET_LOC:
		*location = read_pointer(reader, machine->fde->pointer_encoding, 0);
		return true;
	case CFA_ADVANCE_LOC1:
		delta = cfi_u8(reader);
		break;
	case CFA_ADVANCE_LOC2:
		delta = cfi_u16(reader);
		break;
	case CFA_ADVANCE_LOC4:
		delta = cfi_u32(reader);
		break;
	default:
		if ((opcode & 0xc0) != CFA_ADVANCE_LOC)
			return false;
		delta = opcode & 0x3f;
	}
	*location = machine->location + delta * machine->fde->code_align;
	return true;
}

static bool run_one(struct machine *machine, struct cfi_reader *reader, uint8_t opcode)
{
	switch (opcode & 0xc0) {
	case CFA_OFFSET:
		set_place(machine, opcode & 0x3f, CFI_OFFSET,
			  (int64_t)cfi_uleb(reader) * machine->fde->data_align);
		return true;
	case CFA_RESTORE:
		restore_place(machine, opcode & 0x3f);
		return true;
	}
	struct cfi_reader before = *reader;
	if (run_place(machine, reader, opcode))
		return true;
	*reader = before;
	return run_other(machine, reader, opcode);
}

/* Runs a program until the next instruction would move beyond pc. */
static bool run(struct machine *machine, const uint8_t *program, const uint8_t *end, uintptr_t pc)
{
	struct cfi_reader reader = {.at = program, .end = end};
	while (reader.at < reader.end && !reader.bad) {
		uint8_t opcode = cfi_u8(&reader);
		uintptr_t location;
		if (run_advance(machine, &reader, opcode, &location)) {
			if (location > pc)
				return !reader.bad;
			machine->location = location;
		} else if (!run_one(machine, &reader, opcode)) {
			return false;
		}
	}
	return !reader.bad;
}

int cfi_row(const struct cfi_module *module, const struct cfi_fde *fde, uintptr_t pc,
	    struct cfi_row *row)
{
	struct machine machine;
	machine.module = module;
	machine.fde = fde;
	machine.location = fde->pc_start;
	machine.row = row;
	machine.initial = NULL;
	machine.remembered = 0;
	memset(row, 0, sizeof *row);
	if (!run(&machine, fde->cie_program, fde->cie_program_end, UINTPTR_MAX))
		return -EINVAL;
	struct cfi_row initial = *row;
	machine.initial = &initial;
	machine.location = fde->pc_start;
	machine.remembered = 0;
	return run(&machine, fde->program, fde->program_end, pc) ? 0 : -EINVAL;
}

int cfi_expression(const struct cfi_module *module, int32_t offset, const uint8_t **bytes,
		   size_t *length)
{
	uintptr_t at = module->start + (uintptr_t)(intptr_t)offset;
	if (!inside(module, at))
		return -EINVAL;
	struct cfi_reader reader = {.at = (const uint8_t *)at, .end = (const uint8_t *)module->end};
	uint64_t size = cfi_uleb(&reader);
	if (reader.bad || size > (uint64_t)(reader.end - reader.at))
		return -EINVAL;
	*bytes = reader.at;
	*length = (size_t)size;
	return 0;
}
