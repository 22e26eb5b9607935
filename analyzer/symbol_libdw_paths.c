/*
 * Up to DWARF 4 two lists of fixed form; in DWARF 5 the lists say themselves of what they consist.
 * A whole path is made when it is asked for.
 */
#include "symbol_libdw_paths.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#define FORMATS_MAX 16 /* of a path in DWARF 5 */

void *libdw_more(void *array, size_t *room, size_t count, size_t bytes)
{
	size_t wanted = *room ? *room * 2 : 16;

	if (count < *room)
		return array;
	array = reallocarray(array, wanted, bytes);
	if (array)
		*room = wanted;
	return array;
}

static bool add_directory(struct libdw_paths *paths, const char *name)
{
	const char **names = libdw_more(paths->directories, &paths->directory_room,
					paths->directory_count, sizeof(*names));

	if (!names)
		return false;
	paths->directories = names;
	names[paths->directory_count++] = name;
	return true;
}

static bool add_file(struct libdw_paths *paths, const char *name, uint64_t directory)
{
	struct libdw_path *files =
	    libdw_more(paths->files, &paths->file_room, paths->file_count, sizeof(*files));

	if (!files)
		return false;
	paths->files = files;
	files[paths->file_count++] = (struct libdw_path){name, directory, NULL};
	return true;
}

bool libdw_paths_read_old(struct libdw_paths *paths, struct libdw_bytes *table,
			  const char *directory)
{
	if (!add_directory(paths, directory) || !add_file(paths, "???", UINT64_MAX))
		return false;
	while (table->at < table->end && *table->at)
		if (!add_directory(paths, libdw_bytes_string(table)))
			return false;
	libdw_bytes_skip(table, 1);
	while (table->at < table->end && *table->at) {
		const char *name = libdw_bytes_string(table);

		if (!add_file(paths, name, libdw_bytes_uleb(table)))
			return false;
		libdw_bytes_uleb(table); /* time */
		libdw_bytes_uleb(table); /* length */
	}
	libdw_bytes_skip(table, 1);
	return !table->bad;
}

/* One value of a path's; *text is set by the forms of strings. False: an unusual form. */
static bool read_form(const struct libdw_path_source *source, struct libdw_bytes *table,
		      uint64_t form, const char **text, uint64_t *value)
{
	switch (form) {
	case DW_FORM_string:
		*text = libdw_bytes_string(table);
		return true;
	case DW_FORM_line_strp:
		*text = libdw_bytes_string_at(&source->line_strings,
					      libdw_bytes_number(table, source->offset_bytes));
		return *text != NULL;
	case DW_FORM_strp:
		*text = libdw_bytes_string_at(&source->strings,
					      libdw_bytes_number(table, source->offset_bytes));
		return *text != NULL;
	case DW_FORM_udata:
		*value = libdw_bytes_uleb(table);
		return true;
	case DW_FORM_data1:
		*value = libdw_bytes_number(table, 1);
		return true;
	case DW_FORM_data2:
		*value = libdw_bytes_number(table, 2);
		return true;
	case DW_FORM_data16:
		libdw_bytes_skip(table, 16);
		return true;
	default:
		return false;
	}
}

/* The list of directories, or that of files. */
static bool read_paths(struct libdw_paths *paths, const struct libdw_path_source *source,
		       struct libdw_bytes *table, bool files)
{
	uint64_t kinds[FORMATS_MAX], forms[FORMATS_MAX], count;
	size_t formats = libdw_bytes_number(table, 1);

	if (formats > FORMATS_MAX)
		return false;
	for (size_t i = 0; i < formats; i++) {
		kinds[i] = libdw_bytes_uleb(table);
		forms[i] = libdw_bytes_uleb(table);
	}
	count = libdw_bytes_uleb(table);
	/* One without a form would take no room, and there could be any number of them. */
	for (; count > 0 && !table->bad && formats > 0; count--) {
		const char *name = NULL;
		uint64_t directory = 0;

		for (size_t i = 0; i < formats; i++) {
			const char *text = NULL;
			uint64_t value = 0;

			if (!read_form(source, table, forms[i], &text, &value))
				return false;
			if (kinds[i] == DW_LNCT_path)
				name = text;
			else if (kinds[i] == DW_LNCT_directory_index)
				directory = value;
		}
		if (!name ||
		    !(files ? add_file(paths, name, directory) : add_directory(paths, name)))
			return false;
	}
	return !table->bad && count == 0;
}

bool libdw_paths_read(struct libdw_paths *paths, const struct libdw_path_source *source,
		      struct libdw_bytes *table)
{
	return read_paths(paths, source, table, false) && read_paths(paths, source, table, true);
}

void libdw_paths_fini(struct libdw_paths *paths)
{
	for (size_t i = 0; i < paths->file_count; i++)
		free(paths->files[i].whole);
	free(paths->files);
	free(paths->directories);
	*paths = (struct libdw_paths){0};
}

const char *libdw_paths_get(struct libdw_paths *paths, uint64_t number)
{
	struct libdw_path *path = number < paths->file_count ? &paths->files[number] : NULL;
	const char *directory;

	if (!path)
		return NULL;
	directory =
	    path->directory < paths->directory_count ? paths->directories[path->directory] : NULL;
	if (path->name[0] == '/' || !directory)
		return path->name;
	if (!path->whole) {
		size_t bytes = strlen(directory) + strlen(path->name) + 2;

		path->whole = malloc(bytes);
		if (path->whole)
			stpcpy(stpcpy(stpcpy(path->whole, directory), "/"), path->name);
	}
	return path->whole;
}
