/* Sets of ranges, each with a head that names its unit; a range of zeros ends a set. */
#include "symbol_libdw_aranges.h"

#include "symbol_libdw_bytes.h"
#include "symbol_libdw_section.h"

#include <gelf.h>

/* What the head of a set says. */
struct set {
	struct libdw_bytes bytes; /* of all of it, read up to its ranges */
	uint64_t unit;
	uint8_t address_bytes;
};

/* Takes the next set off the table, ranges and all. */
static bool next_set(struct libdw_bytes *table, struct set *set)
{
	const uint8_t *start = table->at;
	size_t offset_bytes = 4, step;
	uint64_t length = libdw_bytes_number(table, 4);

	if (length == UINT32_MAX) {
		offset_bytes = 8;
		length = libdw_bytes_number(table, 8);
	}
	set->bytes = *table;
	libdw_bytes_skip(table, length);
	if (table->bad)
		return false;
	set->bytes.end = table->at;
	if (libdw_bytes_number(&set->bytes, 2) != 2)
		return false;
	set->unit = libdw_bytes_number(&set->bytes, offset_bytes);
	set->address_bytes = (uint8_t)libdw_bytes_number(&set->bytes, 1);
	if ((set->address_bytes != 4 && set->address_bytes != 8) ||
	    libdw_bytes_number(&set->bytes, 1) != 0) /* segments */
		return false;
	/* The ranges begin at a multiple of their size. */
	step = 2 * (size_t)set->address_bytes;
	libdw_bytes_skip(&set->bytes, (step - (size_t)(set->bytes.at - start) % step) % step);
	return !set->bytes.bad;
}

bool libdw_aranges_read(Dwarf *dwarf, libdw_aranges_take *take, void *context)
{
	struct libdw_bytes table = libdw_section(dwarf_getelf(dwarf), ".debug_aranges");
	struct set set;

	if (table.at == table.end)
		return false;
	while (table.at < table.end) {
		if (!next_set(&table, &set))
			return false;
		while (set.bytes.at < set.bytes.end) {
			uint64_t start = libdw_bytes_number(&set.bytes, set.address_bytes);
			uint64_t bytes = libdw_bytes_number(&set.bytes, set.address_bytes);

			if (set.bytes.bad)
				return false;
			if (start == 0 && bytes == 0)
				break;
			if (!take(context, set.unit, start, bytes))
				return false;
		}
	}
	return true;
}
