/* Line tables beside libdw's own reading of them: every row of every fixture, and the files. */
#include "symbol_libdw_lines.h"

#include "symbols_support.h"

#include <check.h>
#include <dwarf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct counts {
	uint64_t start, end; /* of .text */
	size_t asked, different;
};

static void compare_address(struct libdw_lines *lines, Dwarf_Die *unit, Dwarf_Addr address,
			    struct counts *counts)
{
	Dwarf_Line *theirs = dwarf_getsrc_die(unit, address);
	const char *file = NULL, *their_file;
	uint32_t line = 0;
	int their_line = 0;

	/* Near 0 libdw finds what the linker dropped. */
	if (!theirs || address < counts->start || address >= counts->end)
		return;
	their_file = dwarf_linesrc(theirs, NULL, NULL);
	dwarf_lineno(theirs, &their_line);
	counts->asked++;
	counts->different += !libdw_lines_find(lines, address, &file, &line) || !file ||
			     strcmp(file, their_file) != 0 || line != (uint32_t)their_line;
}

static void compare_files(struct libdw_lines *lines, Dwarf_Die *unit)
{
	Dwarf_Files *theirs;
	size_t count;

	ck_assert_int_eq(dwarf_getsrcfiles(unit, &theirs, &count), 0);
	for (size_t i = 0; i <= count; i++)
		ck_assert_pstr_eq(libdw_lines_file(lines, i), dwarf_filesrc(theirs, i, NULL, NULL));
}

static void compare_unit(Dwarf_Die *unit, struct counts *counts)
{
	Dwarf_Attribute attribute;
	const char *directory = dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &attribute));
	struct libdw_lines *lines = libdw_lines_new(unit, directory);
	Dwarf_Lines *theirs;
	size_t count;

	ck_assert_int_eq(dwarf_getsrclines(unit, &theirs, &count), 0);
	ck_assert_ptr_nonnull(lines);
	for (size_t i = 0; i < count; i++) {
		Dwarf_Addr address;

		dwarf_lineaddr(dwarf_onesrcline(theirs, i), &address);
		for (Dwarf_Addr step = 0; step < 3; step++)
			compare_address(lines, unit, address + step, counts);
	}
	compare_files(lines, unit);
	libdw_lines_free(lines);
}

START_TEST(fixtures)
{
	const struct symbols_variant *variant = &symbols_variants[_i];
	int fd = open(variant->path, O_RDONLY | O_CLOEXEC);
	Dwarf *dwarf = dwarf_begin(fd, DWARF_C_READ);
	struct counts counts = {0};
	uint64_t bytes = 0;
	Dwarf_CU *unit = NULL;
	Dwarf_Attribute attribute;
	Dwarf_Die die;

	symbols_find_section(variant->path, ".text", &counts.start, &bytes);
	counts.end = counts.start + bytes;
	while (dwarf && dwarf_get_units(dwarf, unit, &unit, NULL, NULL, &die, NULL) == 0)
		if (dwarf_hasattr(&die, DW_AT_stmt_list) &&
		    dwarf_attr(&die, DW_AT_name, &attribute))
			compare_unit(&die, &counts);
	/* libdw has a row where a sequence ends. */
	ck_assert_msg(counts.different * 100 <= counts.asked, "%s: %zu of %zu differ",
		      variant->name, counts.different, counts.asked);
	if (strncmp(variant->name, "gcc-O", 5) == 0 || strncmp(variant->name, "clang-O", 7) == 0)
		ck_assert_uint_gt(counts.asked, 100);
	dwarf_end(dwarf);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("symbolizer_lines");
	TCase *tests = tcase_create("lines");
	SRunner *runner = srunner_create(suite);
	int failed;

	if (!symbols_read_variants())
		return EXIT_FAILURE;
	tcase_add_loop_test(tests, fixtures, 0, symbols_variant_count);
	tcase_set_timeout(tests, 60);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
