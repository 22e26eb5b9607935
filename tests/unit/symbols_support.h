/* What the tests of the symbolizer share: the fixtures of symbols.cmake. */
#ifndef SYMBOLS_SUPPORT_H
#define SYMBOLS_SUPPORT_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct profile_frame;
struct symbolizer;
struct symbolizer_module;

#define SYMBOLS_VARIANTS_MAX 64

struct symbols_variant {
	char path[PATH_MAX];
	char name[64];
	char finds[16]; /* "full", "symbols", "exported" */
};

extern struct symbols_variant symbols_variants[SYMBOLS_VARIANTS_MAX];
extern int symbols_variant_count;

/* Fills the above; false, which it says, when the fixtures have not been built. */
bool symbols_read_variants(void);

/* Whether a file is the source of the fixtures. */
bool symbols_is_source(const char *file);

/* The range of one section of an ELF file; false when there is none of that name. */
bool symbols_find_section(const char *path, const char *wanted, uint64_t *start, uint64_t *bytes);

/* The innermost frame of an address. */
const struct profile_frame *symbols_one(struct symbolizer *symbolizer,
					struct symbolizer_module *module, uint64_t address);

/* Entries in /proc/self/fd. */
int symbols_open_files(void);

#endif
