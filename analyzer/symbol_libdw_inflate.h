/*
 * Debug files with their sections decompressed, faster and with less of them than libdw would.
 *
 * Distributions compress the sections of debug files with zlib. libdw inflates all of them when it
 * opens a file, also those that no question here ever needs, and that takes more time than the
 * rest of a small trace's report.
 */
#ifndef SYMBOL_LIBDW_INFLATE_H
#define SYMBOL_LIBDW_INFLATE_H

#include <stddef.h>
#include <stdint.h>

/*
 * The debug file at `path` as a file in memory, its sections decompressed and those for variables'
 * places and macros left out. Returns a descriptor for the caller to close; -1 when the file is
 * none with compressed sections, not the one of this build-id, or anything else stands in the way:
 * libdw can then do as it always does.
 */
int libdw_inflate(const char *path, const uint8_t *build_id, size_t build_id_bytes);

#endif
