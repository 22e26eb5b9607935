/* Origins keep their numbers while they have live blocks; the others may be forgotten. */
#include <check.h>
#include <stdlib.h>

#include "check_support.h"
#include "origin_table.h"

#define ORIGINS 200000

/* Check writes each of its own assertions down, which takes far longer than what is asked here. */
#define ALWAYS(condition, n)                                                                       \
	do {                                                                                       \
		if (!(condition))                                                                  \
			ck_abort_msg("origin %u: %s", n, #condition);                              \
	} while (0)

static struct origin nth_origin(uint32_t n)
{
	/*
	 * Alike but for the size, which may be more than 32 bits tell, or the low half or the whole
	 * of `what`.
	 */
	return (struct origin){.bytes = n % 3 != 0   ? 7
					: n % 2 == 0 ? n
						     : (uint64_t)n << 32 | 7,
			       .what = n % 3 == 0   ? 8
				       : n % 3 == 1 ? n
						    : (uint64_t)n << 32 | n,
			       .site = n};
}

static uint32_t find(struct origin_table *table, const struct origin *origin)
{
	return origin_table_find(table, origin->bytes, origin->what);
}

/* Makes room if there is none; the table must have been made for what is in `live`. */
static void make_room(struct origin_table *table, const uint8_t *live)
{
	if (origin_table_full(table))
		ck_assert_int_eq(origin_table_renew(table, live, 0), 0);
}

START_TEST(test_live_ones_stay)
{
	uint32_t *numbers = calloc(ORIGINS, sizeof(*numbers));
	uint8_t *live = calloc(ORIGINS + 1, sizeof(*live));
	struct origin_table table;

	ck_assert_int_eq(origin_table_init(&table), 0);
	for (uint32_t n = 0; n < ORIGINS; n++) {
		struct origin origin = nth_origin(n);

		ALWAYS(find(&table, &origin) == 0, n);
		make_room(&table, live);
		numbers[n] = origin_table_add(&table, &origin);
		live[numbers[n]] = n % 4 != 0;
		ALWAYS(find(&table, &origin) == numbers[n], n);
	}
	for (uint32_t n = 0; n < ORIGINS; n++) {
		struct origin origin = nth_origin(n);
		uint32_t number = find(&table, &origin);

		ALWAYS(n % 4 == 0 || number == numbers[n], n);
		ALWAYS(number == 0 || table.origins[number].site == n, n);
	}
	origin_table_fini(&table);
	free(live);
	free(numbers);
}
END_TEST

/* However many come and go, there are as many as live at once. */
START_TEST(test_dead_ones_go)
{
	const size_t size = 131072;
	uint32_t number, last[100] = {0};
	uint8_t *live = calloc(size, sizeof(*live));
	struct origin_table table;

	ck_assert_int_eq(origin_table_init(&table), 0);
	for (uint32_t n = 0; n < 20 * ORIGINS; n++) {
		struct origin origin = nth_origin(n);

		make_room(&table, live);
		number = origin_table_add(&table, &origin);
		if (last[n % 100] != 0) {
			ALWAYS(table.origins[last[n % 100]].site == n - 100, n);
			live[last[n % 100]] = 0;
		}
		live[number] = 1;
		last[n % 100] = number;
	}
	ck_assert_uint_eq(table.size, size);
	ck_assert_uint_le(table.count, size / 2 + 1);
	origin_table_fini(&table);
	free(live);
}
END_TEST

/* Numbers are given again from the lowest on, and there are as many more as are asked for. */
START_TEST(test_numbers_go_up)
{
	uint8_t *live = calloc(ORIGINS, sizeof(*live));
	struct origin_table table;
	uint32_t last = 0;

	ck_assert_int_eq(origin_table_init(&table), 0);
	for (uint32_t n = 0; !origin_table_forgets(&table) || !origin_table_full(&table); n++) {
		struct origin origin = nth_origin(n);

		make_room(&table, live);
		live[origin_table_add(&table, &origin)] = n % 2;
	}
	ck_assert_int_eq(origin_table_renew(&table, live, ORIGINS), 0);
	for (uint32_t n = 0; n < ORIGINS; n++) {
		struct origin origin = nth_origin(ORIGINS + n);
		uint32_t number;

		ALWAYS(!origin_table_full(&table), n);
		number = origin_table_add(&table, &origin);
		ALWAYS(number > last, n);
		last = number;
	}
	origin_table_fini(&table);
	free(live);
}
END_TEST

/* Of origins with the same home that is there which was asked for last; all can be found. */
START_TEST(test_asked_ones_are_at_home)
{
	struct origin_table table;
	uint32_t numbers[1000];
	size_t moved = 0;

	ck_assert_int_eq(origin_table_init(&table), 0);
	for (uint32_t n = 0; n < 1000; n++) {
		struct origin origin = nth_origin(n % 3 + n * 997);

		numbers[n] = origin_table_add(&table, &origin);
	}
	for (uint32_t i = 0; i < 100000; i++) {
		uint32_t n = (uint32_t)rand() % 1000;
		struct origin origin = nth_origin(n % 3 + n * 997);
		size_t home = origin_table_home_of(origin.bytes, origin.what, table.shift);

		moved += table.index[home].number != numbers[n];
		ALWAYS(find(&table, &origin) == numbers[n], n);
		ALWAYS(table.index[home].number == numbers[n], n);
	}
	ck_assert_uint_gt(moved, 1000);
	origin_table_fini(&table);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("origin_table");
	TCase *tcase = tcase_create("origin_table");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, test_live_ones_stay);
	tcase_add_test(tcase, test_dead_ones_go);
	tcase_add_test(tcase, test_numbers_go_up);
	tcase_add_test(tcase, test_asked_ones_are_at_home);
	suite_add_tcase(suite, tcase);
	return support_run(suite);
}
