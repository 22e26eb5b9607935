/*
 * The compile units of a file, and which of them an address is in.
 *
 * The quick way is .debug_aranges, which names the units' code without a look at the units. It may
 * be missing or incomplete (clang and rustc leave it out), so what it does not find is looked for
 * in an index of all units.
 */
#ifndef SYMBOL_LIBDW_UNITS_H
#define SYMBOL_LIBDW_UNITS_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct libdw_units;
struct symbol_frame;

/* Reads nothing yet. `dwarf` may be NULL (then nothing is found) and outlives the units. */
struct libdw_units *libdw_units_new(Dwarf *dwarf);
void libdw_units_free(struct libdw_units *units);

/* As libdw_unit_resolve(), of whichever unit knows most about the address. */
size_t libdw_units_resolve(struct libdw_units *units, uint64_t address, struct symbol_frame *frames,
			   size_t max, bool *linked);

#endif
