/*
 * The program is run once, front to back; each sequence's rows lie beside each other in one array,
 * in the order of their addresses. Every number is read within the table's bounds.
 */
#include "symbol_libdw_lines.h"

#include "symbol_libdw_bytes.h"
#include "symbol_libdw_paths.h"
#include "symbol_libdw_section.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

struct row {
	uint32_t address; /* relative to its sequence */
	uint32_t file;
	uint32_t line;
};

struct sequence {
	uint64_t start, end;
	size_t first, count; /* rows */
};

struct libdw_lines {
	struct row *rows;
	size_t row_count, row_room;
	struct sequence *sequences; /* by start */
	size_t sequence_count, sequence_room;
	struct libdw_paths paths;
};

/* What the head of the table says. */
struct head {
	struct libdw_bytes program;
	uint16_t version;
	uint8_t instruction_bytes;
	uint8_t line_range;
	int8_t line_base;
	uint8_t opcode_base;
	const uint8_t *opcode_lengths; /* from opcode 1 */
	struct libdw_path_source paths;
};

struct state {
	uint64_t address;
	uint64_t file;
	uint64_t line;
};

/* ---- where it lies ---- */

/* The table of a unit, from its head on; libdw has to take other byte orders. */
static bool find_table(Dwarf_Die *unit, struct libdw_bytes *table, struct head *head)
{
	Elf *elf = dwarf_getelf(dwarf_cu_getdwarf(unit->cu));
	Dwarf_Attribute attribute;
	Dwarf_Word offset;

	if (dwarf_formudata(dwarf_attr(unit, DW_AT_stmt_list, &attribute), &offset) != 0)
		return false;
	*table = libdw_section(elf, ".debug_line");
	if (offset >= (size_t)(table->end - table->at))
		return false;
	table->at += offset;
	head->paths.strings = libdw_section(elf, ".debug_str");
	head->paths.line_strings = libdw_section(elf, ".debug_line_str");
	return true;
}

/* ---- the head ---- */

static bool read_head(struct libdw_lines *lines, struct head *head, struct libdw_bytes *table,
		      const char *directory)
{
	uint64_t length = libdw_bytes_number(table, 4);
	bool modern;

	head->paths.offset_bytes = 4;
	if (length == UINT32_MAX) {
		length = libdw_bytes_number(table, 8);
		head->paths.offset_bytes = 8;
	}
	if (table->bad || length > (size_t)(table->end - table->at))
		return false;
	table->end = table->at + length;
	head->version = (uint16_t)libdw_bytes_number(table, 2);
	modern = head->version >= 5;
	if (head->version < 2 || head->version > 5 || (modern && libdw_bytes_number(table, 2) > 8))
		return false; /* of an address and of a segment: 4 or 8, and 0 */
	length = libdw_bytes_number(table, head->paths.offset_bytes);
	head->program = *table;
	libdw_bytes_skip(&head->program, length);
	head->instruction_bytes = (uint8_t)libdw_bytes_number(table, 1);
	if (head->version >= 4 && libdw_bytes_number(table, 1) != 1)
		return false;
	libdw_bytes_number(table, 1); /* is a statement */
	head->line_base = (int8_t)libdw_bytes_number(table, 1);
	head->line_range = (uint8_t)libdw_bytes_number(table, 1);
	head->opcode_base = (uint8_t)libdw_bytes_number(table, 1);
	head->opcode_lengths = table->at;
	if (head->line_range == 0 || head->opcode_base == 0 || head->program.bad)
		return false;
	libdw_bytes_skip(table, head->opcode_base - 1u);
	if (table->bad)
		return false;
	return modern ? libdw_paths_read(&lines->paths, &head->paths, table)
		      : libdw_paths_read_old(&lines->paths, table, directory);
}

/* ---- the program ---- */

static bool add_row(struct libdw_lines *lines, const struct state *state)
{
	struct sequence *sequence = &lines->sequences[lines->sequence_count];
	struct row *rows;

	if (sequence->count == 0)
		sequence->start = sequence->end = state->address;
	rows = libdw_more(lines->rows, &lines->row_room, lines->row_count, sizeof(*rows));
	if (!rows)
		return false;
	lines->rows = rows;
	if (state->address < sequence->end || state->address - sequence->start > UINT32_MAX ||
	    state->file > UINT32_MAX || state->line > INT32_MAX)
		return false;
	sequence->end = state->address;
	sequence->count++;
	rows[lines->row_count++] = (struct row){(uint32_t)(state->address - sequence->start),
						(uint32_t)state->file, (uint32_t)state->line};
	return true;
}

/* Makes room for the next sequence behind those that are there. */
static bool begin_sequence(struct libdw_lines *lines)
{
	struct sequence *sequences = libdw_more(lines->sequences, &lines->sequence_room,
						lines->sequence_count, sizeof(*sequences));

	if (!sequences)
		return false;
	lines->sequences = sequences;
	sequences[lines->sequence_count] = (struct sequence){.first = lines->row_count};
	return true;
}

/* Keeps a sequence, unless it is empty or of code that the linker dropped: nothing lies at 0. */
static bool end_sequence(struct libdw_lines *lines, struct state *state)
{
	struct sequence *sequence = &lines->sequences[lines->sequence_count];

	if (!add_row(lines, state))
		return false;
	sequence = &lines->sequences[lines->sequence_count];
	lines->row_count--; /* the end is known */
	sequence->count--;
	if (sequence->count > 0 && sequence->start > 1 && sequence->start < sequence->end)
		lines->sequence_count++;
	else
		lines->row_count = sequence->first;
	*state = (struct state){.file = 1, .line = 1};
	return begin_sequence(lines);
}

static bool run_extended(struct libdw_lines *lines, struct libdw_bytes *program,
			 struct state *state)
{
	uint64_t length = libdw_bytes_uleb(program);
	struct libdw_bytes rest = *program;

	if (length == 0 || length > (size_t)(program->end - program->at))
		return false;
	rest.end = rest.at + length;
	program->at = rest.end;
	switch (libdw_bytes_number(&rest, 1)) {
	case DW_LNE_end_sequence:
		return end_sequence(lines, state);
	case DW_LNE_set_address:
		if (length != 5 && length != 9)
			return false;
		state->address = libdw_bytes_number(&rest, length - 1);
		return true;
	case DW_LNE_define_file:
		return false;
	default:
		return true;
	}
}

static bool run_standard(struct libdw_lines *lines, const struct head *head,
			 struct libdw_bytes *program, struct state *state, uint8_t opcode)
{
	switch (opcode) {
	case DW_LNS_copy:
		return add_row(lines, state);
	case DW_LNS_advance_pc:
		state->address += libdw_bytes_uleb(program) * head->instruction_bytes;
		return true;
	case DW_LNS_advance_line:
		state->line += (uint64_t)libdw_bytes_sleb(program);
		return true;
	case DW_LNS_set_file:
		state->file = libdw_bytes_uleb(program);
		return true;
	case DW_LNS_const_add_pc:
		state->address += (uint64_t)((255 - head->opcode_base) / head->line_range) *
				  head->instruction_bytes;
		return true;
	case DW_LNS_fixed_advance_pc:
		state->address += libdw_bytes_number(program, 2);
		return true;
	default:
		for (unsigned i = head->opcode_lengths[opcode - 1]; i > 0; i--)
			libdw_bytes_uleb(program);
		return true;
	}
}

static bool run(struct libdw_lines *lines, const struct head *head)
{
	struct libdw_bytes program = head->program;
	struct state state = {.file = 1, .line = 1};

	if (!begin_sequence(lines))
		return false;
	while (program.at < program.end) {
		uint8_t opcode = *program.at++;
		bool good;

		if (opcode >= head->opcode_base) {
			unsigned special = opcode - head->opcode_base;

			state.address +=
			    (uint64_t)(special / head->line_range) * head->instruction_bytes;
			state.line += (uint64_t)(int64_t)(head->line_base +
							  (int)(special % head->line_range));
			good = add_row(lines, &state);
		} else if (opcode == 0) {
			good = run_extended(lines, &program, &state);
		} else {
			good = run_standard(lines, head, &program, &state, opcode);
		}
		if (!good || program.bad)
			return false;
	}
	/* Rows without an end are not in any sequence. */
	return lines->sequences[lines->sequence_count].count == 0;
}

static int compare(const void *a, const void *b)
{
	const struct sequence *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static bool sort(struct libdw_lines *lines)
{
	qsort(lines->sequences, lines->sequence_count, sizeof(*lines->sequences), compare);
	for (size_t i = 1; i < lines->sequence_count; i++)
		if (lines->sequences[i].start < lines->sequences[i - 1].end)
			return false;
	return true;
}

/* ---- questions ---- */

struct libdw_lines *libdw_lines_new(Dwarf_Die *unit, const char *directory)
{
	struct libdw_lines *lines = calloc(1, sizeof(*lines));
	struct libdw_bytes table;
	struct head head;

	if (lines && find_table(unit, &table, &head) &&
	    read_head(lines, &head, &table, directory) && run(lines, &head) && sort(lines)) {
		struct row *rows = reallocarray(lines->rows, lines->row_count + 1, sizeof(*rows));

		lines->rows = rows ? rows : lines->rows;
		return lines;
	}
	libdw_lines_free(lines);
	return NULL;
}

void libdw_lines_free(struct libdw_lines *lines)
{
	if (!lines)
		return;
	libdw_paths_fini(&lines->paths);
	free(lines->sequences);
	free(lines->rows);
	free(lines);
}

/* The last sequence that starts at or before an address. */
static const struct sequence *find_sequence(const struct libdw_lines *lines, uint64_t address)
{
	size_t low = 0, high = lines->sequence_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (lines->sequences[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? &lines->sequences[low - 1] : NULL;
}

bool libdw_lines_find(struct libdw_lines *lines, uint64_t address, const char **file,
		      uint32_t *line)
{
	const struct sequence *sequence = find_sequence(lines, address);
	const struct row *rows;
	size_t low = 0, high;

	if (!sequence || address >= sequence->end)
		return false;
	rows = lines->rows + sequence->first;
	high = sequence->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (rows[middle].address <= address - sequence->start)
			low = middle + 1;
		else
			high = middle;
	}
	*file = libdw_lines_file(lines, rows[low - 1].file);
	*line = rows[low - 1].line;
	return true;
}

const char *libdw_lines_file(struct libdw_lines *lines, uint64_t number)
{
	return libdw_paths_get(&lines->paths, number);
}
