/*
 * The symbolizer over the fixtures of symbols.cmake: programs that say themselves what is where.
 * A sweep over all their code is compared with addr2line too.
 */
#include "symbolizer.h"

#include "frame_rules.h"
#include "profile.h"

#include <check.h>
#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <gelf.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VARIANTS_MAX 64
#define FRAMES_MAX   16

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

struct variant {
	char path[PATH_MAX];
	char name[64];
	char finds[16]; /* "full", "symbols", "exported" */
};

static struct variant variants[VARIANTS_MAX];
static int variant_count;

static void read_variants(void)
{
	FILE *file = fopen(SYMBOLS_DIR "/variants.txt", "r");

	while (file && variant_count < VARIANTS_MAX) {
		struct variant *variant = &variants[variant_count];
		char name[sizeof(variant->name)];

		if (fscanf(file, "%63s %15s", name, variant->finds) != 2)
			break;
		strcpy(variant->name, name);
		snprintf(variant->path, PATH_MAX, "%s/%s", SYMBOLS_DIR, name);
		variant_count++;
	}
	if (file)
		fclose(file);
}

static const char *base_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path;
}

/* ---- what the fixtures say of themselves ---- */

/* "~" asks for a part of the name, anything else for all of it. */
static bool name_fits(const char *expected, const char *function)
{
	if (!function)
		return false;
	return expected[0] == '~' ? strstr(function, expected + 1) != NULL
				  : strcmp(expected, function) == 0;
}

static bool is_fixture(const char *file)
{
	const char *base = base_name(file);

	return base &&
	       (strcmp(base, "symbols_fixture.cc") == 0 || strcmp(base, "symbols_fixture.rs") == 0);
}

/* "FUNCTION;LINE|FUNCTION;LINE" against the frames; a line 0 is not known to the fixture. */
static void check_full(const struct variant *variant, char *said,
		       const struct profile_frame **frames, size_t count)
{
	char *rest = said;
	size_t i = 0;

	for (char *part; (part = strsep(&rest, "|")); i++) {
		char *semicolon = strrchr(part, ';');
		unsigned line = (unsigned)atoi(semicolon + 1);

		*semicolon = '\0';
		ck_assert_msg(i < count, "%s: %s: not found", variant->name, part);
		ck_assert_msg(name_fits(part, frames[i]->function), "%s: %s and not %s",
			      variant->name, part, frames[i]->function);
		ck_assert_msg(!line || frames[i]->line == line, "%s: %s: line %u and not %u",
			      variant->name, part, line, frames[i]->line);
		ck_assert_msg(is_fixture(frames[i]->file) && frames[i]->file[0] == '/',
			      "%s: %s: in %s", variant->name, part, frames[i]->file);
		ck_assert(frames[i]->inlined == (i + 1 < count));
	}
	ck_assert_uint_eq(i, count);
}

/* Without debug information only the outermost function has a name, if it is exported. */
static void check_names(const struct variant *variant, const char *said,
			const struct profile_frame **frames, size_t count)
{
	const char *last = strrchr(said, '|');
	char name[256];

	snprintf(name, sizeof(name), "%s", last ? last + 1 : said);
	*strrchr(name, ';') = '\0';
	ck_assert_uint_eq(count, 1);
	ck_assert_ptr_null(frames[0]->file);
	ck_assert_uint_eq(frames[0]->line, 0);
	if (strcmp(variant->finds, "exported") == 0 && strstr(name, "(anonymous namespace)"))
		ck_assert_ptr_null(frames[0]->function);
	else
		ck_assert_msg(name_fits(name, frames[0]->function), "%s: %s and not %s",
			      variant->name, name, frames[0]->function);
}

START_TEST(fixtures)
{
	const struct variant *variant = &variants[_i];
	struct symbolizer *symbolizer = symbolizer_new(NULL);
	struct symbolizer_module *module =
	    symbolizer_add_module(symbolizer, variant->path, NULL, 0);
	FILE *program = popen(variant->path, "r");
	char line[1024];
	int lines = 0;

	ck_assert_ptr_nonnull(program);
	while (fgets(line, sizeof(line), program)) {
		const struct profile_frame *frames[FRAMES_MAX];
		char *said;
		uint64_t address = strtoull(line, &said, 16);
		size_t count = symbolizer_resolve(symbolizer, module, address, frames, FRAMES_MAX);

		ck_assert_ptr_null(symbolizer_module_warning(module));
		ck_assert_uint_ge(count, 1);
		said[strcspn(said, "\n")] = '\0';
		for (size_t i = 0; i < count; i++) {
			ck_assert_str_eq(frames[i]->module, variant->path);
			ck_assert_uint_eq(frames[i]->offset, address);
			ck_assert_uint_eq(frames[i]->role, frame_rules_role(frames[i]));
		}
		if (strcmp(variant->finds, "full") == 0)
			check_full(variant, said + 1, frames, count);
		else
			check_names(variant, said + 1, frames, count);
		lines++;
	}
	ck_assert_int_eq(pclose(program), 0);
	ck_assert_int_ge(lines, 3);
	symbolizer_free(symbolizer);
}
END_TEST

/* ---- sections ---- */

/* The range of one section; false when there is none of that name. */
static bool find_section(const char *path, const char *wanted, uint64_t *start, uint64_t *bytes)
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

/* ---- addr2line ---- */

#define STEP 3

/* One line of addr2line's into `text`, without its end and without a discriminator. */
static bool read_line(FILE *file, char *text, size_t bytes)
{
	char *note;

	if (!fgets(text, (int)bytes, file))
		return false;
	text[strcspn(text, "\n")] = '\0';
	note = strstr(text, " (discriminator");
	if (note)
		*note = '\0';
	return true;
}

static bool same_place(const struct profile_frame *frame, char *place)
{
	char *colon = strrchr(place, ':');
	unsigned line = colon ? (unsigned)atoi(colon + 1) : 0; /* "?" is 0 */
	char file[PATH_MAX];

	if (colon)
		*colon = '\0';
	if (!frame->file)
		return line == 0;
	/* addr2line leaves "/../" in */
	return line == frame->line && (strcmp(place, frame->file) == 0 ||
				       (realpath(place, file) && strcmp(file, frame->file) == 0));
}

/*
 * Whether addr2line's frames for one address (up to the next line "0x...", which is left in `next`)
 * are ours: places, all of them, and the outermost function if both have a name.
 */
static bool same_frames(FILE *file, const struct profile_frame **frames, size_t count, char *next,
			size_t bytes)
{
	char function[65536], place[PATH_MAX];
	bool same = true;
	size_t i = 0;

	while (read_line(file, function, sizeof(function))) {
		if (strncmp(function, "0x", 2) == 0) {
			snprintf(next, bytes, "%.63s", function);
			break;
		}
		ck_assert(read_line(file, place, sizeof(place)));
		same = same && i < count && same_place(frames[i], place);
		i++;
	}
	return same && i == count;
}

static FILE *ask_addr2line(const char *path, uint64_t start, uint64_t bytes)
{
	char command[2 * PATH_MAX];
	FILE *questions;

	snprintf(command, sizeof(command), "%s -a -f -i -C -e %s > sweep.%d", SYMBOLS_ADDR2LINE,
		 path, getpid());
	questions = popen(command, "w");
	ck_assert_ptr_nonnull(questions);
	for (uint64_t at = start; at < start + bytes; at += STEP)
		fprintf(questions, "0x%lx\n", (unsigned long)at);
	ck_assert_int_eq(pclose(questions), 0);
	snprintf(command, sizeof(command), "sweep.%d", getpid());
	questions = fopen(command, "r");
	unlink(command);
	return questions;
}

/*
 * Every third address of the code of a gcc program. The share is less than one for addr2line's
 * sake: it names the C runtime's files by their symbols, names what lies between functions by the
 * nearest, and mixes up <artificial> files. (It loses inlined calls of clang's, so those stay out.)
 */
START_TEST(sweep)
{
	static const char *const names[] = {"gcc-O2", "gcc-O3-dwarf4", "gcc-Os-nopie"};
	struct symbolizer *symbolizer = symbolizer_new(NULL);
	struct symbolizer_module *module;
	uint64_t start, bytes, asked = 0, same = 0;
	char path[PATH_MAX], next[64];
	FILE *answers;

	snprintf(path, sizeof(path), "%s/%s", SYMBOLS_DIR, names[_i]);
	module = symbolizer_add_module(symbolizer, path, NULL, 0);
	ck_assert(find_section(path, ".text", &start, &bytes));
	answers = ask_addr2line(path, start, bytes);
	ck_assert(read_line(answers, next, sizeof(next)));
	for (uint64_t at = start; at < start + bytes; at += STEP, asked++) {
		const struct profile_frame *frames[FRAMES_MAX];
		size_t count = symbolizer_resolve(symbolizer, module, at, frames, FRAMES_MAX);

		ck_assert_uint_eq(strtoull(next, NULL, 16), at);
		same += same_frames(answers, frames, count, next, sizeof(next));
	}
	fclose(answers);
	ck_assert_msg(same * 100 >= asked * 95, "%s: %lu of %lu are as addr2line has them",
		      names[_i], (unsigned long)same, (unsigned long)asked);
	symbolizer_free(symbolizer);
}
END_TEST

/* ---- modules ---- */

static const struct profile_frame *one(struct symbolizer *symbolizer,
				       struct symbolizer_module *module, uint64_t address)
{
	const struct profile_frame *frame = NULL;

	ck_assert_uint_eq(symbolizer_resolve(symbolizer, module, address, &frame, 1), 1);
	ck_assert_ptr_nonnull(frame);
	ck_assert_uint_eq(frame->offset, address);
	return frame;
}

/* .text begins with main, or with what gcc found to be its cold part. */
static bool is_main(const struct profile_frame *frame)
{
	return frame->function && strncmp(frame->function, "main", 4) == 0;
}

static size_t build_id_of(const char *path, uint8_t *id, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const struct symbol_backend *backend = &symbol_libdw;
	void *file = backend->open(fd, path, ":");
	size_t bytes = 0;
	const uint8_t *found;

	ck_assert_ptr_nonnull(file);
	found = backend->build_id(file, &bytes);
	ck_assert_uint_le(bytes, room);
	if (found)
		memcpy(id, found, bytes);
	backend->close(file);
	return bytes;
}

START_TEST(build_ids)
{
	const char *path = SYMBOLS_DIR "/gcc-no-debug";
	struct symbolizer *symbolizer = symbolizer_new(NULL);
	struct symbolizer_module *right, *wrong, *longer;
	uint64_t start, bytes;
	uint8_t id[64] = {0};
	size_t id_bytes = build_id_of(path, id, sizeof(id) - 1);

	ck_assert_uint_ge(id_bytes, 8);
	ck_assert(find_section(path, ".text", &start, &bytes));
	right = symbolizer_add_module(symbolizer, path, id, id_bytes);
	longer = symbolizer_add_module(symbolizer, path, id, id_bytes + 1);
	id[3] ^= 1;
	wrong = symbolizer_add_module(symbolizer, path, id, id_bytes);
	ck_assert(is_main(one(symbolizer, right, start)));
	ck_assert_ptr_null(symbolizer_module_warning(right));
	ck_assert_ptr_null(one(symbolizer, wrong, start)->function);
	ck_assert_str_eq(symbolizer_module_warning(wrong), "rebuilt since recording");
	ck_assert_ptr_null(one(symbolizer, longer, start)->function);
	ck_assert_str_eq(symbolizer_module_warning(longer), "rebuilt since recording");
	symbolizer_free(symbolizer);
}
END_TEST

static int open_files(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

START_TEST(no_such_module)
{
	static const struct {
		const char *path;
		const char *warning;
	} cases[] = {
	    {"/nonexistent/file", "file not found"},
	    {"relative", "file not found"},
	    {"", "file not found"},
	    {"[heap]", "file not found"},
	    {"/etc/passwd", "not an ELF file"},
	    {"/dev/zero", "not an ELF file"},
	    {"/etc", "not an ELF file"},
	    {SYMBOLS_DIR "/head-only", "not an ELF file"},
	};
	int before = open_files();
	struct symbolizer *symbolizer = symbolizer_new(NULL);
	FILE *head = fopen(SYMBOLS_DIR "/head-only", "w");

	fputs("\177ELF and then nothing that makes sense", head);
	fclose(head);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct symbolizer_module *module =
		    symbolizer_add_module(symbolizer, cases[i].path, NULL, 0);

		ck_assert_ptr_null(one(symbolizer, module, 0x1234)->function);
		ck_assert_str_eq(one(symbolizer, module, 0x1234)->module, cases[i].path);
		ck_assert_msg(symbolizer_module_warning(module) != NULL, "%s", cases[i].path);
		ck_assert_str_eq(symbolizer_module_warning(module), cases[i].warning);
	}
	symbolizer_free(symbolizer);
	ck_assert_int_eq(open_files(), before);
}
END_TEST

/* Below a sysroot the same path names another file; a deleted file's name is cleaned. */
START_TEST(sysroot)
{
	char root[] = "/tmp/symbolizer.XXXXXX", file[64], link_name[64];
	struct symbolizer_options options = {.sysroot = root};
	struct symbolizer *symbolizer;
	struct symbolizer_module *module;
	uint64_t start, bytes;

	ck_assert_ptr_nonnull(mkdtemp(root));
	snprintf(link_name, sizeof(link_name), "%s/app", root);
	ck_assert_int_eq(symlink(SYMBOLS_DIR "/gcc-no-debug", link_name), 0);
	ck_assert(find_section(link_name, ".text", &start, &bytes));
	snprintf(file, sizeof(file), "%s//", root);
	options.sysroot = file;
	symbolizer = symbolizer_new(&options);
	module = symbolizer_add_module(symbolizer, "/app (deleted)", NULL, 0);
	ck_assert(is_main(one(symbolizer, module, start)));
	symbolizer_free(symbolizer);
	symbolizer = symbolizer_new(NULL);
	module = symbolizer_add_module(symbolizer, "/app", NULL, 0);
	ck_assert_ptr_null(one(symbolizer, module, start)->function);
	symbolizer_free(symbolizer);
	unlink(link_name);
	rmdir(root);
}
END_TEST

START_TEST(answers_are_kept)
{
	struct symbolizer *symbolizer = symbolizer_new(NULL);
	struct symbolizer_module *module =
	    symbolizer_add_module(symbolizer, SYMBOLS_DIR "/gcc-O2", NULL, 0);
	static const struct profile_frame *first[100000];
	uint64_t start, bytes;

	ck_assert(find_section(SYMBOLS_DIR "/gcc-O2", ".text", &start, &bytes));
	ck_assert_uint_lt(bytes, 100000);
	for (uint64_t i = 0; i < bytes; i++)
		first[i] = one(symbolizer, module, start + i);
	for (uint64_t i = 0; i < bytes; i++)
		ck_assert_ptr_eq(one(symbolizer, module, start + i), first[i]);
	for (uint64_t i = 1; i < bytes; i++)
		if (first[i]->function && first[i - 1]->function &&
		    strcmp(first[i]->function, first[i - 1]->function) == 0)
			ck_assert_ptr_eq(first[i]->function, first[i - 1]->function);
	symbolizer_free(symbolizer);
}
END_TEST

/* Only within a symbol's size; before, between and behind there is no name. */
START_TEST(outside_code)
{
	struct symbolizer *symbolizer = symbolizer_new(NULL);
	struct symbolizer_module *module =
	    symbolizer_add_module(symbolizer, SYMBOLS_DIR "/gcc-no-debug", NULL, 0);
	uint64_t start, bytes;
	static const uint64_t far[] = {0, 1, 8, 1ULL << 40, UINT64_MAX - 1, UINT64_MAX};

	for (size_t i = 0; i < sizeof(far) / sizeof(*far); i++)
		ck_assert_ptr_null(one(symbolizer, module, far[i])->function);
	ck_assert(find_section(SYMBOLS_DIR "/gcc-no-debug", ".fini", &start, &bytes));
	ck_assert_str_eq(one(symbolizer, module, start)->function, "_fini");
	ck_assert_str_eq(one(symbolizer, module, start + bytes - 1)->function, "_fini");
	ck_assert_ptr_null(one(symbolizer, module, start + bytes)->function);
	ck_assert(find_section(SYMBOLS_DIR "/gcc-no-debug", ".data", &start, &bytes));
	ck_assert_ptr_null(one(symbolizer, module, start)->function);
	symbolizer_free(symbolizer);
}
END_TEST

#if defined(__x86_64__) || defined(__aarch64__)
START_TEST(plt)
{
	struct symbolizer *symbolizer = symbolizer_new(NULL);
	struct symbolizer_module *module =
	    symbolizer_add_module(symbolizer, SYMBOLS_DIR "/gcc-exported", NULL, 0);
	uint64_t start, bytes;
	bool found = false;

	ck_assert(find_section(SYMBOLS_DIR "/gcc-exported", ".plt", &start, &bytes));
	for (uint64_t at = start; at < start + bytes; at++) {
		const char *name = one(symbolizer, module, at)->function;

		found = found || (name && strcmp(name, "printf@plt") == 0);
	}
	ck_assert(found);
	symbolizer_free(symbolizer);
}
END_TEST
#endif

static int vdso_build_id(struct dl_phdr_info *info, size_t bytes, void *opaque)
{
	uint8_t *id = opaque;

	(void)bytes;
	if (!strstr(info->dlpi_name, "vdso"))
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Nhdr) *note =
		    (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
		const char *at = (const char *)note, *end = at + info->dlpi_phdr[i].p_memsz;

		while (info->dlpi_phdr[i].p_type == PT_NOTE && at < end) {
			note = (const void *)at;
			at += sizeof(*note) + ((note->n_namesz + 3) & ~3U);
			if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4)
				memcpy(id + 1, at, id[0] = (uint8_t)note->n_descsz);
			at += (note->n_descsz + 3) & ~3U;
		}
	}
	return 1;
}

START_TEST(vdso)
{
	struct symbolizer *symbolizer = symbolizer_new(NULL);
	struct symbolizer_module *module, *other;
	uint8_t id[256] = {0};
	int found = 0;

	dl_iterate_phdr(vdso_build_id, id);
	ck_assert_uint_gt(id[0], 0);
	module = symbolizer_add_module(symbolizer, "linux-vdso.so.1", id + 1, id[0]);
	id[1] ^= 1;
	other = symbolizer_add_module(symbolizer, "[vdso]", id + 1, id[0]);
	for (uint64_t at = 0; at < 0x4000; at += 16) {
		const char *name = one(symbolizer, module, at)->function;

		found += name && strstr(name, "clock_gettime");
		ck_assert_ptr_null(one(symbolizer, other, at)->function);
	}
	ck_assert_int_gt(found, 0);
	ck_assert_str_eq(symbolizer_module_warning(other), "rebuilt since recording");
	symbolizer_free(symbolizer);
}
END_TEST

START_TEST(debuginfod)
{
	struct symbolizer_options options = {.debuginfod = true};

	setenv("DEBUGINFOD_URLS", "http://localhost:1", 1);
	symbolizer_free(symbolizer_new(&options));
	ck_assert_ptr_nonnull(getenv("DEBUGINFOD_URLS"));
	symbolizer_free(symbolizer_new(NULL));
	ck_assert_ptr_null(getenv("DEBUGINFOD_URLS"));
}
END_TEST

/* ---- broken files ---- */

static uint8_t *load(const char *path, size_t *bytes)
{
	FILE *file = fopen(path, "r");
	struct stat st;
	uint8_t *data;

	ck_assert_ptr_nonnull(file);
	fstat(fileno(file), &st);
	*bytes = (size_t)st.st_size;
	data = malloc(*bytes);
	ck_assert_uint_eq(fread(data, 1, *bytes, file), *bytes);
	fclose(file);
	return data;
}

static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*state >> 33);
}

/* Damages the ELF header, the section headers, or anything; and cuts every eighth copy. */
static size_t damage(uint8_t *data, size_t bytes, uint64_t *state)
{
	uint32_t count = 1 + next_random(state) % 20, where = next_random(state) % 4;
	Elf64_Ehdr ehdr;

	memcpy(&ehdr, data, sizeof(ehdr));
	for (uint32_t i = 0; i < count; i++) {
		size_t at = next_random(state) % bytes;

		if (where == 0)
			at %= sizeof(ehdr);
		else if (where == 1 && ehdr.e_shoff < bytes)
			at = ehdr.e_shoff + at % (bytes - ehdr.e_shoff);
		data[at] = next_random(state) % 3 ? (uint8_t)next_random(state) : 0xff;
	}
	return next_random(state) % 8 ? bytes : next_random(state) % bytes;
}

#define DAMAGED_ROUNDS 60

START_TEST(damaged)
{
	const struct variant *variant = &variants[_i];
	char path[64];
	uint64_t start, code, state = 1000 + (uint64_t)_i;
	size_t bytes;
	uint8_t *data = load(variant->path, &bytes), *copy = malloc(bytes);
	int before = open_files();

	snprintf(path, sizeof(path), "/tmp/symbolizer-damaged.%d", getpid());
	ck_assert(find_section(variant->path, ".text", &start, &code));
	for (int round = 0; round < DAMAGED_ROUNDS && bytes < 1 << 20; round++) {
		struct symbolizer *symbolizer = symbolizer_new(NULL);
		struct symbolizer_module *module = symbolizer_add_module(symbolizer, path, NULL, 0);
		FILE *file = fopen(path, "w");
		size_t left;

		memcpy(copy, data, bytes);
		left = damage(copy, bytes, &state);
		ck_assert_uint_eq(fwrite(copy, 1, left, file), left);
		fclose(file);
		for (uint64_t at = 0; at < 200; at++) {
			const struct profile_frame *frames[FRAMES_MAX];
			size_t count = symbolizer_resolve(
			    symbolizer, module, start + at * code / 200, frames, FRAMES_MAX);

			ck_assert(count >= 1 && count <= FRAMES_MAX);
			for (size_t i = 0; i < count; i++)
				ck_assert(!frames[i]->function || *frames[i]->function);
		}
		symbolizer_free(symbolizer);
	}
	ck_assert_int_eq(open_files(), before);
	unlink(path);
	free(data);
	free(copy);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("symbolizer");
	TCase *programs = tcase_create("programs");
	TCase *modules = tcase_create("modules");
	TCase *broken = tcase_create("broken");
	SRunner *runner = srunner_create(suite);
	int failed;

	read_variants();
	if (variant_count < 10) {
		fprintf(stderr, "test_symbolizer: fixtures are missing: build symbols_fixtures\n");
		return EXIT_FAILURE;
	}
	tcase_add_loop_test(programs, fixtures, 0, variant_count);
	tcase_add_loop_test(programs, sweep, 0, 3);
	tcase_set_timeout(programs, 60);
	tcase_add_test(modules, build_ids);
	tcase_add_test(modules, no_such_module);
	tcase_add_test(modules, sysroot);
	tcase_add_test(modules, answers_are_kept);
	tcase_add_test(modules, outside_code);
#if defined(__x86_64__) || defined(__aarch64__)
	tcase_add_test(modules, plt);
#endif
	tcase_add_test(modules, vdso);
	tcase_add_test(modules, debuginfod);
	tcase_set_timeout(modules, 60);
	tcase_add_loop_test(broken, damaged, 0, variant_count);
	tcase_set_timeout(broken, 120);
	suite_add_tcase(suite, programs);
	suite_add_tcase(suite, modules);
	suite_add_tcase(suite, broken);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
