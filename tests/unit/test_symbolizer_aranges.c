/* Units by .debug_aranges, and what a table is worth that is damaged. */
#include "symbolizer.h"

#include "check_support.h"
#include "profile.h"
#include "symbols_support.h"

#include <check.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Copies a file whose first set of ranges has `bytes` at `offset`. */
static void write_damaged(const char *from, const char *to, size_t offset, const void *bytes,
			  size_t count)
{
	int fd = open(from, O_RDONLY | O_CLOEXEC), copy = open(to, O_WRONLY | O_CLOEXEC);
	Elf *elf;
	Elf_Scn *section = NULL;
	GElf_Shdr head = {0};
	size_t names, all;
	const char *image;

	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	ck_assert_ptr_nonnull(elf);
	ck_assert_int_eq(elf_getshdrstrndx(elf, &names), 0);
	while ((section = elf_nextscn(elf, section)) && gelf_getshdr(section, &head))
		if (strcmp(elf_strptr(elf, names, head.sh_name), ".debug_aranges") == 0)
			break;
	ck_assert_ptr_nonnull(section);
	image = elf_rawfile(elf, &all);
	ck_assert_int_eq(write(copy, image, all), (ssize_t)all);
	ck_assert_int_eq(pwrite(copy, bytes, count, (off_t)(head.sh_offset + offset)),
			 (ssize_t)count);
	elf_end(elf);
	close(fd);
	close(copy);
}

static const struct {
	const char *what;
	size_t offset, count;
	uint8_t bytes[4];
} damages[] = {
    {"nothing", 4, 2, {2, 0}},
    {"longer than the section", 0, 4, {0, 0xff, 0xff, 0}},
    {"64 bits that are not there", 0, 4, {0xff, 0xff, 0xff, 0xff}},
    {"empty", 0, 4, {0}},
    {"another version", 4, 2, {3, 0}},
    {"a unit behind all units", 6, 4, {0, 0xff, 0xff, 0}},
    {"a unit that begins in a unit", 6, 4, {5, 0, 0, 0}},
    {"addresses of no bytes", 10, 1, {0}},
    {"addresses of 4 bytes", 10, 1, {4}},
    {"segments", 11, 1, {8}},
};

/* The index of all units knows what the table does not. */
START_TEST(damaged)
{
	static const char program[] = SYMBOLS_DIR "/gcc-O0";
	char path[] = "/tmp/symbolizer.XXXXXX";
	struct symbolizer *symbolizer = symbolizer_new(NULL);
	struct symbolizer_module *module, *whole;
	uint64_t start, bytes;

	close(mkstemp(path));
	write_damaged(program, path, damages[_i].offset, damages[_i].bytes, damages[_i].count);
	ck_assert(symbols_find_section(program, ".text", &start, &bytes));
	whole = symbolizer_add_module(symbolizer, program, NULL, 0);
	module = symbolizer_add_module(symbolizer, path, NULL, 0);
	for (uint64_t address = start; address < start + bytes; address++) {
		const struct profile_frame *a = symbols_one(symbolizer, whole, address);
		const struct profile_frame *b = symbols_one(symbolizer, module, address);

		ck_assert_msg(
		    a->function == b->function && a->file == b->file && a->line == b->line,
		    "%s: %s at %#lx", damages[_i].what, b->function, (unsigned long)address);
	}
	symbolizer_free(symbolizer);
	unlink(path);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("symbolizer_aranges");
	TCase *aranges = tcase_create("aranges");

	if (!symbols_read_variants())
		return EXIT_FAILURE;
	tcase_add_loop_test(aranges, damaged, 0, sizeof(damages) / sizeof(*damages));
	tcase_set_timeout(aranges, 60);
	suite_add_tcase(suite, aranges);
	return support_run(suite);
}
