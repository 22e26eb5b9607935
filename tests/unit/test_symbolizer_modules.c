/* Which file the symbolizer takes for a module, and what it says when there is none. */
#include "symbolizer.h"

#include "check_load.h"
#include "check_support.h"
#include "profile.h"
#include "symbols_support.h"
#include "trace_builder.h"

#include <check.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
	ck_assert(symbols_find_section(path, ".text", &start, &bytes));
	right = symbolizer_add_module(symbolizer, path, id, id_bytes);
	longer = symbolizer_add_module(symbolizer, path, id, id_bytes + 1);
	id[3] ^= 1;
	wrong = symbolizer_add_module(symbolizer, path, id, id_bytes);
	ck_assert(is_main(symbols_one(symbolizer, right, start)));
	ck_assert_ptr_null(symbolizer_module_warning(right));
	ck_assert_ptr_null(symbols_one(symbolizer, wrong, start)->function);
	ck_assert_str_eq(symbolizer_module_warning(wrong), "rebuilt since recording");
	ck_assert_ptr_null(symbols_one(symbolizer, longer, start)->function);
	ck_assert_str_eq(symbolizer_module_warning(longer), "rebuilt since recording");
	symbolizer_free(symbolizer);
}
END_TEST

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
	int before = symbols_open_files();
	struct symbolizer *symbolizer = symbolizer_new(NULL);
	FILE *head = fopen(SYMBOLS_DIR "/head-only", "w");

	fputs("\177ELF and then nothing that makes sense", head);
	fclose(head);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct symbolizer_module *module =
		    symbolizer_add_module(symbolizer, cases[i].path, NULL, 0);

		ck_assert_ptr_null(symbols_one(symbolizer, module, 0x1234)->function);
		ck_assert_str_eq(symbols_one(symbolizer, module, 0x1234)->module, cases[i].path);
		ck_assert_msg(symbolizer_module_warning(module) != NULL, "%s", cases[i].path);
		ck_assert_str_eq(symbolizer_module_warning(module), cases[i].warning);
	}
	symbolizer_free(symbolizer);
	ck_assert_int_eq(symbols_open_files(), before);
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
	ck_assert(symbols_find_section(link_name, ".text", &start, &bytes));
	snprintf(file, sizeof(file), "%s//", root);
	options.sysroot = file;
	symbolizer = symbolizer_new(&options);
	module = symbolizer_add_module(symbolizer, "/app (deleted)", NULL, 0);
	ck_assert(is_main(symbols_one(symbolizer, module, start)));
	symbolizer_free(symbolizer);
	symbolizer = symbolizer_new(NULL);
	module = symbolizer_add_module(symbolizer, "/app", NULL, 0);
	ck_assert_ptr_null(symbols_one(symbolizer, module, start)->function);
	symbolizer_free(symbolizer);
	unlink(link_name);
	rmdir(root);
}
END_TEST

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void run(const char *format, ...)
{
	char command[4 * PATH_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	ck_assert_msg(system(command) == 0, "%s", command);
}

/* How debug files are stored: plain, as distributions do, and as a broken disk might. */
static const char *const stored[] = {"", "--compress-debug-sections=zlib", "damaged"};

/* Overwrites the middle of a compressed section. */
static void damage(const char *path)
{
	static const char junk[64] = "junk";
	uint64_t offset = 0;
	FILE *file = fopen(path, "r+");
	struct stat st;

	ck_assert(file && stat(path, &st) == 0);
	offset = (uint64_t)st.st_size / 3;
	ck_assert_int_eq(fseek(file, (long)offset, SEEK_SET), 0);
	ck_assert_uint_eq(fwrite(junk, 1, sizeof(junk), file), sizeof(junk));
	ck_assert_int_eq(fclose(file), 0);
}

/*
 * Debug files by build-id, below a sysroot: for a stripped program, and for one that is gone. What
 * cannot be inflated costs the lines, no more.
 */
START_TEST(build_id_folder)
{
	bool damaged = strcmp(stored[_i], "damaged") == 0;
	const char *how = damaged ? stored[1] : stored[_i];
	char debug_file[PATH_MAX];
	const char *program = SYMBOLS_DIR "/gcc-O2";
	char root[] = "/tmp/symbolizer.XXXXXX", hex[2 * 64 + 1] = "";
	struct symbolizer_options options = {.sysroot = root};
	struct symbolizer *symbolizer;
	struct symbolizer_module *module;
	uint64_t start, bytes;
	uint8_t id[64];
	size_t id_bytes = build_id_of(program, id, sizeof(id));

	for (size_t i = 0; i < id_bytes; i++)
		snprintf(hex + 2 * i, 3, "%02x", id[i]);
	ck_assert_ptr_nonnull(mkdtemp(root));
	run("mkdir -p %s/usr/lib/debug/.build-id/%.2s", root, hex);
	snprintf(debug_file, sizeof(debug_file), "%s/usr/lib/debug/.build-id/%.2s/%s.debug", root,
		 hex, hex + 2);
	run(SYMBOLS_OBJCOPY " --only-keep-debug %s %s %s", how, program, debug_file);
	if (damaged)
		damage(debug_file);
	run(SYMBOLS_OBJCOPY " --strip-all %s %s/stripped", program, root);
	ck_assert(symbols_find_section(program, ".text", &start, &bytes));
	symbolizer = symbolizer_new(&options);
	for (int gone = 0; gone < 2; gone++) {
		module =
		    symbolizer_add_module(symbolizer, gone ? "/gone" : "/stripped", id, id_bytes);
		ck_assert_ptr_nonnull(symbols_one(symbolizer, module, start));
		if (damaged)
			continue;
		ck_assert_ptr_nonnull(symbols_one(symbolizer, module, start)->function);
		ck_assert(symbols_is_source(symbols_one(symbolizer, module, start)->file));
		ck_assert_ptr_null(symbolizer_module_warning(module));
	}
	module = symbolizer_add_module(symbolizer, "/gone", NULL, 0);
	ck_assert_str_eq(symbolizer_module_warning(module), "file not found");
	symbolizer_free(symbolizer);
	run("rm -r %s", root);
}
END_TEST

/* The next address of .text whose line is, or is not, that of `from`. */
static uint64_t find_line(struct symbolizer *symbolizer, struct symbolizer_module *module,
			  uint64_t from, uint64_t end, bool same)
{
	const struct profile_frame *a = symbols_one(symbolizer, module, from);

	for (uint64_t address = from + 1; address < end; address++) {
		const struct profile_frame *b = symbols_one(symbolizer, module, address);

		if (b->line != 0 && a->function == b->function && a->file == b->file &&
		    (a->line == b->line) == same)
			return address;
	}
	ck_abort_msg("no such address");
	return 0;
}

/* A module without a build-id, which any file is believed to be. */
static void add_module(struct trace_builder *builder, const char *path, uint64_t start,
		       uint64_t end)
{
	struct trace_module head = {
	    .start = start, .end = end, .path_bytes = (uint32_t)strlen(path)};
	uint8_t payload[sizeof(head) + PATH_MAX];

	memcpy(payload, &head, sizeof(head));
	memcpy(payload + sizeof(head), path, head.path_bytes);
	trace_builder_segment(builder, TRACE_SEGMENT_MODULE, 0, payload,
			      sizeof(head) + head.path_bytes);
}

/* Two return addresses on one line are one site to people, one on another line is not. */
START_TEST(one_line_is_one_site)
{
	static const char program[] = SYMBOLS_DIR "/gcc-O0";
	const struct profile_options options = {.symbols = true};
	struct symbolizer *symbolizer = symbolizer_new(NULL);
	struct symbolizer_module *module = symbolizer_add_module(symbolizer, program, NULL, 0);
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring(builder, 0, 1024);
	struct profile *profile;
	uint64_t start, bytes, at[3];
	uint32_t line;

	ck_assert(symbols_find_section(program, ".text", &start, &bytes));
	for (at[0] = start; symbols_one(symbolizer, module, at[0])->line == 0;)
		ck_assert_uint_lt(++at[0], start + bytes);
	at[1] = find_line(symbolizer, module, at[0], start + bytes, true);
	at[2] = find_line(symbolizer, module, at[0], start + bytes, false);
	line = symbols_one(symbolizer, module, at[0])->line;
	add_module(builder, program, start, start + bytes);
	for (uint64_t i = 0; i < 3; i++)
		trace_builder_acquire(builder, ring, i + 1, TRACE_EVENT_MALLOC, 16 + 16 * i, 1 << i,
				      trace_builder_node(builder, 0, at[i] + 1));
	profile = load_profile(builder, &options);
	ck_assert_uint_eq(profile->site_count, 2);
	ck_assert_uint_eq(profile->sites[0].allocations, 2);
	ck_assert_uint_eq(profile->sites[0].bytes, 1 + 2);
	ck_assert_uint_eq(profile->sites[0].stack.frames[0]->line, line);
	ck_assert_uint_eq(profile->sites[1].bytes, 4);
	ck_assert_uint_ne(profile->sites[1].stack.frames[0]->line, line);
	profile_free(profile);
	symbolizer_free(symbolizer);
}
END_TEST

START_TEST(answers_are_kept)
{
	struct symbolizer *symbolizer = symbolizer_new(NULL);
	struct symbolizer_module *module =
	    symbolizer_add_module(symbolizer, SYMBOLS_DIR "/gcc-O2", NULL, 0);
	static const struct profile_frame *first[100000];
	uint64_t start, bytes;

	ck_assert(symbols_find_section(SYMBOLS_DIR "/gcc-O2", ".text", &start, &bytes));
	ck_assert_uint_lt(bytes, 100000);
	for (uint64_t i = 0; i < bytes; i++)
		first[i] = symbols_one(symbolizer, module, start + i);
	for (uint64_t i = 0; i < bytes; i++)
		ck_assert_ptr_eq(symbols_one(symbolizer, module, start + i), first[i]);
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
	uint64_t start, bytes, nameless = 0;
	static const uint64_t far[] = {0, 1, 8, 1ULL << 40, UINT64_MAX - 1, UINT64_MAX};

	for (size_t i = 0; i < sizeof(far) / sizeof(*far); i++)
		ck_assert_ptr_null(symbols_one(symbolizer, module, far[i])->function);
	ck_assert(symbols_find_section(SYMBOLS_DIR "/gcc-no-debug", ".fini", &start, &bytes));
	ck_assert_str_eq(symbols_one(symbolizer, module, start)->function, "_fini");
	ck_assert_str_eq(symbols_one(symbolizer, module, start + bytes - 1)->function, "_fini");
	ck_assert_ptr_null(symbols_one(symbolizer, module, start + bytes)->function);
	ck_assert(symbols_find_section(SYMBOLS_DIR "/gcc-no-debug", ".text", &start, &bytes));
	for (uint64_t i = 0; i < bytes; i++)
		nameless += !symbols_one(symbolizer, module, start + i)->function;
	/* what fills up to the next multiple of 16 is nobody's */
	ck_assert(nameless > 0 && nameless < bytes / 4);
	ck_assert(symbols_find_section(SYMBOLS_DIR "/gcc-no-debug", ".data", &start, &bytes));
	ck_assert_ptr_null(symbols_one(symbolizer, module, start)->function);
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

	ck_assert(symbols_find_section(SYMBOLS_DIR "/gcc-exported", ".plt", &start, &bytes));
	for (uint64_t at = start; at < start + bytes; at++) {
		const char *name = symbols_one(symbolizer, module, at)->function;

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
		const char *name = symbols_one(symbolizer, module, at)->function;

		found += name && strstr(name, "clock_gettime");
		ck_assert_ptr_null(symbols_one(symbolizer, other, at)->function);
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

int main(void)
{
	Suite *suite = suite_create("symbolizer_modules");
	TCase *modules = tcase_create("modules");

	if (!symbols_read_variants())
		return EXIT_FAILURE;
	tcase_add_test(modules, build_ids);
	tcase_add_test(modules, no_such_module);
	tcase_add_test(modules, sysroot);
	tcase_add_loop_test(modules, build_id_folder, 0, sizeof(stored) / sizeof(*stored));
	tcase_add_test(modules, one_line_is_one_site);
	tcase_add_test(modules, answers_are_kept);
	tcase_add_test(modules, outside_code);
#if defined(__x86_64__) || defined(__aarch64__)
	tcase_add_test(modules, plt);
#endif
	tcase_add_test(modules, vdso);
	tcase_add_test(modules, debuginfod);
	tcase_set_timeout(modules, 60);
	suite_add_tcase(suite, modules);
	return support_run(suite);
}
