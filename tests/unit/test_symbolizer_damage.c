/* Broken object files cost names, never more. */
#include "symbolizer.h"

#include "profile.h"
#include "symbols_support.h"

#include <check.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FRAMES_MAX 16

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
	const struct symbols_variant *variant = &symbols_variants[_i];
	char path[64];
	uint64_t start, code, state = 1000 + (uint64_t)_i;
	size_t bytes;
	uint8_t *data = load(variant->path, &bytes), *copy = malloc(bytes);
	int before = symbols_open_files();

	snprintf(path, sizeof(path), "/tmp/symbolizer-damaged.%d", getpid());
	ck_assert(symbols_find_section(variant->path, ".text", &start, &code));
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
	ck_assert_int_eq(symbols_open_files(), before);
	unlink(path);
	free(data);
	free(copy);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("symbolizer_damage");
	TCase *damage = tcase_create("damage");
	SRunner *runner = srunner_create(suite);
	int failed;

	if (!symbols_read_variants()) {
		fprintf(stderr,
			"test_symbolizer_damage: fixtures are missing: build symbols_fixtures\n");
		return EXIT_FAILURE;
	}
	tcase_add_loop_test(damage, damaged, 0, symbols_variant_count);
	tcase_set_timeout(damage, 120);
	suite_add_tcase(suite, damage);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
