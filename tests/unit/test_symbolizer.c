/*
 * The symbolizer over programs that say themselves what is where, and over all of their code
 * beside addr2line.
 */
#include "symbolizer.h"

#include "check_support.h"
#include "frame_rules.h"
#include "profile.h"
#include "symbols_support.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FRAMES_MAX 16

/* ---- what the fixtures say of themselves ---- */

/* "~" asks for a part of the name, anything else for all of it. */
static bool name_fits(const char *expected, const char *function)
{
	if (!function)
		return false;
	return expected[0] == '~' ? strstr(function, expected + 1) != NULL
				  : strcmp(expected, function) == 0;
}

/* "FUNCTION;LINE|FUNCTION;LINE" against the frames; a line 0 is not known to the fixture. */
static void check_full(const struct symbols_variant *variant, char *said,
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
		ck_assert_msg(symbols_is_source(frames[i]->file) && frames[i]->file[0] == '/' &&
				  !strstr(frames[i]->file, "/./"),
			      "%s: %s: in %s", variant->name, part, frames[i]->file);
		ck_assert(frames[i]->inlined == (i + 1 < count));
	}
	ck_assert_uint_eq(i, count);
}

/* Without debug information only the outermost function has a name, if it is exported. */
static void check_names(const struct symbols_variant *variant, const char *said,
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
	const struct symbols_variant *variant = &symbols_variants[_i];
	struct symbolizer *symbolizer = symbolizer_new(NULL);
	struct symbolizer_module *module =
	    symbolizer_add_module(symbolizer, variant->path, NULL, 0);
	FILE *program = popen(variant->path, "r");
	int files = symbols_open_files(), lines = 0;
	char line[1024];

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
		/* What was asked stays; what comes next opens the file again. */
		symbolizer_close(symbolizer);
		ck_assert_ptr_eq(symbols_one(symbolizer, module, address), frames[0]);
		ck_assert_int_eq(symbols_open_files(), files);
		lines++;
	}
	ck_assert_int_eq(pclose(program), 0);
	ck_assert_int_ge(lines, 3);
	symbolizer_free(symbolizer);
}
END_TEST

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
	ck_assert(symbols_find_section(path, ".text", &start, &bytes));
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

int main(void)
{
	Suite *suite = suite_create("symbolizer");
	TCase *programs = tcase_create("programs");

	if (!symbols_read_variants())
		return EXIT_FAILURE;
	tcase_add_loop_test(programs, fixtures, 0, symbols_variant_count);
	tcase_add_loop_test(programs, sweep, 0, 3);
	tcase_set_timeout(programs, 60);
	suite_add_tcase(suite, programs);
	return support_run(suite);
}
