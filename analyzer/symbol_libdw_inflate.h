/*
 * Debug files with their sections decompressed, faster and with less of them than libdw would.
 *
 * Distributions compress the sections of debug files with zlib. libdw inflates all of them when it
 * opens a file, also those that no question here ever needs, and that takes more time than the
 * rest of a small trace's report.
 */
#ifndef SYMBOL_LIBDW_INFLATE_H
#define SYMBOL_LIBDW_INFLATE_H

#include <libelf.h>
#include <stddef.h>
#include <stdint.h>

struct libdw_inflate;

/*
 * The debug file at `path` as a file in memory, in which the sections for variables' places and
 * macros are left out and the other compressed ones are zero until libdw_inflate_finish(); *inflate
 * is the caller's to free. Returns a descriptor for the caller to close; -1 when the file is none
 * with compressed sections, not the one of this build-id, or anything else stands in the way:
 * libdw can then do as it always does.
 */
int libdw_inflate_begin(const char *path, const uint8_t *build_id, size_t build_id_bytes,
			struct libdw_inflate **inflate);

/*
 * Inflates the sections in the memory that `elf` has of the descriptor's file, opened with
 * ELF_C_READ_MMAP_PRIVATE as libdwfl does, before anybody reads them. Damaged ones stay zero.
 */
void libdw_inflate_finish(struct libdw_inflate *inflate, Elf *elf);

/* NULL is allowed. What was inflated stays as long as the `elf`. */
void libdw_inflate_free(struct libdw_inflate *inflate);

#endif
