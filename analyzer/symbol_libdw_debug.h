/*
 * Where libdwfl looks for separate debug information.
 *
 * dwfl_standard_find_debuginfo() of elfutils 0.188 loads libdebuginfod, and with it some 35
 * libraries, whenever it finds no file, even if no server is to be asked: more time than the whole
 * report of a small trace takes. So it is only called where it may find something.
 */
#ifndef SYMBOL_LIBDW_DEBUG_H
#define SYMBOL_LIBDW_DEBUG_H

#include <elfutils/libdwfl.h>

struct libdw_inflate;

/* What a module's user data points to. */
struct libdw_debug {
	char *path;		       /* where to search, as libdwfl understands it */
	struct libdw_inflate *inflate; /* what the file found lacks; NULL: nothing */
};

/*
 * As Dwfl_Callbacks.find_debuginfo; servers are asked only where DEBUGINFOD_URLS is set. *data is
 * the module's struct libdw_debug.
 */
int libdw_find_debuginfo(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
			 const char *file_name, const char *link, GElf_Word link_crc,
			 char **debug_name);

#endif
