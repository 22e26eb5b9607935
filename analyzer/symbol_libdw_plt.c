/*
 * A stub jumps through a slot of the GOT, and a relocation says whose address goes into that slot.
 * So stubs are decoded rather than counted: this holds for .plt, .plt.sec and .plt.got alike,
 * whatever the linker's layout. (System V ABI for x86-64, 5.2; for AArch64, 5.7.3.)
 */
#include "symbol_libdw_plt.h"

#include <gelf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STUB_BYTES_MAX 32

struct slot {
	uint64_t address;
	const char *name; /* libelf's */
};

struct stub {
	uint64_t start;
	uint64_t end;
	const char *symbol; /* libelf's */
	char *name;	    /* "symbol@plt"; NULL: not asked for yet */
};

struct libdw_plt {
	struct slot *slots; /* by address, while stubs are read */
	size_t slot_count;
	struct stub *stubs; /* by address */
	size_t stub_count;
};

static int compare_addresses(const void *a, const void *b)
{
	/* both structures begin with the address to go by */
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void *one_more(void *array, size_t count, size_t bytes)
{
	if (count < 16 || (count & (count - 1)) == 0)
		return reallocarray(array, count < 16 ? 16 : count * 2, bytes);
	return array;
}

static bool add_slot(struct libdw_plt *plt, uint64_t address, const char *name)
{
	struct slot *slots = one_more(plt->slots, plt->slot_count, sizeof(*slots));

	if (!slots)
		return false;
	plt->slots = slots;
	slots[plt->slot_count++] = (struct slot){address, name};
	return true;
}

static bool read_relocations(struct libdw_plt *plt, Elf *elf, Elf_Scn *section,
			     const GElf_Shdr *shdr)
{
	Elf_Data *data = elf_getdata(section, NULL);
	Elf_Scn *symbols = elf_getscn(elf, shdr->sh_link);
	Elf_Data *symbol_data = symbols ? elf_getdata(symbols, NULL) : NULL;
	GElf_Shdr symbol_shdr;
	size_t count = shdr->sh_entsize ? shdr->sh_size / shdr->sh_entsize : 0;

	if (!data || !symbol_data || !gelf_getshdr(symbols, &symbol_shdr))
		return true;
	for (size_t i = 0; i < count && i < INT32_MAX; i++) {
		GElf_Rela rela;
		GElf_Sym symbol;
		const char *name;

		if (!gelf_getrela(data, (int)i, &rela))
			break;
		if (GELF_R_SYM(rela.r_info) == 0 || GELF_R_SYM(rela.r_info) > INT32_MAX ||
		    !gelf_getsym(symbol_data, (int)GELF_R_SYM(rela.r_info), &symbol))
			continue;
		name = elf_strptr(elf, symbol_shdr.sh_link, symbol.st_name);
		if (name && *name && !add_slot(plt, rela.r_offset, name))
			return false;
	}
	return true;
}

/* The GOT slot that the stub at `code` jumps through, and the stub's length; 0: not a stub. */
static size_t decode_x86_64(const uint8_t *code, size_t bytes, uint64_t address, uint64_t *slot)
{
	static const uint8_t endbr64[4] = {0xf3, 0x0f, 0x1e, 0xfa};
	int32_t displacement;
	size_t at = 0;

	if (bytes >= 4 && memcmp(code, endbr64, 4) == 0)
		at = 4;
	if (at < bytes && code[at] == 0xf2) /* bnd */
		at++;
	if (at + 6 > bytes || code[at] != 0xff || code[at + 1] != 0x25)
		return 0;
	memcpy(&displacement, code + at + 2, 4);
	*slot = address + at + 6 + (uint64_t)(int64_t)displacement;
	return at + 6;
}

/* adrp x16, page; ldr x17, [x16, #offset] */
static size_t decode_aarch64(const uint8_t *code, size_t bytes, uint64_t address, uint64_t *slot)
{
	uint32_t adrp, ldr;
	int64_t pages;

	if (bytes < 8)
		return 0;
	memcpy(&adrp, code, 4);
	memcpy(&ldr, code + 4, 4);
	if ((adrp & 0x9f00001f) != 0x90000010 || (ldr & 0xffc003ff) != 0xf9400211)
		return 0;
	pages = (int64_t)((uint64_t)((adrp >> 5 & 0x7ffff) << 2 | (adrp >> 29 & 3)) << 43) >> 43;
	*slot = (address & ~4095ULL) + (uint64_t)pages * 4096 + (uint64_t)(ldr >> 10 & 0xfff) * 8;
	return 8;
}

static bool add_stub(struct libdw_plt *plt, uint64_t start, uint64_t end, uint64_t slot)
{
	const struct slot *found = plt->slot_count ? bsearch(&slot, plt->slots, plt->slot_count,
							     sizeof(*plt->slots), compare_addresses)
						   : NULL;
	struct stub *stubs;

	if (!found)
		return true;
	stubs = one_more(plt->stubs, plt->stub_count, sizeof(*stubs));
	if (!stubs)
		return false;
	plt->stubs = stubs;
	stubs[plt->stub_count++] = (struct stub){start, end, found->name, NULL};
	return true;
}

/* Stubs begin at multiples of 8 bytes in .plt.got, of 16 elsewhere; what is none is stepped over.
 */
static bool read_stubs(struct libdw_plt *plt, Elf_Scn *section, const GElf_Shdr *shdr, int machine)
{
	Elf_Data *data = elf_getdata(section, NULL);
	size_t step = machine == EM_X86_64 ? 8 : 4;

	if (!data || !data->d_buf)
		return true;
	for (size_t at = 0; at + step <= data->d_size; at += step) {
		const uint8_t *code = (const uint8_t *)data->d_buf + at;
		size_t left = data->d_size - at;
		uint64_t address = shdr->sh_addr + at, slot;
		size_t bytes = machine == EM_X86_64 ? decode_x86_64(code, left, address, &slot)
						    : decode_aarch64(code, left, address, &slot);
		size_t end = left < STUB_BYTES_MAX ? left : STUB_BYTES_MAX;

		if (shdr->sh_entsize >= bytes && shdr->sh_entsize < end)
			end = shdr->sh_entsize;
		else if (end > 16)
			end = 16;
		if (bytes && !add_stub(plt, address, address + end, slot))
			return false;
	}
	return true;
}

typedef bool (*visit)(struct libdw_plt *plt, Elf *elf, Elf_Scn *section, const GElf_Shdr *shdr,
		      const char *name, int machine);

static bool visit_relocations(struct libdw_plt *plt, Elf *elf, Elf_Scn *section,
			      const GElf_Shdr *shdr, const char *name, int machine)
{
	(void)name, (void)machine;
	if (shdr->sh_type != SHT_RELA || !(shdr->sh_flags & SHF_ALLOC))
		return true;
	return read_relocations(plt, elf, section, shdr);
}

static bool visit_stubs(struct libdw_plt *plt, Elf *elf, Elf_Scn *section, const GElf_Shdr *shdr,
			const char *name, int machine)
{
	(void)elf;
	if (shdr->sh_type != SHT_PROGBITS || strncmp(name, ".plt", 4) != 0)
		return true;
	return read_stubs(plt, section, shdr, machine);
}

static bool visit_sections(struct libdw_plt *plt, Elf *elf, int machine, visit visitor)
{
	Elf_Scn *section = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf, &names) != 0)
		return false;
	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr shdr;
		const char *name;

		if (!gelf_getshdr(section, &shdr))
			continue;
		name = elf_strptr(elf, names, shdr.sh_name);
		if (name && !visitor(plt, elf, section, &shdr, name, machine))
			return false;
	}
	return true;
}

struct libdw_plt *libdw_plt_new(Elf *elf)
{
	struct libdw_plt *plt;
	GElf_Ehdr ehdr;
	bool good;

	if (!elf || !gelf_getehdr(elf, &ehdr) ||
	    (ehdr.e_machine != EM_X86_64 && ehdr.e_machine != EM_AARCH64))
		return NULL;
	plt = calloc(1, sizeof(*plt));
	if (!plt)
		return NULL;
	good = visit_sections(plt, elf, ehdr.e_machine, visit_relocations);
	if (plt->slot_count)
		qsort(plt->slots, plt->slot_count, sizeof(*plt->slots), compare_addresses);
	good = good && visit_sections(plt, elf, ehdr.e_machine, visit_stubs);
	if (plt->stub_count)
		qsort(plt->stubs, plt->stub_count, sizeof(*plt->stubs), compare_addresses);
	free(plt->slots);
	plt->slots = NULL;
	if (good && plt->stub_count)
		return plt;
	libdw_plt_free(plt);
	return NULL;
}

void libdw_plt_free(struct libdw_plt *plt)
{
	if (!plt)
		return;
	for (size_t i = 0; i < plt->stub_count; i++)
		free(plt->stubs[i].name);
	free(plt->stubs);
	free(plt->slots);
	free(plt);
}

static const char *name_of(struct stub *stub)
{
	if (!stub->name && asprintf(&stub->name, "%s@plt", stub->symbol) < 0)
		stub->name = NULL;
	return stub->name;
}

const char *libdw_plt_find(struct libdw_plt *plt, uint64_t address)
{
	size_t low = 0, high = plt->stub_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (plt->stubs[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && address < plt->stubs[low - 1].end ? name_of(&plt->stubs[low - 1]) : NULL;
}
