/* The sections of debug information that are read without libdw. */
#ifndef SYMBOL_LIBDW_SECTION_H
#define SYMBOL_LIBDW_SECTION_H

#include "symbol_libdw_bytes.h"

#include <libelf.h>

/*
 * A section as libdw has it: elf_compress() has inflated it in place if need was. Empty where there
 * is none, or in another byte order than this machine's, which is to be little endian.
 */
struct libdw_bytes libdw_section(Elf *elf, const char *name);

#endif
