/*
 * The backend on elfutils. libdwfl finds the pieces of a module (separate debug file by build-id or
 * .gnu_debuglink, dwz's common file, .gnu_debugdata); which compile unit an address is in we find
 * ourselves (symbol_libdw_units.h).
 *
 * A file has a Dwfl of its own, so that modules do not know of each other. libdwfl places a file at
 * an address it chooses; `bias` is what it adds to the file's own addresses.
 */
#include "symbol_libdw_debug.h"
#include "symbol_libdw_inflate.h"
#include "symbol_libdw_symbols.h"
#include "symbol_libdw_units.h"
#include "symbolizer.h"

#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct file {
	Dwfl_Callbacks callbacks;
	struct libdw_debug debug;
	Dwfl *dwfl;
	Dwfl_Module *module;
	uint64_t bias;
	struct libdw_symbols *symbols;
	bool symbols_read;
	/* debug information */
	bool units_read;
	int64_t dwarf_offset; /* address there = address in the file + this */
	struct libdw_units *units;
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

	libdw_units_free(file->units);
	libdw_symbols_free(file->symbols);
	if (file->dwfl)
		dwfl_end(file->dwfl);
	libdw_inflate_free(file->debug.inflate);
	free(file->debug.path);
	free(file);
}

static void *open_file(int fd, const char *path, const char *debug_path)
{
	struct file *file = calloc(1, sizeof(*file));
	GElf_Addr bias;
	void **data;

	if (!file)
		goto fail;
	file->debug.path = strdup(debug_path);
	file->callbacks = (Dwfl_Callbacks){
	    .find_elf = find_no_elf,
	    .find_debuginfo = libdw_find_debuginfo,
	    .section_address = dwfl_offline_section_address,
	    .debuginfo_path = &file->debug.path,
	};
	if (file->debug.path)
		file->dwfl = dwfl_begin(&file->callbacks);
	if (!file->dwfl)
		goto fail;
	file->module = dwfl_report_offline(file->dwfl, path, path, fd);
	if (!file->module)
		goto fail;
	/* the descriptor is now libdwfl's */
	dwfl_report_end(file->dwfl, NULL, NULL);
	dwfl_module_info(file->module, &data, NULL, NULL, NULL, NULL, NULL, NULL);
	*data = &file->debug;
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

static void read_units(struct file *file)
{
	Dwarf_Addr bias = 0;
	Dwarf *dwarf = dwfl_module_getdwarf(file->module, &bias);

	file->units_read = true;
	if (dwarf && file->debug.inflate)
		libdw_inflate_finish(file->debug.inflate, dwarf_getelf(dwarf));
	libdw_inflate_free(file->debug.inflate);
	file->debug.inflate = NULL;
	file->units = libdw_units_new(dwarf);
	if (dwarf)
		file->dwarf_offset = (int64_t)(file->bias - bias);
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
	count = file->units ? libdw_units_resolve(file->units, there, frames, max, &linked) : 0;
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
