/*
 * Three stages, each more work than the one before and begun only for an address that the ones
 * before do not know: the units by .debug_aranges; all units by the ranges they state; and those
 * that state none by a walk through their functions.
 */
#include "symbol_libdw_units.h"

#include "symbol_libdw_aranges.h"
#include "symbol_libdw_ranges.h"
#include "symbol_libdw_scopes.h"
#include "symbol_libdw_unit.h"
#include "symbolizer.h"

#include <dwarf.h>
#include <stdlib.h>

#define UNITS_MAX (1 << 22)

enum stage { STAGE_NOTHING, STAGE_ARANGES, STAGE_STATED, STAGE_WALKED };

/* A unit that is made when it is first asked. */
struct entry {
	Dwarf_Off offset; /* of its head by .debug_aranges, else of its DIE */
	struct libdw_unit *unit;
};

struct libdw_units {
	Dwarf *dwarf;
	struct libdw_scopes *scopes;
	enum stage stage;
	struct entry *entries;
	size_t count;
	size_t room;
	struct symbol_ranges ranges; /* of `entries` */
	uint32_t *unplaced;	     /* entries that do not say where their code is */
	size_t unplaced_count;
};

struct libdw_units *libdw_units_new(Dwarf *dwarf)
{
	struct libdw_units *units = calloc(1, sizeof(*units));

	if (!units)
		return NULL;
	units->dwarf = dwarf;
	units->scopes = libdw_scopes_new();
	if (!units->scopes) {
		free(units);
		return NULL;
	}
	return units;
}

static void clear(struct libdw_units *units)
{
	for (size_t i = 0; i < units->count; i++)
		libdw_unit_free(units->entries[i].unit);
	free(units->entries);
	free(units->unplaced);
	symbol_ranges_fini(&units->ranges);
	units->entries = NULL;
	units->unplaced = NULL;
	units->count = units->room = units->unplaced_count = 0;
}

void libdw_units_free(struct libdw_units *units)
{
	if (!units)
		return;
	clear(units);
	libdw_scopes_free(units->scopes);
	free(units);
}

static bool add_entry(struct libdw_units *units, Dwarf_Off offset)
{
	if (units->count == units->room) {
		size_t room = units->room ? units->room * 2 : 64;
		struct entry *entries = reallocarray(units->entries, room, sizeof(*entries));
		uint32_t *unplaced = reallocarray(units->unplaced, room, sizeof(*unplaced));

		units->entries = entries ? entries : units->entries;
		units->unplaced = unplaced ? unplaced : units->unplaced;
		if (!entries || !unplaced)
			return false;
		units->room = room;
	}
	units->entries[units->count++] = (struct entry){.offset = offset};
	return true;
}

/* ---- .debug_aranges ---- */

/* A set of ranges is a unit's; should there be two of one unit, they are as of two. */
static bool take_range(void *context, uint64_t unit, uint64_t start, uint64_t bytes)
{
	struct libdw_units *units = context;

	if (units->count == 0 || units->entries[units->count - 1].offset != unit)
		if (units->count == UNITS_MAX || !add_entry(units, unit))
			return false;
	/* As in libdw_die_ranges(): nothing lies at 0. */
	return start <= 1 || symbol_ranges_add(&units->ranges, start, start + bytes,
					       (uint32_t)(units->count - 1));
}

static bool read_aranges(struct libdw_units *units)
{
	if (!libdw_aranges_read(units->dwarf, take_range, units))
		return false;
	symbol_ranges_sort(&units->ranges);
	return true;
}

/* A unit's DIE is behind its head. */
static bool unit_die(struct libdw_units *units, const struct entry *entry, Dwarf_Die *die)
{
	Dwarf_Off offset = entry->offset, next;
	size_t head_bytes;

	if (units->stage == STAGE_ARANGES) {
		if (dwarf_next_unit(units->dwarf, offset, &next, &head_bytes, NULL, NULL, NULL,
				    NULL, NULL, NULL) != 0)
			return false;
		offset += head_bytes;
	}
	return dwarf_offdie(units->dwarf, offset, die) != NULL;
}

/* ---- all units ---- */

static bool is_code_unit(Dwarf_Die *die)
{
	int tag = dwarf_tag(die);

	return tag == DW_TAG_compile_unit || tag == DW_TAG_skeleton_unit;
}

static void read_stated(struct libdw_units *units)
{
	Dwarf_CU *unit = NULL;
	Dwarf_Die die;

	while (units->count < UNITS_MAX &&
	       dwarf_get_units(units->dwarf, unit, &unit, NULL, NULL, &die, NULL) == 0) {
		size_t before = units->ranges.count;
		uint32_t index = (uint32_t)units->count;

		if (!is_code_unit(&die))
			continue;
		if (!add_entry(units, dwarf_dieoffset(&die)) ||
		    !libdw_die_ranges(&die, &units->ranges, index))
			break;
		if (units->ranges.count == before && dwarf_haschildren(&die) > 0)
			units->unplaced[units->unplaced_count++] = index;
	}
	symbol_ranges_sort(&units->ranges);
}

/* The unit with that number, of a split unit the .dwo part; NULL where there is none. */
static struct libdw_unit *unit_at(struct libdw_units *units, uint32_t index)
{
	struct entry *entry = &units->entries[index];
	Dwarf_Die die, split;
	uint8_t type = 0;
	bool is_split;

	if (entry->unit || !unit_die(units, entry, &die))
		return entry->unit;
	if (!is_code_unit(&die) ||
	    dwarf_cu_info(die.cu, NULL, &type, NULL, &split, NULL, NULL, NULL) != 0)
		return NULL;
	is_split = type == DW_UT_skeleton && split.addr;
	entry->unit = libdw_unit_new(is_split ? &split : &die, is_split, units->scopes);
	return entry->unit;
}

/* Walks the units that do not say where their code is, once, for they cost the most. */
static void walk_unplaced(struct libdw_units *units)
{
	for (size_t i = 0; i < units->unplaced_count; i++) {
		struct libdw_unit *unit = unit_at(units, units->unplaced[i]);

		if (unit && !libdw_unit_ranges(unit, &units->ranges, units->unplaced[i]))
			break;
	}
	symbol_ranges_sort(&units->ranges);
}

/* ---- questions ---- */

static void begin_stage(struct libdw_units *units)
{
	switch (++units->stage) {
	case STAGE_ARANGES:
		if (!read_aranges(units))
			clear(units);
		break;
	case STAGE_STATED:
		clear(units);
		read_stated(units);
		break;
	default:
		walk_unplaced(units);
		break;
	}
}

/* Units may overlap (linker-folded code, lying ranges): the first with a function there is it. */
static size_t resolve(struct libdw_units *units, uint64_t address, struct symbol_frame *frames,
		      size_t max, bool *linked)
{
	size_t cursor = symbol_ranges_search(&units->ranges, address);
	const struct symbol_range *range;
	struct libdw_unit *only_line = NULL;

	while ((range = symbol_ranges_next(&units->ranges, address, &cursor))) {
		struct libdw_unit *unit = unit_at(units, range->value);
		size_t count = unit ? libdw_unit_resolve(unit, address, frames, max, linked) : 0;

		if (count && frames[count - 1].function)
			return count;
		if (count && !only_line)
			only_line = unit;
	}
	return only_line ? libdw_unit_resolve(only_line, address, frames, max, linked) : 0;
}

size_t libdw_units_resolve(struct libdw_units *units, uint64_t address, struct symbol_frame *frames,
			   size_t max, bool *linked)
{
	size_t count = 0;

	if (!units->dwarf)
		return 0;
	for (;;) {
		if (units->stage != STAGE_NOTHING)
			count = resolve(units, address, frames, max, linked);
		if (units->stage == STAGE_WALKED || (count && frames[count - 1].function) ||
		    (count && units->stage != STAGE_ARANGES))
			return count;
		begin_stage(units);
	}
}
