/*
 * The first question walks the unit's tree and keeps its functions by address; not what is inside
 * of functions, which is most of the tree and seldom has others (nested ones, methods of local
 * classes): that is walked for an address that is in none. The first question about a function
 * walks that function's tree and keeps what is inlined there.
 *
 * Rules: DWARF 5 sections 2.17 (ranges), 3.3.8 (inlined subroutines), 6.2 (lines).
 */
#include "symbol_libdw_unit.h"

#include "symbol_libdw_lines.h"
#include "symbol_libdw_ranges.h"
#include "symbol_libdw_scopes.h"
#include "symbolizer.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX      200	 /* of nested DIEs; real ones stay below 60 */
#define DIE_RANGES_MAX (1 << 20) /* ranges of one DIE */
#define NO_PARENT      UINT32_MAX

/* An inlined subroutine and the inlined subroutine that it lies in. */
struct inlined {
	Dwarf_Die die;
	uint32_t parent;
	uint32_t depth;
};

struct function {
	Dwarf_Die die;
	bool walked;
	struct inlined *inlined;
	size_t inlined_count;
	size_t inlined_room;
	struct symbol_ranges ranges; /* of `inlined` */
};

enum walked { WALKED_NOT, WALKED_FUNCTIONS, WALKED_ALL };

struct libdw_unit {
	Dwarf_Die die;
	struct libdw_scopes *scopes;
	const char *directory; /* DW_AT_comp_dir; libdw's */
	enum walked walked;
	bool split;
	bool lines_read;
	bool has_code;
	bool is_c;
	struct function *functions;
	size_t count;
	size_t room;
	struct symbol_ranges ranges; /* of `functions` */
	struct libdw_lines *lines;   /* lines_of() */
};

struct libdw_unit *libdw_unit_new(const Dwarf_Die *die, bool split, struct libdw_scopes *scopes)
{
	struct libdw_unit *unit = calloc(1, sizeof(*unit));

	if (!unit)
		return NULL;
	unit->die = *die;
	unit->split = split;
	unit->scopes = scopes;
	return unit;
}

static void clear(struct libdw_unit *unit)
{
	for (size_t i = 0; i < unit->count; i++) {
		free(unit->functions[i].inlined);
		symbol_ranges_fini(&unit->functions[i].ranges);
	}
	free(unit->functions);
	symbol_ranges_fini(&unit->ranges);
	unit->functions = NULL;
	unit->count = unit->room = 0;
}

void libdw_unit_free(struct libdw_unit *unit)
{
	if (!unit)
		return;
	clear(unit);
	libdw_lines_free(unit->lines);
	free(unit);
}

/* Linkers leave ranges of dropped code at 0 (or 1, in .debug_ranges), where no code ever is. */
bool libdw_die_ranges(Dwarf_Die *die, struct symbol_ranges *ranges, uint32_t value)
{
	Dwarf_Addr base = 0, start, end;
	ptrdiff_t offset = 0;

	for (int i = 0; i < DIE_RANGES_MAX; i++) {
		offset = dwarf_ranges(die, offset, &base, &start, &end);
		if (offset <= 0)
			break;
		if (start > 1 && !symbol_ranges_add(ranges, start, end, value))
			return false;
	}
	return true;
}

/* The next DIE beside this one; a sibling that points backward would never end. */
static bool next_sibling(Dwarf_Die *die)
{
	Dwarf_Die next;

	if (dwarf_siblingof(die, &next) != 0 || (char *)next.addr <= (char *)die->addr)
		return false;
	*die = next;
	return true;
}

/* A place for one more element; the array's room doubles. */
static void *more(void *array, size_t *room, size_t count, size_t bytes)
{
	size_t wanted = *room ? *room * 2 : 4;

	if (count < *room)
		return array;
	array = reallocarray(array, wanted, bytes);
	if (array)
		*room = wanted;
	return array;
}

static bool add_function(struct libdw_unit *unit, const Dwarf_Die *die)
{
	size_t before = unit->ranges.count;
	struct function *functions =
	    more(unit->functions, &unit->room, unit->count, sizeof(*functions));
	Dwarf_Die copy = *die;

	if (!functions)
		return false;
	unit->functions = functions;
	if (!libdw_die_ranges(&copy, &unit->ranges, (uint32_t)unit->count))
		return false;
	if (unit->ranges.count > before)
		functions[unit->count++] = (struct function){.die = *die};
	return true;
}

/* Tags that have children, many of them, and never a function below. */
static bool no_code_below(int tag)
{
	switch (tag) {
	case DW_TAG_call_site:
	case DW_TAG_GNU_call_site:
	case DW_TAG_enumeration_type:
	case DW_TAG_array_type:
	case DW_TAG_subroutine_type:
	case DW_TAG_variant_part:
		return true;
	default:
		return false;
	}
}

static bool walk_unit(struct libdw_unit *unit, Dwarf_Die *parent, int depth)
{
	Dwarf_Die die;

	if (depth > DEPTH_MAX || dwarf_child(parent, &die) != 0)
		return true;
	do {
		int tag = dwarf_tag(&die);

		if (tag == DW_TAG_subprogram) {
			if (!add_function(unit, &die))
				return false;
			if (unit->walked != WALKED_ALL)
				continue;
		}
		if (dwarf_haschildren(&die) > 0 && !no_code_below(tag) &&
		    !walk_unit(unit, &die, depth + 1))
			return false;
	} while (next_sibling(&die));
	return true;
}

/* Whether DIEs of such an abbreviation say where a function's code is. */
static bool places_function(Dwarf_Abbrev *abbreviation)
{
	size_t count;

	if (dwarf_getabbrevtag(abbreviation) != DW_TAG_subprogram ||
	    dwarf_getattrcnt(abbreviation, &count) != 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		unsigned name, form;

		if (dwarf_getabbrevattr(abbreviation, i, &name, &form, NULL) == 0 &&
		    (name == DW_AT_low_pc || name == DW_AT_ranges))
			return true;
	}
	return false;
}

/*
 * Whether a unit may have functions with code: link-time optimisation leaves as many without as
 * there were source files, and their abbreviations are soon looked through.
 */
static bool may_have_code(Dwarf_Die *unit)
{
	Dwarf_Off at = 0;

	for (;;) {
		size_t bytes = 0;
		Dwarf_Abbrev *abbreviation = dwarf_getabbrev(unit, at, &bytes);

		if (abbreviation == DWARF_END_ABBREV)
			return false;
		if (!abbreviation || bytes == 0 || places_function(abbreviation))
			return true;
		at += bytes;
	}
}

/* Walks the unit if that was not done so far. */
static void walk_unit_once(struct libdw_unit *unit, enum walked how_far)
{
	Dwarf_Attribute attribute;

	if (unit->walked >= how_far)
		return;
	if (unit->walked == WALKED_NOT) {
		unit->directory =
		    dwarf_formstring(dwarf_attr(&unit->die, DW_AT_comp_dir, &attribute));
		unit->is_c = libdw_scopes_none(&unit->die);
		unit->has_code = may_have_code(&unit->die);
	}
	clear(unit);
	unit->walked = how_far;
	if (unit->has_code)
		walk_unit(unit, &unit->die, 0);
	symbol_ranges_sort(&unit->ranges);
}

bool libdw_unit_ranges(struct libdw_unit *unit, struct symbol_ranges *ranges, uint32_t value)
{
	walk_unit_once(unit, WALKED_ALL);
	for (size_t i = 0; i < unit->ranges.count; i++) {
		const struct symbol_range *range = &unit->ranges.list[i];

		if (!symbol_ranges_add(ranges, range->start, range->end, value))
			return false;
	}
	return true;
}

static bool add_inlined(struct function *function, const Dwarf_Die *die, uint32_t parent)
{
	struct inlined *inlined = more(function->inlined, &function->inlined_room,
				       function->inlined_count, sizeof(*inlined));
	Dwarf_Die copy = *die;
	uint32_t depth;

	if (!inlined)
		return false;
	function->inlined = inlined;
	depth = parent == NO_PARENT ? 0 : inlined[parent].depth + 1;
	inlined[function->inlined_count] = (struct inlined){*die, parent, depth};
	return libdw_die_ranges(&copy, &function->ranges, (uint32_t)function->inlined_count++);
}

static bool walk_function(struct function *function, Dwarf_Die *parent, uint32_t inlined, int depth)
{
	Dwarf_Die die;

	if (depth > DEPTH_MAX || dwarf_child(parent, &die) != 0)
		return true;
	do {
		int tag = dwarf_tag(&die);
		uint32_t below = inlined;

		if (tag == DW_TAG_inlined_subroutine) {
			below = (uint32_t)function->inlined_count;
			if (!add_inlined(function, &die, inlined))
				return false;
		} else if (tag != DW_TAG_lexical_block && tag != DW_TAG_try_block &&
			   tag != DW_TAG_catch_block && tag != DW_TAG_with_stmt) {
			continue;
		}
		if (!walk_function(function, &die, below, depth + 1))
			return false;
	} while (next_sibling(&die));
	return true;
}

static const struct inlined *find_inlined(struct function *function, uint64_t address)
{
	const struct inlined *deepest = NULL;
	const struct symbol_range *range;
	size_t cursor;

	if (!function->walked) {
		function->walked = true;
		walk_function(function, &function->die, NO_PARENT, 0);
		symbol_ranges_sort(&function->ranges);
	}
	cursor = symbol_ranges_search(&function->ranges, address);
	while ((range = symbol_ranges_next(&function->ranges, address, &cursor))) {
		const struct inlined *inlined = &function->inlined[range->value];

		if (!deepest || inlined->depth > deepest->depth)
			deepest = inlined;
	}
	return deepest;
}

/*
 * What a function is called: as the linker has it if that is known, for that has the scopes and
 * parameters in it. dwarf_attr_integrate() follows abstract origins and specifications, 16 at most.
 */
static const char *name_of(struct libdw_unit *unit, Dwarf_Die *die, bool *linked)
{
	Dwarf_Attribute attribute;
	const char *name;

	*linked = true;
	name = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute));
	if (!name)
		name = dwarf_formstring(
		    dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute));
	if (name && *name)
		return name;
	name = libdw_scopes_name(unit->scopes, die);
	if (!name)
		name = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_name, &attribute));
	if (name && !*name)
		name = NULL;
	*linked = name && unit->is_c;
	return name;
}

static uint32_t number_of(Dwarf_Die *die, unsigned attribute_name)
{
	Dwarf_Attribute attribute;
	Dwarf_Word number = 0;

	if (dwarf_formudata(dwarf_attr(die, attribute_name, &attribute), &number) != 0)
		return 0;
	return number <= UINT32_MAX ? (uint32_t)number : 0;
}

/* NULL: libdw is to be asked. */
static struct libdw_lines *lines_of(struct libdw_unit *unit)
{
	if (!unit->lines_read) {
		unit->lines_read = true;
		if (!unit->split)
			unit->lines = libdw_lines_new(&unit->die, unit->directory);
	}
	return unit->lines;
}

static const char *call_file(struct libdw_unit *unit, Dwarf_Die *die)
{
	Dwarf_Attribute attribute;
	Dwarf_Files *files;
	size_t count;

	if (!dwarf_attr(die, DW_AT_call_file, &attribute))
		return NULL;
	if (lines_of(unit))
		return libdw_lines_file(unit->lines, number_of(die, DW_AT_call_file));
	if (dwarf_getsrcfiles(&unit->die, &files, &count) != 0)
		return NULL;
	return dwarf_filesrc(files, number_of(die, DW_AT_call_file), NULL, NULL);
}

static bool find_line(struct libdw_unit *unit, uint64_t address, struct symbol_frame *frame)
{
	Dwarf_Line *line;
	int number = 0;

	frame->directory = unit->directory;
	if (lines_of(unit))
		return libdw_lines_find(unit->lines, address, &frame->file, &frame->line) &&
		       frame->file != NULL;
	line = dwarf_getsrc_die(&unit->die, address);
	if (!line)
		return false;
	frame->file = dwarf_linesrc(line, NULL, NULL);
	if (dwarf_lineno(line, &number) == 0 && number > 0)
		frame->line = (uint32_t)number;
	return frame->file != NULL;
}

static struct function *find_walked(struct libdw_unit *unit, uint64_t address)
{
	size_t cursor = symbol_ranges_search(&unit->ranges, address);
	const struct symbol_range *range = symbol_ranges_next(&unit->ranges, address, &cursor);

	return range ? &unit->functions[range->value] : NULL;
}

static struct function *find_function(struct libdw_unit *unit, uint64_t address)
{
	struct function *function;

	walk_unit_once(unit, WALKED_FUNCTIONS);
	function = find_walked(unit, address);
	if (function || unit->walked == WALKED_ALL)
		return function;
	walk_unit_once(unit, WALKED_ALL);
	return find_walked(unit, address);
}

size_t libdw_unit_resolve(struct libdw_unit *unit, uint64_t address, struct symbol_frame *frames,
			  size_t max, bool *linked)
{
	struct function *function = find_function(unit, address);
	const struct inlined *inlined;
	size_t count = 0;

	*linked = false;
	frames[0] = (struct symbol_frame){0};
	if (!find_line(unit, address, &frames[0]) && !function)
		return 0;
	if (!function)
		return 1;
	inlined = find_inlined(function, address);
	while (inlined && count + 1 < max) {
		Dwarf_Die die = inlined->die;

		frames[count++].function = name_of(unit, &die, linked);
		frames[count] = (struct symbol_frame){.file = call_file(unit, &die),
						      .directory = unit->directory,
						      .line = number_of(&die, DW_AT_call_line)};
		inlined = inlined->parent == NO_PARENT ? NULL : &function->inlined[inlined->parent];
	}
	frames[count++].function = name_of(unit, &function->die, linked);
	return count;
}
