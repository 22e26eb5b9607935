/* The table: its header, the order of its rows, and the peak, which is always one of them. */
#include "check_support.h"
#include "out.h"
#include "profile.h"
#include "writer.h"

#include <check.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER "time_s,live_bytes,live_blocks,rss_bytes\n"

static struct profile_point three[] = {
    {.time_s = 1, .live_bytes = 100, .live_blocks = 1, .high_bytes = 100, .rss_bytes = 4096},
    {.time_s = 2, .live_bytes = 300, .live_blocks = 2, .high_bytes = 900, .rss_bytes = 8192},
    {.time_s = 3, .live_bytes = 50, .live_blocks = 1, .high_bytes = 300, .rss_bytes = 8192},
};

static struct profile with_peak(double time_s, uint64_t bytes, uint64_t blocks)
{
	return (struct profile){
	    .points = three,
	    .point_count = 3,
	    .totals = {.peak_bytes = bytes, .peak_blocks = blocks, .peak_time_s = time_s},
	};
}

static void check_table(const struct profile *profile, const struct writer_options *options,
			const char *expected)
{
	struct out *out;

	ck_assert_int_eq(out_open_memory(&out), 0);
	ck_assert_int_eq(writer_csv.write(profile, options, out), 0);
	ck_assert_str_eq(out_memory(out), expected);
	ck_assert_int_eq(out_close(out), 0);
}

static const struct writer_options usual;

START_TEST(peak_between_points)
{
	struct profile profile = with_peak(1.25, 900, 7);

	check_table(&profile, &usual,
		    HEADER "1.000000000,100,1,4096\n1.250000000,900,7,4096\n"
			   "2.000000000,300,2,8192\n3.000000000,50,1,8192\n");
}
END_TEST

START_TEST(peak_at_a_point)
{
	struct profile profile = with_peak(2, 300, 2);

	check_table(&profile, &usual,
		    HEADER
		    "1.000000000,100,1,4096\n2.000000000,300,2,8192\n3.000000000,50,1,8192\n");
}
END_TEST

/* The same clock reading, but more has happened since the peak. */
START_TEST(peak_just_before_a_point)
{
	struct profile profile = with_peak(2, 300, 3);

	check_table(&profile, &usual,
		    HEADER "1.000000000,100,1,4096\n2.000000000,300,3,4096\n"
			   "2.000000000,300,2,8192\n3.000000000,50,1,8192\n");
}
END_TEST

START_TEST(peak_first_and_last)
{
	struct profile profile = with_peak(0, 1000, 1);

	check_table(&profile, &usual,
		    HEADER "0.000000000,1000,1,4096\n1.000000000,100,1,4096\n"
			   "2.000000000,300,2,8192\n3.000000000,50,1,8192\n");
	profile = with_peak(3.5, UINT64_MAX, UINT64_MAX);
	check_table(&profile, &usual,
		    HEADER "1.000000000,100,1,4096\n2.000000000,300,2,8192\n"
			   "3.000000000,50,1,8192\n"
			   "3.500000000,18446744073709551615,18446744073709551615,8192\n");
}
END_TEST

START_TEST(nothing_recorded)
{
	struct profile profile = {0};

	check_table(&profile, &usual, HEADER);
}
END_TEST

START_TEST(options_are_kept)
{
	struct writer_options options = {.from_s = 1.5, .to_s = 2.5, .no_rss = true};
	struct profile profile = with_peak(1.25, 900, 7);

	check_table(&profile, &options, HEADER "2.000000000,300,2,0\n");
	profile = with_peak(1.75, 900, 7);
	check_table(&profile, &options, HEADER "1.750000000,900,7,0\n2.000000000,300,2,0\n");
}
END_TEST

/* Random timelines, and ones no sound trace has: rows go forward, and the maximum is the peak. */
START_TEST(maximum_is_the_peak)
{
	struct profile_point points[200] = {0};
	struct profile profile = {.points = points, .point_count = 200};
	uint64_t peak = 0, highest = 0;
	double before = 0, time_s = 0;
	struct out *out;
	const char *row;

	srand48(_i);
	for (size_t i = 0; i < 200; i++) {
		time_s += drand48();
		points[i].time_s = time_s;
		points[i].live_bytes = (uint64_t)lrand48();
		points[i].high_bytes = points[i].live_bytes + (uint64_t)(lrand48() % 1000);
		points[i].high_time_s = time_s - drand48() * 0.001;
		if (points[i].high_bytes > peak) {
			peak = points[i].high_bytes;
			profile.totals.peak_time_s = points[i].high_time_s;
		}
		if (i % 20 == 19 && _i % 2) {
			points[i].time_s = i % 3 ? -5 : NAN;
			points[i].live_bytes = 0;
		}
	}
	profile.totals.peak_bytes = peak;
	ck_assert_int_eq(out_open_memory(&out), 0);
	ck_assert_int_eq(writer_csv.write(&profile, &usual, out), 0);
	row = strchr(out_memory(out), '\n') + 1;
	while (*row) {
		uint64_t live;

		ck_assert_int_eq(sscanf(row, "%lf,%" SCNu64 ",", &time_s, &live), 2);
		ck_assert(time_s >= before);
		before = time_s;
		highest = live > highest ? live : highest;
		row = strchr(row, '\n') + 1;
	}
	ck_assert_uint_eq(highest, peak);
	out_close(out);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("write_csv");
	TCase *rows = tcase_create("rows");

	tcase_add_test(rows, peak_between_points);
	tcase_add_test(rows, peak_at_a_point);
	tcase_add_test(rows, peak_just_before_a_point);
	tcase_add_test(rows, peak_first_and_last);
	tcase_add_test(rows, nothing_recorded);
	tcase_add_test(rows, options_are_kept);
	tcase_add_loop_test(rows, maximum_is_the_peak, 0, 20);
	suite_add_tcase(suite, rows);
	return support_run(suite);
}
