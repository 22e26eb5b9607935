/* Strings kept once each, until all go together. Not thread-safe. */
#ifndef SYMBOLIZER_STRINGS_H
#define SYMBOLIZER_STRINGS_H

#include <stddef.h>

struct symbolizer_strings;

/* NULL and errno without memory. */
struct symbolizer_strings *symbolizer_strings_new(void);
void symbolizer_strings_free(struct symbolizer_strings *strings);

/* The kept copy of `text`: equal texts give equal pointers. NULL for NULL, or without memory. */
const char *symbolizer_strings_keep(struct symbolizer_strings *strings, const char *text);

/* The kept copy of the demangled form of `symbol`, of the symbol itself if it is not mangled. */
const char *symbolizer_strings_demangle(struct symbolizer_strings *strings, const char *symbol);

/* The kept copy of `path` without "//", "/./" and "dir/../". */
const char *symbolizer_strings_path(struct symbolizer_strings *strings, const char *path);

/* Bytes that live as long as the strings, zeroed, aligned for any type. NULL without memory. */
void *symbolizer_strings_alloc(struct symbolizer_strings *strings, size_t bytes);

#endif
