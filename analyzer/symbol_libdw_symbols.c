/*
 * A symbol covers its size, never more: beyond it lies code that has lost its name, and the
 * nearest name would be a lie. A symbol without size (assembly) covers what is left of its
 * section, up to the next symbol. Of several names for one address the friendliest is kept.
 */
#include "symbol_libdw_symbols.h"

#include "symbol_libdw_plt.h"
#include "symbol_libdw_ranges.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DIGIT_BITS 11
#define DIGITS	   (1 << DIGIT_BITS)

struct symbol {
	uint64_t address;
	uint64_t end;	  /* by its size, else that of its section */
	const char *name; /* libelf's */
	bool sized;
	uint8_t rank; /* less is better */
};

struct libdw_symbols {
	struct symbol *list;
	size_t count;
	size_t room;
	struct symbol_ranges ranges; /* of `list` */
	struct libdw_plt *plt;
};

/* The section that was asked for last; most symbols are in the one of the symbol before. */
struct section {
	Elf *elf;
	GElf_Word index;
	bool good;
	GElf_Shdr head;
};

/* Whether a section holds code, and its last address relative to the symbol's. */
static bool in_code(struct section *section, Elf *elf, GElf_Word index, const GElf_Sym *symbol,
		    uint64_t *left)
{
	const GElf_Shdr *head = &section->head;

	if (section->elf != elf || section->index != index) {
		Elf_Scn *found = elf_getscn(elf, index);

		section->elf = elf;
		section->index = index;
		section->good = found && gelf_getshdr(found, &section->head);
	}
	if (!section->good || !(head->sh_flags & SHF_EXECINSTR) ||
	    symbol->st_value < head->sh_addr || symbol->st_value - head->sh_addr >= head->sh_size)
		return false;
	*left = head->sh_size - (symbol->st_value - head->sh_addr);
	return true;
}

/* "malloc" before "__libc_malloc", what others can link to before what they cannot. */
static uint8_t rank_of(const GElf_Sym *symbol, const char *name)
{
	size_t underscores = strspn(name, "_");
	uint8_t rank = 0;

	if (GELF_ST_TYPE(symbol->st_info) == STT_NOTYPE)
		rank += 64;
	if (symbol->st_size == 0)
		rank += 32;
	if (GELF_ST_BIND(symbol->st_info) == STB_LOCAL)
		rank += 16;
	if (strncmp(name, "_Z", 2) != 0 && strncmp(name, "_R", 2) != 0)
		rank += underscores < 3 ? (uint8_t)(underscores * 2) : 6;
	if (GELF_ST_BIND(symbol->st_info) == STB_WEAK)
		rank += 1;
	return rank;
}

/* Functions, and labels of assembly that no tool made for itself ("$x", ".annobin"). */
static bool is_function(const GElf_Sym *symbol, const char *name)
{
	int type = GELF_ST_TYPE(symbol->st_info);

	if (!name || !*name)
		return false;
	if (type == STT_FUNC || type == STT_GNU_IFUNC)
		return true;
	return type == STT_NOTYPE && name[0] != '$' && name[0] != '.';
}

static bool add(struct libdw_symbols *symbols, const struct symbol *symbol)
{
	if (symbols->count == symbols->room) {
		size_t room = symbols->room ? symbols->room * 2 : 256;
		struct symbol *list = reallocarray(symbols->list, room, sizeof(*list));

		if (!list)
			return false;
		symbols->list = list;
		symbols->room = room;
	}
	symbols->list[symbols->count++] = *symbol;
	return true;
}

static bool read_all(struct libdw_symbols *symbols, Dwfl_Module *module, uint64_t bias)
{
	int count = dwfl_module_getsymtab(module);
	struct section last = {0};

	for (int i = 1; i < count; i++) {
		GElf_Word section = SHN_UNDEF;
		GElf_Addr address;
		GElf_Sym symbol;
		uint64_t left = 0;
		Elf *elf;
		const char *name =
		    dwfl_module_getsym_info(module, i, &symbol, &address, &section, &elf, NULL);
		struct symbol entry = {.address = address - bias, .name = name};

		if (!is_function(&symbol, name) || section == SHN_UNDEF ||
		    !in_code(&last, elf, section, &symbol, &left))
			continue;
		entry.sized = symbol.st_size > 0;
		entry.rank = rank_of(&symbol, name);
		entry.end = entry.address + (entry.sized ? symbol.st_size : left);
		if (!add(symbols, &entry))
			return false;
	}
	return true;
}

/* Moves the symbols to `to`, in the order of some bits of their addresses, else in that they have.
 */
static void order_by_digit(const struct symbol *from, size_t count, struct symbol *to,
			   uint64_t lowest, unsigned shift)
{
	size_t places[DIGITS] = {0}, at = 0;

	for (size_t i = 0; i < count; i++)
		places[(from[i].address - lowest) >> shift & (DIGITS - 1)]++;
	for (size_t i = 0; i < DIGITS; i++) {
		size_t here = places[i];

		places[i] = at;
		at += here;
	}
	for (size_t i = 0; i < count; i++)
		to[places[(from[i].address - lowest) >> shift & (DIGITS - 1)]++] = from[i];
}

/* By radix: a large program has tens of thousands, and qsort() took longer than all else here. */
static bool sort_by_address(struct libdw_symbols *symbols)
{
	struct symbol *other = reallocarray(NULL, symbols->count + 1, sizeof(*other));
	uint64_t lowest = UINT64_MAX, highest = 0;

	if (!other)
		return false;
	for (size_t i = 0; i < symbols->count; i++) {
		uint64_t address = symbols->list[i].address;

		lowest = address < lowest ? address : lowest;
		highest = address > highest ? address : highest;
	}
	for (unsigned shift = 0; shift < 64 && highest > lowest && (highest - lowest) >> shift;
	     shift += DIGIT_BITS) {
		struct symbol *sorted = other;

		order_by_digit(symbols->list, symbols->count, sorted, lowest, shift);
		other = symbols->list;
		symbols->list = sorted;
	}
	free(other);
	return true;
}

static int compare_names(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return strcmp(x->name, y->name);
}

static bool index_all(struct libdw_symbols *symbols)
{
	struct symbol *list;
	size_t next;

	if (!sort_by_address(symbols))
		return false;
	list = symbols->list;
	for (size_t i = 0; i < symbols->count; i = next) {
		uint64_t end;

		for (next = i + 1; next < symbols->count; next++)
			if (list[next].address != list[i].address)
				break;
		if (next - i > 1)
			qsort(list + i, next - i, sizeof(*list), compare_names);
		end = list[i].end;
		if (!list[i].sized && next < symbols->count && list[next].address < end)
			end = list[next].address;
		if (!symbol_ranges_add(&symbols->ranges, list[i].address, end, (uint32_t)i))
			return false;
	}
	symbol_ranges_sort(&symbols->ranges);
	return true;
}

struct libdw_symbols *libdw_symbols_new(Dwfl_Module *module, uint64_t bias)
{
	struct libdw_symbols *symbols = calloc(1, sizeof(*symbols));
	GElf_Addr elf_bias;

	if (!symbols)
		return NULL;
	if (!read_all(symbols, module, bias) || !index_all(symbols)) {
		libdw_symbols_free(symbols);
		return NULL;
	}
	symbols->plt = libdw_plt_new(dwfl_module_getelf(module, &elf_bias));
	return symbols;
}

void libdw_symbols_free(struct libdw_symbols *symbols)
{
	if (!symbols)
		return;
	libdw_plt_free(symbols->plt);
	symbol_ranges_fini(&symbols->ranges);
	free(symbols->list);
	free(symbols);
}

const char *libdw_symbols_find(const struct libdw_symbols *symbols, uint64_t address)
{
	size_t cursor = symbol_ranges_search(&symbols->ranges, address);
	const struct symbol_range *range = symbol_ranges_next(&symbols->ranges, address, &cursor);

	if (range)
		return symbols->list[range->value].name;
	return symbols->plt ? libdw_plt_find(symbols->plt, address) : NULL;
}
