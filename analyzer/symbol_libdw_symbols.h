/* The symbol tables of a module, by address. */
#ifndef SYMBOL_LIBDW_SYMBOLS_H
#define SYMBOL_LIBDW_SYMBOLS_H

#include <elfutils/libdwfl.h>
#include <stdint.h>

struct libdw_symbols;

/*
 * Reads .symtab, of the module or its debug file, with what minidebuginfo adds, or else .dynsym.
 * `bias` is what libdwfl added to the file's addresses. NULL without memory.
 */
struct libdw_symbols *libdw_symbols_new(Dwfl_Module *module, uint64_t bias);
void libdw_symbols_free(struct libdw_symbols *symbols);

/*
 * The name of the function around a file address, not demangled, or NULL. Lives as long as the
 * symbols or the module, whichever ends first.
 */
const char *libdw_symbols_find(const struct libdw_symbols *symbols, uint64_t address);

#endif
