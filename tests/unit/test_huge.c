/* Memory in pages of its own: what is kept when it moves, and that what is new is zero. */
#include "huge.h"

#include "check_support.h"

#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MIB ((size_t)1 << 20)

/* How many bytes of a range are not `step` times their place. */
static size_t wrong(const uint8_t *array, size_t from, size_t to, size_t step)
{
	size_t count = 0;

	for (size_t at = from; at < to; at++)
		count += array[at] != (uint8_t)(at * step % 251);
	return count;
}

/* Through all sizes of pages, up and down again. */
START_TEST(array_keeps_and_zeroes)
{
	static const size_t sizes[] = {1,	4096,	 4097,	  MIB,	  2 * MIB - 1, 2 * MIB,
				       3 * MIB, 9 * MIB, 3 * MIB, 300000, 5000,	       3 * MIB};
	size_t bytes = 0;
	uint8_t *array = NULL;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		size_t kept = bytes < sizes[i] ? bytes : sizes[i];

		array = huge_resize(array, bytes, sizes[i]);
		ck_assert_ptr_nonnull(array);
		ck_assert_uint_eq(wrong(array, 0, kept, 7), 0);
		if (i < 8) /* what was cut off within a page may come back */
			ck_assert_uint_eq(wrong(array, kept, sizes[i], 0), 0);
		bytes = sizes[i];
		for (size_t at = 0; at < bytes; at++)
			array[at] = (uint8_t)(at * 7 % 251);
	}
	ck_assert_ptr_eq(huge_resize(array, bytes, 0), array);
	huge_free(array, 0);
	huge_free(NULL, 0);
}
END_TEST

START_TEST(array_without_memory)
{
	uint8_t *array = huge_resize(NULL, 0, 3 * MIB);

	array[2 * MIB] = 1;
	ck_assert_ptr_null(huge_resize(array, 3 * MIB, SIZE_MAX / 4));
	ck_assert_uint_eq(array[2 * MIB], 1);
	huge_free(array, 3 * MIB);
}
END_TEST

/* More than a block of pieces that do not fill it: few expected, and all. */
START_TEST(pieces_are_apart)
{
	enum { COUNT = 50, BYTES = 115712 };
	struct huge_pieces pieces = {.bytes = BYTES, .expected = _i == 0 ? 1 : COUNT};
	uint8_t *taken[COUNT];

	for (size_t i = 0; i < COUNT; i++) {
		taken[i] = huge_pieces_take(&pieces);
		ck_assert_ptr_nonnull(taken[i]);
		ck_assert_uint_eq((uintptr_t)taken[i] % 64, 0);
		ck_assert_uint_eq(wrong(taken[i], 0, BYTES, 0), 0);
		memset(taken[i], (int)i + 1, BYTES);
	}
	for (size_t i = 0; i < COUNT; i++) {
		ck_assert_uint_eq(taken[i][0], i + 1);
		ck_assert_uint_eq(taken[i][BYTES - 1], i + 1);
	}
	huge_pieces_fini(&pieces);
	ck_assert_ptr_nonnull(huge_pieces_take(&pieces));
	huge_pieces_fini(&pieces);
	huge_pieces_fini(&pieces);
}
END_TEST

/* Blocks of what was advised, and beyond it. */
START_TEST(heap_keeps_and_zeroes)
{
	enum { COUNT = 100, BYTES = 90000 };
	uint8_t *blocks[COUNT];

	huge_heap(4 * MIB);
	for (size_t i = 0; i < COUNT; i++) {
		blocks[i] = calloc(1, BYTES);
		ck_assert_ptr_nonnull(blocks[i]);
		ck_assert_uint_eq(wrong(blocks[i], 0, BYTES, 0), 0);
		memset(blocks[i], (int)i + 1, BYTES);
	}
	for (size_t i = 0; i < COUNT; i++) {
		ck_assert_uint_eq(blocks[i][0], i + 1);
		ck_assert_uint_eq(blocks[i][BYTES - 1], i + 1);
		free(blocks[i]);
	}
}
END_TEST

/* What lies behind an array that has all of its pages in use stays when the array moves. */
START_TEST(test_neighbours_stay)
{
	const size_t bytes = (512 << 10) - 1;
	char *array = huge_resize(NULL, 0, bytes), *behind;

	ck_assert_ptr_nonnull(array);
	behind = mmap(array + bytes + 1, 4096, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (behind == MAP_FAILED) /* something is there already: that must stay, too */
		behind = array + bytes + 1;
	array = huge_resize(array, bytes, 2 * bytes);
	ck_assert_ptr_nonnull(array);
	ck_assert_int_eq(msync(behind, 4096, MS_ASYNC), 0);
	huge_free(array, 2 * bytes);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("huge");
	TCase *all = tcase_create("all");

	tcase_set_timeout(all, 60);
	tcase_add_test(all, array_keeps_and_zeroes);
	tcase_add_test(all, test_neighbours_stay);
	tcase_add_test(all, array_without_memory);
	tcase_add_loop_test(all, pieces_are_apart, 0, 2);
	tcase_add_test(all, heap_keeps_and_zeroes);
	suite_add_tcase(suite, all);
	return support_run(suite);
}
