/*
 * DIEs do not know their parents. The first question about a unit walks its tree and notes for each
 * function the scope around it; as the walk goes through the unit from front to back, the notes
 * are sorted by the address of the DIE.
 */
#include "symbol_libdw_scopes.h"

#include <dwarf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHAIN_MAX  16 /* origins and specifications that are followed */
#define DEPTH_MAX  64 /* of scopes */
#define NAME_BYTES 8192
#define NONE	   UINT32_MAX

struct scope {
	const char *name; /* libdw's */
	uint32_t parent;
};

struct note {
	const void *die;
	uint32_t scope;
	char *name; /* NULL: not asked for yet */
};

struct unit {
	const void *die;
	struct scope *scopes;
	size_t scope_count;
	struct note *notes;
	size_t note_count;
};

struct libdw_scopes {
	struct unit *units;
	size_t count;
	size_t last; /* the unit of the last answer */
};

struct libdw_scopes *libdw_scopes_new(void)
{
	return calloc(1, sizeof(struct libdw_scopes));
}

void libdw_scopes_free(struct libdw_scopes *scopes)
{
	if (!scopes)
		return;
	for (size_t i = 0; i < scopes->count; i++) {
		struct unit *unit = &scopes->units[i];

		for (size_t j = 0; j < unit->note_count; j++)
			free(unit->notes[j].name);
		free(unit->notes);
		free(unit->scopes);
	}
	free(scopes->units);
	free(scopes);
}

/* Room for one more in an array that doubles from 16. */
static void *one_more(void *array, size_t count, size_t bytes)
{
	if (count < 16 ? count == 0 : (count & (count - 1)) == 0)
		return reallocarray(array, count < 16 ? 16 : count * 2, bytes);
	return array;
}

static const char *name_of(Dwarf_Die *die)
{
	Dwarf_Attribute attribute;
	const char *name = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_name, &attribute));

	return name && *name ? name : NULL;
}

/* From the concrete function to its declaration, which is what lies in the scope. */
static bool declaration_of(Dwarf_Die *die)
{
	for (int i = 0; i < CHAIN_MAX; i++) {
		Dwarf_Attribute attribute,
		    *found = dwarf_attr(die, DW_AT_abstract_origin, &attribute);
		Dwarf_Die next;

		if (!found)
			found = dwarf_attr(die, DW_AT_specification, &attribute);
		if (!found)
			return true;
		if (!dwarf_formref_die(found, &next))
			return false;
		*die = next;
	}
	return false;
}

static int compare(const void *key, const void *element)
{
	const void *die = ((const struct note *)element)->die;

	return key < die ? -1 : key > die;
}

static const struct note *find_note(const struct unit *unit, const void *die)
{
	return unit->note_count
		   ? bsearch(die, unit->notes, unit->note_count, sizeof(*unit->notes), compare)
		   : NULL;
}

/* A function that is defined outside of its scope is in the scope of its declaration. */
static uint32_t scope_of(const struct unit *unit, const Dwarf_Die *function, uint32_t scope)
{
	Dwarf_Die die = *function;
	const struct note *note = declaration_of(&die) ? find_note(unit, die.addr) : NULL;

	return note ? note->scope : scope;
}

static bool add_scope(struct unit *unit, Dwarf_Die *die, uint32_t parent)
{
	const char *name = name_of(die);
	struct scope *scopes;

	if (!name && dwarf_tag(die) == DW_TAG_namespace)
		name = "(anonymous namespace)";
	if (dwarf_tag(die) == DW_TAG_subprogram)
		parent = scope_of(unit, die, parent);
	scopes = one_more(unit->scopes, unit->scope_count, sizeof(*scopes));
	if (!scopes)
		return false;
	unit->scopes = scopes;
	scopes[unit->scope_count++] = (struct scope){name, parent};
	return true;
}

static bool add_note(struct unit *unit, const Dwarf_Die *die, uint32_t scope)
{
	struct note *notes = one_more(unit->notes, unit->note_count, sizeof(*notes));

	if (!notes)
		return false;
	unit->notes = notes;
	notes[unit->note_count++] = (struct note){die->addr, scope, NULL};
	return true;
}

static bool is_scope(int tag)
{
	switch (tag) {
	case DW_TAG_namespace:
	case DW_TAG_module:
	case DW_TAG_structure_type:
	case DW_TAG_class_type:
	case DW_TAG_union_type:
	case DW_TAG_enumeration_type:
	case DW_TAG_subprogram:
		return true;
	default:
		return false;
	}
}

static bool walk(struct unit *unit, Dwarf_Die *parent, uint32_t scope, int depth)
{
	Dwarf_Die die;

	if (depth > DEPTH_MAX || dwarf_child(parent, &die) != 0)
		return true;
	for (;;) {
		int tag = dwarf_tag(&die);
		uint32_t below = scope;
		const void *here = die.addr;

		if (tag == DW_TAG_subprogram && scope != NONE && !add_note(unit, &die, scope))
			return false;
		if (dwarf_haschildren(&die) > 0 && (is_scope(tag) || tag == DW_TAG_lexical_block)) {
			if (is_scope(tag)) {
				below = (uint32_t)unit->scope_count;
				if (!add_scope(unit, &die, scope))
					return false;
			}
			if (!walk(unit, &die, below, depth + 1))
				return false;
		}
		if (dwarf_siblingof(&die, &die) != 0 || (char *)die.addr <= (char *)here)
			return true;
	}
}

bool libdw_scopes_none(Dwarf_Die *unit)
{
	switch (dwarf_srclang(unit)) {
	case DW_LANG_C:
	case DW_LANG_C89:
	case DW_LANG_C99:
	case DW_LANG_C11:
		return true;
	default:
		return false;
	}
}

static struct unit *unit_of(struct libdw_scopes *scopes, Dwarf_Die *die)
{
	struct unit *units;

	if (scopes->count && scopes->units[scopes->last].die == die->addr)
		return &scopes->units[scopes->last];
	for (size_t i = 0; i < scopes->count; i++)
		if (scopes->units[i].die == die->addr) {
			scopes->last = i;
			return &scopes->units[i];
		}
	units = one_more(scopes->units, scopes->count, sizeof(*units));
	if (!units)
		return NULL;
	scopes->units = units;
	scopes->last = scopes->count;
	units[scopes->count] = (struct unit){.die = die->addr};
	if (!libdw_scopes_none(die) && dwarf_srclang(die) != DW_LANG_Mips_Assembler)
		walk(&units[scopes->count], die, NONE, 0);
	return &units[scopes->count++];
}

static char *qualified(const struct unit *unit, uint32_t scope, const char *name)
{
	const char *parts[DEPTH_MAX + 1];
	char text[NAME_BYTES];
	size_t count = 0, at = 0;

	for (; scope != NONE && count < DEPTH_MAX; scope = unit->scopes[scope].parent)
		if (unit->scopes[scope].name)
			parts[count++] = unit->scopes[scope].name;
	while (count > 0) {
		int bytes = snprintf(text + at, sizeof(text) - at, "%s::", parts[--count]);

		if (bytes < 0 || (at += (size_t)bytes) >= sizeof(text))
			return NULL;
	}
	if ((size_t)snprintf(text + at, sizeof(text) - at, "%s", name) >= sizeof(text) - at)
		return NULL;
	return strdup(text);
}

const char *libdw_scopes_name(struct libdw_scopes *scopes, const Dwarf_Die *function)
{
	Dwarf_Die die = *function, unit_die;
	struct unit *unit;
	struct note *note;
	const char *name;

	if (!declaration_of(&die) || !dwarf_diecu(&die, &unit_die, NULL, NULL))
		return NULL;
	unit = unit_of(scopes, &unit_die);
	note = unit ? (struct note *)find_note(unit, die.addr) : NULL;
	if (!note)
		return NULL;
	name = name_of(&die);
	if (!note->name && name)
		note->name = qualified(unit, note->scope, name);
	return note->name;
}
