/*
 * The line table of one compile unit. (DWARF 5, 6.2.)
 *
 * libdw makes some 50 bytes of each row and sorts all rows of a unit: of a large program's report
 * that was most of the memory and much of the time. Here a row takes 12, and only the sequences
 * are sorted. What is rare (split units, VLIW, files defined in the program, sequences that
 * overlap) is left to libdw.
 */
#ifndef SYMBOL_LIBDW_LINES_H
#define SYMBOL_LIBDW_LINES_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stdint.h>

struct libdw_lines;

/*
 * Reads the table of `unit`, which is no split unit; `directory` is its DW_AT_comp_dir or NULL and
 * outlives the lines, as `unit`'s Dwarf does. NULL without memory, and where libdw is to be asked.
 */
struct libdw_lines *libdw_lines_new(Dwarf_Die *unit, const char *directory);
void libdw_lines_free(struct libdw_lines *lines);

/* File and line of an address; false when the table has none. The file is as libdw_lines_file(). */
bool libdw_lines_find(struct libdw_lines *lines, uint64_t address, const char **file,
		      uint32_t *line);

/*
 * The path of a file by its number in this table, as dwarf_filesrc(): it may be relative to the
 * unit's directory. NULL when there is none. Lives as long as the lines.
 */
const char *libdw_lines_file(struct libdw_lines *lines, uint64_t number);

#endif
