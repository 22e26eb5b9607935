/* The table of live blocks against a plain list of them, over random insertions and removals. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "check_support.h"
#include "live_table.h"

#define ADDRESSES 6000
#define STEPS	  100000

/* Check writes each of its own assertions down, which takes far longer than what is asked here. */
#define ALWAYS(condition, n)                                                                       \
	do {                                                                                       \
		if (!(condition))                                                                  \
			ck_abort_msg("address %zu: %s", (size_t)(n), #condition);                  \
	} while (0)

/* Neighbours, whole lines, odd addresses, far ones, the very first and last. */
static uint64_t nth_address(size_t n)
{
	static const uint64_t ends[] = {0, 1, 15, 16, UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 15};

	if (n < sizeof(ends) / sizeof(*ends))
		return ends[n];
	if (n < 3000)
		return 0x555555550000 + n * 16;
	if (n < 4000)
		return 0x7ffff0000000 + n * 1024;
	if (n < 5000)
		return 0x7fff00000008 + n * 24;
	return n * 0x123456789abcdULL;
}

static void check_all(const struct live_table *table, const uint32_t *expected)
{
	for (size_t i = 0; i < ADDRESSES; i++) {
		struct live_place place = live_table_place(table, nth_address(i));

		ALWAYS(live_table_number(&place) == expected[i], i);
	}
}

/* Of all blocks, and no others, the numbers are marked. */
static void check_marks(const struct live_table *table, const uint32_t *expected)
{
	enum { SHIFT = 12 };
	size_t count = (LIVE_NUMBER_MAX >> SHIFT) + 1;
	uint8_t *marks = calloc(count, sizeof(*marks));

	live_table_mark_all(table, marks, SHIFT);
	for (size_t i = 0; i < ADDRESSES; i++)
		ALWAYS(marks[expected[i] >> SHIFT] != 0, i);
	for (size_t i = 0; i < ADDRESSES; i++)
		marks[expected[i] >> SHIFT] = 0;
	for (size_t i = 1; i < count; i++)
		ALWAYS(marks[i] == 0, i);
	free(marks);
}

START_TEST(test_random)
{
	uint32_t *expected = calloc(ADDRESSES, sizeof(*expected));
	uint64_t state = 88172645463325252ULL + (uint64_t)_i;
	struct live_table table;

	ck_assert_int_eq(live_table_init(&table), 0);
	for (uint32_t step = 1; step <= STEPS; step++) {
		size_t i = support_random(&state) % ADDRESSES;
		struct live_place place = live_table_place(&table, nth_address(i));

		ALWAYS(live_table_number(&place) == expected[i], i);
		/* Fuller for a while, then emptier, and so on. */
		if (expected[i] != 0 && support_random(&state) % 8 < (step >> 13) % 8) {
			live_table_remove(&place);
			expected[i] = 0;
		} else if (expected[i] == 0) {
			expected[i] = step % 2 ? step : LIVE_NUMBER_MAX - step;
			ALWAYS(live_table_enter(&table, &place, nth_address(i), expected[i]) == 0,
			       i);
		} else if (step % 2 != 0) {
			expected[i] = step;
			live_table_replace(&place, step);
		}
		if (step % 20000 != 0)
			continue;
		check_all(&table, expected);
		check_marks(&table, expected);
	}
	live_table_fini(&table);
	free(expected);
}
END_TEST

/* Everything is given back: other blocks need no more memory than those before. */
START_TEST(test_no_wear)
{
	struct live_table table;

	ck_assert_int_eq(live_table_init(&table), 0);
	for (uint64_t round = 0; round < 100; round++) {
		for (uint64_t i = 0; i < ADDRESSES; i++)
			ALWAYS(live_table_insert(&table, nth_address(i) + (round << 40), 1) == 0,
			       i);
		for (uint64_t i = 0; i < ADDRESSES; i++) {
			struct live_place place =
			    live_table_place(&table, nth_address(i) + (round << 40));

			ALWAYS(live_table_number(&place) == 1, i);
			live_table_remove(&place);
		}
	}
	/* A region for each address, at most, of one round and those still to be noticed. */
	ck_assert_uint_lt(table.count, ADDRESSES * 2);
	ck_assert_uint_lt(table.pool_units, ADDRESSES * 4);
	live_table_fini(&table);
}
END_TEST

/* A pool that cannot grow where it is goes elsewhere, and all blocks are still found. */
START_TEST(test_pool_moves)
{
	struct live_table table;
	const uint32_t *pool;
	size_t bytes;
	void *wall;

	ck_assert_int_eq(live_table_init(&table), 0);
	pool = table.pool;
	bytes = table.pool_room * LIVE_UNIT_ENTRIES * sizeof(*pool);
	wall = mmap((char *)table.pool + bytes, 4096, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	ck_assert(wall != MAP_FAILED || errno == EEXIST);
	/* Some regions have an entry for each granule. */
	for (uint64_t i = 0; i < 3000; i++) {
		ck_assert_int_eq(live_table_insert(&table, i << 13, (uint32_t)i + 1), 0);
		if (i % 3 == 0)
			ck_assert_int_eq(live_table_insert(&table, i << 13 | 16, 5), 0);
	}
	ck_assert_ptr_ne(table.pool, pool);
	for (uint64_t i = 0; i < 3000; i++) {
		struct live_place place = live_table_place(&table, i << 13);
		struct live_place next = live_table_place(&table, i << 13 | 16);

		ck_assert_uint_eq(live_table_number(&place), i + 1);
		ck_assert_uint_eq(live_table_number(&next), i % 3 == 0 ? 5 : 0);
	}
	if (wall != MAP_FAILED)
		munmap(wall, 4096);
	live_table_fini(&table);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("live_table");
	TCase *tcase = tcase_create("live_table");

	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, test_random, 0, 4);
	tcase_add_test(tcase, test_no_wear);
	tcase_add_test(tcase, test_pool_moves);
	suite_add_tcase(suite, tcase);
	return support_run(suite);
}
