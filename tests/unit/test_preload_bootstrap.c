/* The arena for the time before the real allocator is known. */
#include "bootstrap.h"

#include "preload_support.h"

#define ARENA_LEAST 32768 /* what dlsym and early constructors may count on */

START_TEST(aligned)
{
	for (size_t alignment = 1; alignment <= 4096; alignment *= 2) {
		char *block = bootstrap_alloc(24, alignment);

		ck_assert_ptr_nonnull(block);
		ck_assert_uint_eq((uintptr_t)block % alignment, 0);
		ck_assert_uint_eq((uintptr_t)block % 16, 0);
		ck_assert_uint_eq(bootstrap_size(block), 24);
	}
	ck_assert_ptr_nonnull(bootstrap_alloc(1, 0));
	ck_assert_ptr_null(bootstrap_alloc(1, 8192));
}
END_TEST

START_TEST(ownership)
{
	char *block = bootstrap_alloc(100, 16);
	char *empty = bootstrap_alloc(0, 0);
	char local;
	char *heap = malloc(1);

	ck_assert(bootstrap_owns(block));
	ck_assert(bootstrap_owns(block + 99));
	ck_assert(bootstrap_owns(empty));
	ck_assert_uint_eq(bootstrap_size(empty), 0);
	ck_assert(!bootstrap_owns(NULL));
	ck_assert(!bootstrap_owns(&local));
	ck_assert(!bootstrap_owns(heap));
	ck_assert(!bootstrap_owns((void *)-1));
	free(heap);
}
END_TEST

/* Blocks are zeroed, do not overlap, and stay as they were when the arena is full. */
START_TEST(full)
{
	unsigned char *blocks[4096];
	size_t count = 0, total = 0;

	ck_assert_ptr_null(bootstrap_alloc(SIZE_MAX, 0));
	ck_assert_ptr_null(bootstrap_alloc(SIZE_MAX - 64, 4096));
	ck_assert_ptr_null(bootstrap_alloc(1 << 20, 0));
	for (; count < 4096; count++) {
		size_t bytes = count % 300;

		blocks[count] = bootstrap_alloc(bytes, 0);
		if (!blocks[count])
			break;
		for (size_t i = 0; i < bytes; i++)
			ck_assert_uint_eq(blocks[count][i], 0);
		memset(blocks[count], (int)(count % 255 + 1), bytes);
		total += bytes;
	}
	ck_assert_uint_lt(count, 4096);
	ck_assert_uint_ge(total, ARENA_LEAST);
	for (size_t i = 0; i < count; i++) {
		ck_assert_uint_eq(bootstrap_size(blocks[i]), i % 300);
		for (size_t k = 0; k < i % 300; k++)
			ck_assert_uint_eq(blocks[i][k], i % 255 + 1);
	}
}
END_TEST

static char *taken[8][512];

static void take(unsigned number)
{
	for (unsigned i = 0; i < 512; i++) {
		taken[number][i] = bootstrap_alloc(8, 16);
		if (taken[number][i])
			memset(taken[number][i], (int)number + 1, 8);
	}
}

START_TEST(concurrent)
{
	unsigned count = 0;

	support_threads(8, take);
	for (unsigned number = 0; number < 8; number++) {
		for (unsigned i = 0; i < 512; i++) {
			if (!taken[number][i])
				continue;
			count++;
			for (unsigned k = 0; k < 8; k++)
				ck_assert_int_eq(taken[number][i][k], (int)number + 1);
			ck_assert_uint_eq(bootstrap_size(taken[number][i]), 8);
		}
	}
	ck_assert_uint_ge(count, 1024);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("preload bootstrap");
	TCase *tests = tcase_create("bootstrap");

	tcase_add_test(tests, aligned);
	tcase_add_test(tests, ownership);
	tcase_add_test(tests, full);
	tcase_add_test(tests, concurrent);
	suite_add_tcase(suite, tests);
	return support_run(suite);
}
