/* The pool of strings: each once, demangled and cleaned once. */
#include "symbolizer_strings.h"

#include "check_support.h"

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct symbolizer_strings *strings;

static void setup(void)
{
	strings = symbolizer_strings_new();
	ck_assert_ptr_nonnull(strings);
}

static void teardown(void)
{
	symbolizer_strings_free(strings);
}

START_TEST(kept_once)
{
	static const char *kept[20000];
	char text[64];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 20000; i++) {
			const char *found;

			snprintf(text, sizeof(text), "string %d", i);
			found = symbolizer_strings_keep(strings, text);
			ck_assert_str_eq(found, text);
			ck_assert_ptr_ne(found, text);
			ck_assert(!round || found == kept[i]);
			kept[i] = found;
		}
	}
	ck_assert_ptr_null(symbolizer_strings_keep(strings, NULL));
	ck_assert_str_eq(symbolizer_strings_keep(strings, ""), "");
}
END_TEST

START_TEST(long_and_aligned)
{
	char *text = malloc(300000);
	size_t used = 0;

	for (size_t bytes = 1; bytes < 300000; bytes = bytes * 3 + 1) {
		void *block = symbolizer_strings_alloc(strings, bytes);

		ck_assert_uint_eq((uintptr_t)block % _Alignof(max_align_t), 0);
		for (size_t i = 0; i < bytes; i++)
			used += ((char *)block)[i] != 0;
		ck_assert_uint_eq(used, 0);
		memset(block, 0xff, bytes);
		memset(text, 'x', bytes);
		text[bytes - 1] = '\0';
		ck_assert_str_eq(symbolizer_strings_keep(strings, text), text);
	}
	free(text);
}
END_TEST

START_TEST(demangled)
{
	const char *shown = symbolizer_strings_demangle(strings, "_Znwm");

	ck_assert_str_eq(shown, "operator new(unsigned long)");
	ck_assert_ptr_eq(symbolizer_strings_demangle(strings, "_Znwm"), shown);
	ck_assert_ptr_eq(symbolizer_strings_keep(strings, "operator new(unsigned long)"), shown);
	ck_assert_str_eq(symbolizer_strings_demangle(strings, "main"), "main");
	ck_assert_ptr_eq(symbolizer_strings_demangle(strings, "main"),
			 symbolizer_strings_keep(strings, "main"));
	ck_assert_ptr_null(symbolizer_strings_demangle(strings, NULL));
}
END_TEST

START_TEST(paths)
{
	static const struct {
		const char *path, *clean;
	} cases[] = {
	    {"/a/b.c", "/a/b.c"},
	    {"/a/./b.c", "/a/b.c"},
	    {"/a//b.c", "/a/b.c"},
	    {"//a/b.c", "/a/b.c"},
	    {"/a/x/../b.c", "/a/b.c"},
	    {"/a/x/y/../../b.c", "/a/b.c"},
	    {"/../b.c", "/../b.c"},
	    {"../b.c", "../b.c"},
	    {"../../b.c", "../../b.c"},
	    {"x/../b.c", "b.c"},
	    {"./b.c", "./b.c"},
	    {"./x/../b.c", "./b.c"},
	    {"./../b.c", "./../b.c"},
	    {"/a/..", "/"},
	    {"/a/...", "/a/..."},
	    {"/a/..b/c", "/a/..b/c"},
	    {"b.c", "b.c"},
	    {"<artificial>", "<artificial>"},
	    {"/", "/"},
	    {"", ""},
	    {"..", ".."},
	    {".", "."},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ck_assert_str_eq(symbolizer_strings_path(strings, cases[i].path), cases[i].clean);
		ck_assert_str_eq(symbolizer_strings_path(strings, cases[i].path), cases[i].clean);
	}
	ck_assert_ptr_null(symbolizer_strings_path(strings, NULL));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("symbolizer_strings");
	TCase *pool = tcase_create("pool");

	tcase_add_checked_fixture(pool, setup, teardown);
	tcase_add_test(pool, kept_once);
	tcase_add_test(pool, long_and_aligned);
	tcase_add_test(pool, demangled);
	tcase_add_test(pool, paths);
	suite_add_tcase(suite, pool);
	return support_run(suite);
}
