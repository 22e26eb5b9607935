/* Broken object files cost names, never more. */
#include "symbolizer.h"

#include "check_support.h"
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

/* Damages the ELF header, the section headers, or anything; and cuts every eighth copy. */
static size_t damage(uint8_t *data, size_t bytes, uint64_t *state)
{
	uint32_t count = 1 + support_random(state) % 20, where = support_random(state) % 4;
	Elf64_Ehdr ehdr;

	memcpy(&ehdr, data, sizeof(ehdr));
	for (uint32_t i = 0; i < count; i++) {
		size_t at = support_random(state) % bytes;

		if (where == 0)
			at %= sizeof(ehdr);
		else if (where == 1 && ehdr.e_shoff < bytes)
			at = ehdr.e_shoff + at % (bytes - ehdr.e_shoff);
		data[at] = support_random(state) % 3 ? (uint8_t)support_random(state) : 0xff;
	}
	return support_random(state) % 8 ? bytes : support_random(state) % bytes;
}

#define DAMAGED_ROUNDS 60

START_TEST(damaged)
{
	const struct symbols_variant *variant = &symbols_variants[_i];
	char path[64];
	uint64_t start, code, state = 1000 + (uint64_t)_i;
	size_t bytes;
	uint8_t *data = support_read(variant->path, &bytes), *copy = malloc(bytes);
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

	if (!symbols_read_variants())
		return EXIT_FAILURE;
	tcase_add_loop_test(damage, damaged, 0, symbols_variant_count);
	tcase_set_timeout(damage, 120);
	suite_add_tcase(suite, damage);
	return support_run(suite);
}
