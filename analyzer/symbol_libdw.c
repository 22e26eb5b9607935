/*
 * The backend on elfutils. libdwfl finds the pieces of a module (separate debug file by build-id or
 * .gnu_debuglink, dwz's common file, .gnu_debugdata); the index of compile units is our own,
 * because dwarf_addrdie() needs .debug_aranges, which clang and rustc leave out.
 *
 * A file has a Dwfl of its own, so that modules do not know of each other. libdwfl places a file at
 * an address it chooses; `bias` is what it adds to the file's own addresses.
 */
#include "symbol_libdw_debug.h"
#include "symbol_libdw_ranges.h"
#include "symbol_libdw_scopes.h"
#include "symbol_libdw_symbols.h"
#include "symbol_libdw_unit.h"
#include "symbolizer.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNITS_MAX (1 << 22)

struct file {
	Dwfl_Callbacks callbacks;
	char *debug_path;
	Dwfl *dwfl;
	Dwfl_Module *module;
	uint64_t bias;
	struct libdw_symbols *symbols;
	bool symbols_read;
	/* debug information */
	bool units_read;
	bool unplaced_walked;
	int64_t dwarf_offset; /* address there = address in the file + this */
	struct libdw_scopes *scopes;
	struct libdw_unit **units;
	size_t unit_count;
	size_t unit_room;
	uint32_t *unplaced; /* units that do not say where their code is */
	size_t unplaced_count;
	struct symbol_ranges ranges; /* of `units` */
};

static int find_no_elf(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
		       char **file_name, Elf **elf)
{
	(void)module, (void)data, (void)name, (void)base, (void)file_name, (void)elf;
	return -1;
}

static void close_file(void *opaque)
{
	struct file *file = opaque;

	for (size_t i = 0; i < file->unit_count; i++)
		libdw_unit_free(file->units[i]);
	free(file->units);
	free(file->unplaced);
	symbol_ranges_fini(&file->ranges);
	libdw_scopes_free(file->scopes);
	libdw_symbols_free(file->symbols);
	if (file->dwfl)
		dwfl_end(file->dwfl);
	free(file->debug_path);
	free(file);
}

static void *open_file(int fd, const char *path, const char *debug_path)
{
	struct file *file = calloc(1, sizeof(*file));
	GElf_Addr bias;
	void **data;

	if (!file)
		goto fail;
	file->debug_path = strdup(debug_path);
	file->callbacks = (Dwfl_Callbacks){
	    .find_elf = find_no_elf,
	    .find_debuginfo = libdw_find_debuginfo,
	    .section_address = dwfl_offline_section_address,
	    .debuginfo_path = &file->debug_path,
	};
	if (file->debug_path)
		file->dwfl = dwfl_begin(&file->callbacks);
	if (!file->dwfl)
		goto fail;
	file->module = dwfl_report_offline(file->dwfl, path, path, fd);
	if (!file->module)
		goto fail;
	/* the descriptor is now libdwfl's */
	dwfl_report_end(file->dwfl, NULL, NULL);
	dwfl_module_info(file->module, &data, NULL, NULL, NULL, NULL, NULL, NULL);
	*data = file->debug_path;
	if (!dwfl_module_getelf(file->module, &bias)) {
		close_file(file);
		return NULL;
	}
	file->bias = bias;
	return file;
fail:
	if (file)
		close_file(file);
	close(fd);
	return NULL;
}

static const uint8_t *build_id(void *opaque, size_t *bytes)
{
	struct file *file = opaque;
	const unsigned char *id;
	GElf_Addr address;
	int length = dwfl_module_build_id(file->module, &id, &address);

	*bytes = length > 0 ? (size_t)length : 0;
	return length > 0 ? id : NULL;
}

static bool add_unit(struct file *file, const Dwarf_Die *die)
{
	if (file->unit_count == file->unit_room) {
		size_t room = file->unit_room ? file->unit_room * 2 : 64;
		struct libdw_unit **units = reallocarray(file->units, room, sizeof(*units));
		uint32_t *unplaced = reallocarray(file->unplaced, room, sizeof(*unplaced));

		file->units = units ? units : file->units;
		file->unplaced = unplaced ? unplaced : file->unplaced;
		if (!units || !unplaced)
			return false;
		file->unit_room = room;
	}
	file->units[file->unit_count] = libdw_unit_new(die, file->scopes);
	return file->units[file->unit_count] != NULL;
}

static bool is_code_unit(Dwarf_Die *die)
{
	int tag = dwarf_tag(die);

	return tag == DW_TAG_compile_unit || tag == DW_TAG_skeleton_unit;
}

static void read_units(struct file *file)
{
	Dwarf_Addr bias;
	Dwarf *dwarf = dwfl_module_getdwarf(file->module, &bias);
	Dwarf_CU *unit = NULL;
	Dwarf_Die die, split;
	uint8_t type;

	file->units_read = true;
	file->scopes = libdw_scopes_new();
	if (!dwarf || !file->scopes)
		return;
	file->dwarf_offset = (int64_t)(file->bias - bias);
	while (file->unit_count < UNITS_MAX &&
	       dwarf_get_units(dwarf, unit, &unit, NULL, &type, &die, &split) == 0) {
		size_t before = file->ranges.count;
		uint32_t index = (uint32_t)file->unit_count;
		bool has_split = type == DW_UT_skeleton && split.addr;

		if (!is_code_unit(&die))
			continue;
		if (!add_unit(file, has_split ? &split : &die) ||
		    !libdw_die_ranges(&die, &file->ranges, index))
			break;
		file->unit_count++;
		if (file->ranges.count == before && dwarf_haschildren(&die) > 0)
			file->unplaced[file->unplaced_count++] = index;
	}
	symbol_ranges_sort(&file->ranges);
}

/* Walks the units that do not say where their code is, once, for they cost the most. */
static bool place_units(struct file *file)
{
	if (file->unplaced_walked || !file->unplaced_count)
		return false;
	file->unplaced_walked = true;
	for (size_t i = 0; i < file->unplaced_count; i++)
		if (!libdw_unit_ranges(file->units[file->unplaced[i]], &file->ranges,
				       file->unplaced[i]))
			break;
	symbol_ranges_sort(&file->ranges);
	return true;
}

/* Units may overlap (linker-folded code, lying ranges): the first with a function there is it. */
static size_t resolve_in_units(struct file *file, uint64_t address, struct symbol_frame *frames,
			       size_t max, bool *linked)
{
	size_t cursor = symbol_ranges_search(&file->ranges, address);
	const struct symbol_range *range;
	struct libdw_unit *only_line = NULL;

	while ((range = symbol_ranges_next(&file->ranges, address, &cursor))) {
		struct libdw_unit *unit = file->units[range->value];
		size_t count = libdw_unit_resolve(unit, address, frames, max, linked);

		if (count && frames[count - 1].function)
			return count;
		if (count && !only_line)
			only_line = unit;
	}
	return only_line ? libdw_unit_resolve(only_line, address, frames, max, linked) : 0;
}

static const char *symbol_at(struct file *file, uint64_t address)
{
	if (!file->symbols_read) {
		file->symbols_read = true;
		file->symbols = libdw_symbols_new(file->module, file->bias);
	}
	return file->symbols ? libdw_symbols_find(file->symbols, address) : NULL;
}

static bool is_mangled(const char *name)
{
	return name && name[0] == '_' && (name[1] == 'Z' || name[1] == 'R');
}

static size_t resolve(void *opaque, uint64_t address, struct symbol_frame *frames, size_t max)
{
	struct file *file = opaque;
	bool linked = false;
	uint64_t there;
	const char *symbol;
	size_t count;

	if (!file->units_read)
		read_units(file);
	there = address + (uint64_t)file->dwarf_offset;
	count = resolve_in_units(file, there, frames, max, &linked);
	if (!count && place_units(file))
		count = resolve_in_units(file, there, frames, max, &linked);
	if (count && linked)
		return count;
	if (!count) {
		frames[0] = (struct symbol_frame){0};
		count = 1;
	}
	/* Reduced debug information has bare names: the symbol's says more if it is C++ or Rust. */
	symbol = symbol_at(file, address);
	if (!frames[count - 1].function || is_mangled(symbol))
		frames[count - 1].function = symbol;
	return count;
}

const struct symbol_backend symbol_libdw = {
    .name = "libdw",
    .open = open_file,
    .close = close_file,
    .build_id = build_id,
    .resolve = resolve,
};
