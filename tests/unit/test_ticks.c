/* Axis ticks: known axes, and properties over thousands of random ones. */
#include "ticks.h"

#include "check_support.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All labels of an axis, joined by bars. */
static void join(const struct ticks *ticks, char *text, size_t bytes)
{
	text[0] = '\0';
	for (unsigned i = 0; i < ticks->count; i++) {
		char label[TICKS_LABEL_BYTES];
		size_t used = strlen(text);

		ticks_label(ticks, i, label);
		snprintf(text + used, bytes - used, "%s%s", i ? "|" : "", label);
	}
}

START_TEST(bytes_known)
{
	static const struct {
		double max;
		unsigned most;
		const char *labels;
	} axes[] = {
	    {0, 5, "0"},
	    {1, 5, "0|1 B"},
	    {70, 5, "0|20 B|40 B|60 B"},
	    {1200, 5, "0|0.25 KiB|0.50 KiB|0.75 KiB|1.00 KiB"},
	    {300.0 * 1024 * 1024, 6, "0|50 MiB|100 MiB|150 MiB|200 MiB|250 MiB|300 MiB"},
	    {3.2 * 1024 * 1024, 6, "0|0.5 MiB|1.0 MiB|1.5 MiB|2.0 MiB|2.5 MiB|3.0 MiB"},
	    {1099511627776.0 * 4, 4, "0|1 TiB|2 TiB|3 TiB|4 TiB"},
	};
	struct ticks ticks;
	char text[512];

	ticks_bytes(axes[_i].max, axes[_i].most, &ticks);
	join(&ticks, text, sizeof(text));
	ck_assert_str_eq(text, axes[_i].labels);
}
END_TEST

START_TEST(seconds_known)
{
	static const struct {
		double from, to;
		unsigned most;
		const char *labels;
	} axes[] = {
	    {0, 0.001, 5, "0|200 µs|400 µs|600 µs|800 µs|1000 µs"},
	    {0, 1, 5, "0|200 ms|400 ms|600 ms|800 ms|1000 ms"},
	    {0, 3.3, 7, "0|0.5 s|1.0 s|1.5 s|2.0 s|2.5 s|3.0 s"},
	    {0, 100, 5, "0|20 s|40 s|60 s|80 s|100 s"},
	    {0, 200, 7, "0|0:30|1:00|1:30|2:00|2:30|3:00"},
	    {0, 600, 5, "0|2 min|4 min|6 min|8 min|10 min"},
	    {0, 36000, 5, "0|2 h|4 h|6 h|8 h|10 h"},
	    {0, 9000, 5, "0|0:30|1:00|1:30|2:00|2:30"},
	    {7, 7.001, 4, "7.0000 s|7.0005 s|7.0010 s"},
	    {0, 864000, 5, "0|2 d|4 d|6 d|8 d|10 d"},
	    {0, 4e-7, 4, "0|100 ns|200 ns|300 ns|400 ns"},
	};
	struct ticks ticks;
	char text[512];

	ticks_seconds(axes[_i].from, axes[_i].to, axes[_i].most, &ticks);
	join(&ticks, text, sizeof(text));
	ck_assert_str_eq(text, axes[_i].labels);
}
END_TEST

static double random_between(double least_log10, double most_log10)
{
	return pow(10, least_log10 + (most_log10 - least_log10) * drand48());
}

/* Within the axis, ascending, not too many nor too few, and no two labels alike. */
static void check_axis(const struct ticks *ticks, double from, double to, unsigned most)
{
	char before[TICKS_LABEL_BYTES] = "";
	double slack = ticks->step * 1e-6;

	ck_assert(ticks->step > 0);
	ck_assert_uint_le(ticks->count, most + 1);
	/* Neighbours among the round steps are at most a factor of 2.5 (clock: 3, days 10) apart.
	 */
	ck_assert_uint_ge((ticks->count + 1) * 10, most);
	for (unsigned i = 0; i < ticks->count; i++) {
		char label[TICKS_LABEL_BYTES];

		ck_assert(ticks_at(ticks, i) >= from - slack);
		ck_assert(ticks_at(ticks, i) <= to + slack);
		ticks_label(ticks, i, label);
		ck_assert_msg(strcmp(label, before) != 0, "%s twice (%g to %g)", label, from, to);
		strcpy(before, label);
	}
	/* No room left for one more at either end. */
	if (ticks->count > 0 && ticks->count <= most) {
		ck_assert(ticks_at(ticks, ticks->count) > to - slack);
		ck_assert(ticks->first == 0 || (ticks->first - 1) * ticks->step < from + slack);
	}
}

START_TEST(bytes_properties)
{
	srand48(1);
	for (int i = 0; i < 5000; i++) {
		double max = random_between(0, 19.26);
		unsigned most = 1 + (unsigned)(drand48() * 12);
		struct ticks ticks;

		ticks_bytes(max, most, &ticks);
		check_axis(&ticks, 0, max, most);
		ck_assert_uint_ge(ticks.count, 1);
		ck_assert(fmod(ticks.step, 1) == 0);
	}
}
END_TEST

START_TEST(seconds_properties)
{
	srand48(2);
	for (int i = 0; i < 5000; i++) {
		double from = i % 2 ? 0 : random_between(-6, 6);
		double to = from + random_between(from > 0.01 ? log10(from) - 5 : -7, 8);
		unsigned most = 1 + (unsigned)(drand48() * 12);
		struct ticks ticks;

		ticks_seconds(from, to, most, &ticks);
		check_axis(&ticks, from, to, most);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ticks");
	TCase *known = tcase_create("known");
	TCase *properties = tcase_create("properties");

	tcase_add_loop_test(known, bytes_known, 0, 7);
	tcase_add_loop_test(known, seconds_known, 0, 11);
	tcase_add_test(properties, bytes_properties);
	tcase_add_test(properties, seconds_properties);
	suite_add_tcase(suite, known);
	suite_add_tcase(suite, properties);
	return support_run(suite);
}
