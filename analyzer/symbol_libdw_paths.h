/* The directories and files that a line table names. (DWARF 5, 6.2.4; DWARF 4, 6.2.4.) */
#ifndef SYMBOL_LIBDW_PATHS_H
#define SYMBOL_LIBDW_PATHS_H

#include "symbol_libdw_bytes.h"

struct libdw_path {
	const char *name;
	uint64_t directory;
	char *whole; /* NULL: not asked for yet; not used for absolute names */
};

/* Storage is the caller's; all zero is empty. */
struct libdw_paths {
	const char **directories;
	size_t directory_count, directory_room;
	struct libdw_path *files;
	size_t file_count, file_room;
};

/* What paths of DWARF 5 may refer to. */
struct libdw_path_source {
	uint8_t offset_bytes; /* 4 or 8 */
	struct libdw_bytes strings, line_strings;
};

/*
 * Take the lists off the table; strings are views of it and of the source. The old form, up to
 * DWARF 4, leaves out the unit's own `directory` (may be NULL). False for unsound and for unusual
 * ones, and without memory.
 */
bool libdw_paths_read(struct libdw_paths *paths, const struct libdw_path_source *source,
		      struct libdw_bytes *table);
bool libdw_paths_read_old(struct libdw_paths *paths, struct libdw_bytes *table,
			  const char *directory);
void libdw_paths_fini(struct libdw_paths *paths);

/*
 * The array with a place for one more element of `bytes` after `count`; its room, in elements,
 * doubles. NULL without memory: the old one stays.
 */
void *libdw_more(void *array, size_t *room, size_t count, size_t bytes);

/* As libdw_lines_file(). */
const char *libdw_paths_get(struct libdw_paths *paths, uint64_t number);

#endif
