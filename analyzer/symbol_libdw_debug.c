/*
 * The places are those that elfutils documents for Dwfl_Callbacks.debuginfo_path, with the search
 * path of symbolizer.c: beside the file, in .debug there, and below the root of debug files, where
 * leading folders of the file's own are left out one by one.
 */
#include "symbol_libdw_debug.h"

#include "symbol_libdw_inflate.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What cannot be told is for libdwfl to judge: it counts as there. */
__attribute__((format(printf, 1, 2))) static bool there(const char *format, ...)
{
	char path[PATH_MAX];
	va_list arguments;
	int bytes;

	va_start(arguments, format);
	bytes = vsnprintf(path, sizeof(path), format, arguments);
	va_end(arguments);
	if (bytes < 0 || (size_t)bytes >= sizeof(path))
		return true;
	return access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

static bool below_root(const char *root, const char *folder, const char *link)
{
	for (; folder; folder = *folder ? strchr(folder + 1, '/') : NULL)
		if (there("%s%s/%s", root, folder, link))
			return true;
	return there("%s/%s", root, link);
}

/* Whether a debug file of this name lies where one for `file_name` may lie. */
static bool any_there(const char *root, const char *file_name, const char *link)
{
	const char *slash = strrchr(file_name, '/');
	char invented[NAME_MAX + 1];
	char *folder;
	bool found;

	/* Without a link libdwfl takes the file's own name. */
	snprintf(invented, sizeof(invented), "%s.debug", slash ? slash + 1 : file_name);
	link = link ? link : invented;
	folder = strndup(file_name, slash ? (size_t)(slash - file_name) : 0);
	found = !folder || !slash || link[0] == '/' || there("%s/%s", folder, link) ||
		there("%s/.debug/%s", folder, link) || below_root(root, folder, link);
	free(folder);
	return found;
}

static const char *root_of(const char *debug_path)
{
	const char *colon = strrchr(debug_path, ':');

	return colon ? colon + 1 : debug_path;
}

/* The file of a build-id below the root of debug files, to be decompressed; else -1. */
static int find_compressed(struct libdw_debug *debug, const unsigned char *id, size_t id_bytes,
			   char **debug_name)
{
	char hex[2 * 64 + 1] = "";
	char *name;
	int fd;

	if (id_bytes < 2 || id_bytes > 64 || debug->inflate)
		return -1;
	for (size_t i = 0; i < id_bytes; i++)
		snprintf(hex + 2 * i, 3, "%02x", id[i]);
	if (asprintf(&name, "%s/.build-id/%.2s/%s.debug", root_of(debug->path), hex, hex + 2) < 0)
		return -1;
	fd = libdw_inflate_begin(name, id, id_bytes, &debug->inflate);
	if (fd < 0)
		free(name);
	else
		*debug_name = name;
	return fd;
}

static bool may_find(const char *debug_path, const char *file_name, const char *link)
{
	const char *root = root_of(debug_path);
	char *real;
	bool found;

	if (any_there(root, file_name, link))
		return true;
	real = realpath(file_name, NULL);
	found = !real || (strcmp(real, file_name) != 0 && any_there(root, real, link));
	free(real);
	return found;
}

int libdw_find_debuginfo(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
			 const char *file_name, const char *link, GElf_Word link_crc,
			 char **debug_name)
{
	/* A link without a checksum is dwz's common file, which has rules of its own. */
	bool common = link && link_crc == 0;
	struct libdw_debug *debug = *data;
	const unsigned char *id;
	GElf_Addr address;
	int bytes, fd;

	if (!debug || !file_name || common)
		return dwfl_standard_find_debuginfo(module, data, name, base, file_name, link,
						    link_crc, debug_name);
	bytes = dwfl_module_build_id(module, &id, &address);
	if (bytes > 0) {
		fd = find_compressed(debug, id, (size_t)bytes, debug_name);
		if (fd >= 0)
			return fd;
		fd = dwfl_build_id_find_debuginfo(module, data, name, base, file_name, link,
						  link_crc, debug_name);
		if (fd >= 0 || errno != 0)
			return fd;
	}
	if (!getenv("DEBUGINFOD_URLS") && !may_find(debug->path, file_name, link))
		return -1;
	return dwfl_standard_find_debuginfo(module, data, name, base, file_name, link, link_crc,
					    debug_name);
}
