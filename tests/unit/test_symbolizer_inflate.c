/* The copy of a debug file whose sections are inflated where libelf has mapped them. */
#include "symbol_libdw_inflate.h"

#include "check_support.h"
#include "symbols_support.h"

#include <check.h>
#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char program[] = SYMBOLS_DIR "/gcc-compressed";

static Elf *open_elf(int fd, Elf_Cmd how)
{
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = elf_begin(fd, how, NULL);
	ck_assert_ptr_nonnull(elf);
	return elf;
}

static Elf *open_program(int *fd)
{
	*fd = open(program, O_RDONLY | O_CLOEXEC);
	return open_elf(*fd, ELF_C_READ_MMAP_PRIVATE);
}

/* The copy of the program, or of the file at `path`; -1 where there is nothing to inflate with. */
static int begin(const char *path, Elf *elf, struct libdw_inflate **inflate)
{
	const void *id;
	ssize_t bytes = dwelf_elf_gnu_build_id(elf, &id);
	int fd;

	*inflate = NULL;
	ck_assert_int_gt(bytes, 0);
	fd = libdw_inflate_begin(path, id, (size_t)bytes, inflate);
#ifdef HAVE_LIBDEFLATE
	ck_assert_int_ge(fd, 0);
#endif
	return fd;
}

static const char *name_of(Elf *elf, const GElf_Shdr *head)
{
	size_t names;

	ck_assert_int_eq(elf_getshdrstrndx(elf, &names), 0);
	return elf_strptr(elf, names, head->sh_name);
}

/* A section's bytes, of the program's inflated by libelf. */
static Elf_Data *data_of(Elf_Scn *section, GElf_Shdr *head)
{
	ck_assert_ptr_nonnull(gelf_getshdr(section, head));
	if (head->sh_flags & SHF_COMPRESSED) {
		ck_assert_int_eq(elf_compress(section, 0, 0), 1);
		ck_assert_ptr_nonnull(gelf_getshdr(section, head));
	}
	return elf_rawdata(section, NULL);
}

static bool all_zero(const Elf_Data *data)
{
	const char *bytes = data->d_buf;

	return bytes[0] == 0 && memcmp(bytes, bytes + 1, data->d_size - 1) == 0;
}

/* What is compressed in the program is in the copy as in the program; all zero if named so. */
static size_t compare(Elf *elf, Elf *copy, const char *zero)
{
	Elf_Scn *section = NULL;
	size_t compared = 0;

	while ((section = elf_nextscn(elf, section))) {
		Elf_Scn *other = elf_getscn(copy, elf_ndxscn(section));
		GElf_Shdr head, other_head;
		Elf_Data *a, *b;

		ck_assert_ptr_nonnull(gelf_getshdr(section, &head));
		if (!(head.sh_flags & SHF_COMPRESSED))
			continue;
		ck_assert_ptr_nonnull(gelf_getshdr(other, &other_head));
		if (other_head.sh_type == SHT_NOBITS) {
			ck_assert_ptr_nonnull(strstr(name_of(elf, &head), "loc"));
			continue;
		}
		a = data_of(section, &head);
		b = data_of(other, &other_head);
		ck_assert(a && b && a->d_size == b->d_size);
		ck_assert_msg(strstr(name_of(elf, &head), zero)
				  ? all_zero(b)
				  : memcmp(a->d_buf, b->d_buf, a->d_size) == 0,
			      "%s", name_of(elf, &head));
		compared++;
	}
	return compared;
}

START_TEST(as_libelf_does)
{
	struct libdw_inflate *inflate;
	int program_fd, fd;
	Elf *elf = open_program(&program_fd), *copy;

	fd = begin(program, elf, &inflate);
	if (fd >= 0) {
		copy = open_elf(fd, ELF_C_READ_MMAP_PRIVATE);
		libdw_inflate_finish(inflate, copy);
		libdw_inflate_free(inflate);
		ck_assert_uint_ge(compare(elf, copy, "none"), 4);
		elf_end(copy);
		close(fd);
	}
	elf_end(elf);
	close(program_fd);
}
END_TEST

/* Of an image that libelf has not mapped nothing is overwritten. */
START_TEST(not_mapped)
{
	struct libdw_inflate *inflate;
	int program_fd, fd;
	Elf *elf = open_program(&program_fd), *copy;

	fd = begin(program, elf, &inflate);
	if (fd >= 0) {
		copy = open_elf(fd, ELF_C_READ);
		libdw_inflate_finish(inflate, copy);
		libdw_inflate_free(inflate);
		ck_assert_uint_ge(compare(elf, copy, ".debug"), 4);
		elf_end(copy);
		close(fd);
	}
	elf_end(elf);
	close(program_fd);
}
END_TEST

/* Writes the program to `path` with junk in the midst of a section. */
static void write_damaged(const char *path, Elf *elf, const char *name)
{
	Elf_Scn *section = NULL;
	GElf_Shdr head = {0};
	size_t bytes;
	const char *image = elf_rawfile(elf, &bytes);
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_TRUNC);

	while ((section = elf_nextscn(elf, section)) && gelf_getshdr(section, &head))
		if (strcmp(name_of(elf, &head), name) == 0)
			break;
	ck_assert_ptr_nonnull(section);
	ck_assert_int_eq(write(fd, image, bytes), (ssize_t)bytes);
	ck_assert_int_eq(pwrite(fd, "junk", 4, (off_t)(head.sh_offset + head.sh_size / 2)), 4);
	close(fd);
}

/* A damaged section is none, not half of one, and the others are there. */
START_TEST(damaged)
{
	char path[] = "/tmp/symbolizer.XXXXXX";
	struct libdw_inflate *inflate;
	int program_fd, fd;
	Elf *elf = open_program(&program_fd), *copy;

	close(mkstemp(path));
	write_damaged(path, elf, ".debug_info");
	fd = begin(path, elf, &inflate);
	unlink(path);
	if (fd >= 0) {
		copy = open_elf(fd, ELF_C_READ_MMAP_PRIVATE);
		libdw_inflate_finish(inflate, copy);
		libdw_inflate_free(inflate);
		ck_assert_uint_ge(compare(elf, copy, ".debug_info"), 4);
		elf_end(copy);
		close(fd);
	}
	elf_end(elf);
	close(program_fd);
}
END_TEST

/* An image of something else is left alone, and what is not the file asked for is not copied. */
START_TEST(another_file)
{
	struct libdw_inflate *inflate;
	int program_fd, fd, open_before = symbols_open_files();
	Elf *elf = open_program(&program_fd);

	fd = begin(program, elf, &inflate);
	if (fd >= 0) {
		libdw_inflate_finish(inflate, elf);
		ck_assert_uint_ge(compare(elf, elf, "none"), 4);
		libdw_inflate_free(inflate);
		close(fd);
	}
	ck_assert_int_eq(libdw_inflate_begin(program, (const uint8_t *)"id", 2, &inflate), -1);
	ck_assert_int_eq(libdw_inflate_begin("/", (const uint8_t *)"id", 2, &inflate), -1);
	elf_end(elf);
	close(program_fd);
	ck_assert_int_eq(symbols_open_files(), open_before);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("symbolizer_inflate");
	TCase *inflate = tcase_create("inflate");

	if (!symbols_read_variants())
		return EXIT_FAILURE;
	tcase_add_test(inflate, as_libelf_does);
	tcase_add_test(inflate, not_mapped);
	tcase_add_test(inflate, damaged);
	tcase_add_test(inflate, another_file);
	suite_add_tcase(suite, inflate);
	return support_run(suite);
}
