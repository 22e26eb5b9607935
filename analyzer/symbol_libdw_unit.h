/*
 * One compile unit: which functions it has, and what was inlined into them.
 *
 * Nothing is read before the first question. Everything is bounded by the size of the debug
 * information: siblings are followed forward only, nesting to a fixed depth.
 */
#ifndef SYMBOL_LIBDW_UNIT_H
#define SYMBOL_LIBDW_UNIT_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbol_frame;
struct symbol_ranges;
struct libdw_scopes;
struct libdw_unit;

/*
 * NULL without memory. `die` is the unit's own; for a `split` unit that of the .dwo part. `scopes`
 * are shared by the units of a file and outlive them.
 */
struct libdw_unit *libdw_unit_new(const Dwarf_Die *die, bool split, struct libdw_scopes *scopes);
void libdw_unit_free(struct libdw_unit *unit);

/*
 * The frames of an address, innermost first, as struct symbol_backend's resolve(). 0 when the unit
 * has neither a function nor a line there; one frame without function when it has only a line.
 * `linked` says whether the last frame's name is that of the linker, not of the source.
 */
size_t libdw_unit_resolve(struct libdw_unit *unit, uint64_t address, struct symbol_frame *frames,
			  size_t max, bool *linked);

/* Adds the ranges of all functions with `value`: for units that do not state their own. */
bool libdw_unit_ranges(struct libdw_unit *unit, struct symbol_ranges *ranges, uint32_t value);

/* Adds the ranges of one DIE. */
bool libdw_die_ranges(Dwarf_Die *die, struct symbol_ranges *ranges, uint32_t value);

#endif
