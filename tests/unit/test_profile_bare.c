#include "profile_bare.h"

#include "check_support.h"
#include "profile.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* What is left of a frame with these, in the order function, file, module; NULL for what is none.
 */
static void bare(const char *const before[3], const char *const after[3])
{
	char *strings[3];
	struct profile_frame frame = {0};
	const struct profile_frame *frames[2] = {&frame, &frame};
	struct profile_site site = {.stack = {.frames = frames, .count = 2}};
	struct profile_site map_site = {.stack = {.frames = frames, .count = 1}};
	struct profile profile = {
	    .sites = &site, .site_count = 1, .map_sites = &map_site, .map_site_count = 1};
	const char *now[3];

	for (size_t i = 0; i < 3; i++)
		strings[i] = before[i] ? strdup(before[i]) : NULL;
	frame.function = strings[0];
	frame.file = strings[1];
	frame.module = strings[2];
	profile_bare(&profile);
	now[0] = frame.function;
	now[1] = frame.file;
	now[2] = frame.module;
	for (size_t i = 0; i < 3; i++) {
		if (after[i])
			ck_assert_str_eq(now[i], after[i]);
		else
			ck_assert_ptr_null(now[i]);
		free(strings[i]);
	}
}

START_TEST(paths)
{
	bare((const char *[]){"f", "/home/me/a.c", "/opt/secret/lib.so"},
	     (const char *[]){"f", "a.c", "lib.so"});
	bare((const char *[]){NULL, "../me/a.c", "/opt/secret/"},
	     (const char *[]){NULL, "a.c", "secret"});
	bare((const char *[]){"f", "a.c", "///"}, (const char *[]){"f", "a.c", ""});
	bare((const char *[]){NULL, NULL, NULL}, (const char *[]){NULL, NULL, NULL});
}
END_TEST

START_TEST(functions)
{
	static const char *const table[][2] = {
	    {"plain", "plain"},
	    {"operator/(V const&, int)", "operator/(V const&, int)"},
	    {"ns::operator/=(V)", "ns::operator/=(V)"},
	    {"operator/<int>", "operator/<int>"},
	    /* clang's, rustc's older and newer names of closures */
	    {"run<(lambda at /home/me/my app/a.cc:3:5)>(int)", "run<(lambda at a.cc:3:5)>(int)"},
	    {"run<(lambda at ../me/a.cc:3:5), (lambda at /x/b.cc:1:1)>",
	     "run<(lambda at a.cc:3:5), (lambda at b.cc:1:1)>"},
	    {"drop<[closure@/home/me/src/main.rs:10:5]>", "drop<[closure@main.rs:10:5]>"},
	    {"<impl at src/me/main.rs:3:5>", "<impl at main.rs:3:5>"},
	    {"/home/me/script.py", "script.py"},
	    {"eval(/home/me/x.js,/home/you/y.js)", "eval(x.js,y.js)"},
	    {"/", ""},
	    {"a at /", "a at "},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		bare((const char *[]){table[i][0], NULL, NULL},
		     (const char *[]){table[i][1], NULL, NULL});
}
END_TEST

START_TEST(process)
{
	char exe[] = "/home/me/app", cmdline[] = "app --password x", host[] = "laptop";
	struct profile profile = {
	    .process = {.pid = 7, .exe = exe, .cmdline = cmdline, .host = host, .end = "exit"}};

	profile_bare(&profile);
	ck_assert_str_eq(profile.process.exe, "app");
	ck_assert_ptr_eq(profile.process.exe, exe); /* so that it can be freed */
	ck_assert_str_eq(profile.process.cmdline, "");
	ck_assert_str_eq(profile.process.host, "");
	ck_assert_str_eq(profile.process.end, "exit");
	profile = (struct profile){0};
	profile_bare(&profile);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("profile_bare");
	TCase *tcase = tcase_create("profile_bare");

	tcase_add_test(tcase, paths);
	tcase_add_test(tcase, functions);
	tcase_add_test(tcase, process);
	suite_add_tcase(suite, tcase);
	return support_run(suite);
}
