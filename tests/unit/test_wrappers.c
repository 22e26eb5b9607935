/* Where a site is moved to when everything goes through a wrapper that no table knows. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "check_support.h"
#include "profile.h"
#include "wrappers.h"

enum { CALLERS = 12 };

static char names[CALLERS][32];
static struct profile_frame callers[CALLERS], inner, outer;
static const struct profile_frame last = {.function = "main", .module = "/app"};
static const struct profile_frame *stacks[CALLERS][4];
static struct profile_site sites[CALLERS];
static struct profile profile;

/* inner <- outer <- one of `count` callers <- main. */
static void build(const char *inner_name, const char *outer_name, size_t count)
{
	inner = (struct profile_frame){.function = inner_name, .module = "/app", .offset = 1};
	outer = (struct profile_frame){.function = outer_name, .module = "/app", .offset = 2};
	profile = (struct profile){.sites = sites, .site_count = CALLERS};
	for (size_t i = 0; i < CALLERS; i++) {
		snprintf(names[i], sizeof(names[i]), "caller_%zu", i % count);
		callers[i] = (struct profile_frame){.function = names[i], .module = "/app"};
		stacks[i][0] = &inner;
		stacks[i][1] = &outer;
		stacks[i][2] = &callers[i];
		stacks[i][3] = &last;
		sites[i] = (struct profile_site){.stack = {.frames = stacks[i], .count = 4},
						 .allocations = 10,
						 .bytes = 100,
						 .peak_bytes = 100};
		profile.totals.allocations += 10;
		profile.totals.peak_bytes += 100;
	}
}

static void check_all(size_t site_frame)
{
	ck_assert_int_eq(wrappers_skip(&profile), 0);
	for (size_t i = 0; i < CALLERS; i++)
		ck_assert_uint_eq(sites[i].stack.site_frame, site_frame);
}

static const struct {
	const char *inner, *outer;
	size_t callers, site_frame;
} cases[] = {
    {NULL, "db_alloc", 12, 2},	       /* nameless, below an allocator with many callers */
    {NULL, "db_alloc", 7, 1},	       /* seven callers make no wrapper */
    {"pool_alloc", "tree_dup", 12, 0}, /* one caller, not named like an allocator */
    {"pool_alloc", "pool_calloc", 12, 2},
    {"pool_alloc", "POOL_ALLOC", 1, 1},
    {"new_node", "parse", 12, 0}, /* not named like an allocator: stays, however many */
    {NULL, NULL, 12, 0},	  /* one nameless function calls another: no evidence */
};

START_TEST(test_table)
{
	build(cases[_i].inner, cases[_i].outer, cases[_i].callers);
	check_all(cases[_i].site_frame);
}
END_TEST

/* Stacks of the same frames, of which some end earlier. */
START_TEST(test_shared_frames)
{
	static const size_t ends[3][2] = {{4, 1}, {2, 1}, {1, 0}}; /* count, site_frame */

	build("pool_alloc", "POOL_ALLOC", 1);
	for (size_t i = 0; i < CALLERS; i++) {
		sites[i].stack.frames = stacks[0];
		sites[i].stack.count = (uint32_t)ends[i % 3][0];
	}
	ck_assert_int_eq(wrappers_skip(&profile), 0);
	for (size_t i = 0; i < CALLERS; i++)
		ck_assert_uint_eq(sites[i].stack.site_frame, ends[i % 3][1]);
}
END_TEST

/* A wrapper that hardly matters is left: its name is good enough. */
START_TEST(test_matters)
{
	build("pool_alloc", "pool_calloc", CALLERS);
	profile.totals.allocations *= 1000;
	profile.totals.peak_bytes *= 1000;
	check_all(1);
}
END_TEST

/* However alike, the outermost frame is never passed. */
START_TEST(test_bounds)
{
	static const struct profile_frame *const all[] = {&inner, &inner, &inner};

	build("my_alloc", "my_alloc", CALLERS);
	for (size_t i = 0; i < CALLERS; i++)
		sites[i].stack = (struct profile_stack){
		    .frames = all, .count = i % 4, .site_frame = 0, .truncated = false};
	ck_assert_int_eq(wrappers_skip(&profile), 0);
	for (size_t i = 0; i < CALLERS; i++)
		ck_assert(sites[i].stack.site_frame < sites[i].stack.count ||
			  sites[i].stack.count == 0);
	profile.site_count = 0;
	ck_assert_int_eq(wrappers_skip(&profile), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wrappers");
	TCase *tests = tcase_create("wrappers");

	tcase_add_loop_test(tests, test_table, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(tests, test_shared_frames);
	tcase_add_test(tests, test_matters);
	tcase_add_test(tests, test_bounds);
	suite_add_tcase(suite, tests);
	return support_run(suite);
}
