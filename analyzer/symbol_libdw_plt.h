/* Names for the stubs of the procedure linkage table, which no symbol table has. */
#ifndef SYMBOL_LIBDW_PLT_H
#define SYMBOL_LIBDW_PLT_H

#include <libelf.h>
#include <stdint.h>

struct libdw_plt;

/* NULL when there is no such table, the machine is not x86-64 or AArch64, or without memory. */
struct libdw_plt *libdw_plt_new(Elf *elf);
void libdw_plt_free(struct libdw_plt *plt);

/* "malloc@plt", or NULL. Lives as long as the plt. */
const char *libdw_plt_find(struct libdw_plt *plt, uint64_t address);

#endif
