/*
 * .debug_aranges: which unit has the code of an address range (DWARF 5 section 6.1.2).
 *
 * Read without libdw, whose dwarf_getaranges() reads the head of every unit there is and keeps
 * more than a KiB of each, in a libc of two thousand units for the twenty that are asked.
 */
#ifndef SYMBOL_LIBDW_ARANGES_H
#define SYMBOL_LIBDW_ARANGES_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stdint.h>

/* Takes one range of the unit whose header is at `unit` in .debug_info; false ends the reading. */
typedef bool libdw_aranges_take(void *context, uint64_t unit, uint64_t start, uint64_t bytes);

/* In the order of the table. False where there is none, it is damaged, or `take` said so. */
bool libdw_aranges_read(Dwarf *dwarf, libdw_aranges_take *take, void *context);

#endif
