#include "symbols_support.h"

#include "profile.h"
#include "symbolizer.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* libdw 0.188 forgets a name when a debug link leads nowhere; to tell, stacks must be whole. */
const char *__asan_default_options(void);
const char *__lsan_default_suppressions(void);

const char *__asan_default_options(void)
{
	return "fast_unwind_on_malloc=0";
}

const char *__lsan_default_suppressions(void)
{
	return "leak:libdw";
}

struct symbols_variant symbols_variants[SYMBOLS_VARIANTS_MAX];
int symbols_variant_count;

bool symbols_read_variants(void)
{
	FILE *file = fopen(SYMBOLS_DIR "/variants.txt", "r");

	while (file && symbols_variant_count < SYMBOLS_VARIANTS_MAX) {
		struct symbols_variant *variant = &symbols_variants[symbols_variant_count];
		char name[sizeof(variant->name)];

		if (fscanf(file, "%63s %15s", name, variant->finds) != 2)
			break;
		strcpy(variant->name, name);
		snprintf(variant->path, PATH_MAX, "%s/%s", SYMBOLS_DIR, name);
		symbols_variant_count++;
	}
	if (file)
		fclose(file);
	if (symbols_variant_count >= 10)
		return true;
	fprintf(stderr, "fixtures are missing: build symbols_fixtures\n");
	return false;
}

bool symbols_is_source(const char *file)
{
	const char *slash = file ? strrchr(file, '/') : NULL;

	return slash && (strcmp(slash, "/symbols_fixture.cc") == 0 ||
			 strcmp(slash, "/symbols_fixture.rs") == 0);
}

bool symbols_find_section(const char *path, const char *wanted, uint64_t *start, uint64_t *bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	Elf *elf;
	Elf_Scn *section = NULL;
	GElf_Shdr shdr;
	size_t names;
	bool found = false;

	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	ck_assert_ptr_nonnull(elf);
	ck_assert_int_eq(elf_getshdrstrndx(elf, &names), 0);
	while (!found && (section = elf_nextscn(elf, section)) && gelf_getshdr(section, &shdr))
		found = strcmp(elf_strptr(elf, names, shdr.sh_name), wanted) == 0;
	*start = shdr.sh_addr;
	*bytes = shdr.sh_size;
	elf_end(elf);
	close(fd);
	return found;
}

const struct profile_frame *symbols_one(struct symbolizer *symbolizer,
					struct symbolizer_module *module, uint64_t address)
{
	const struct profile_frame *frame = NULL;

	ck_assert_uint_eq(symbolizer_resolve(symbolizer, module, address, &frame, 1), 1);
	ck_assert_ptr_nonnull(frame);
	ck_assert_uint_eq(frame->offset, address);
	return frame;
}

int symbols_open_files(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}
