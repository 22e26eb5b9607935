/* Hostile strings: what reaches a terminal, JSON and XML. */
#include <check.h>
#include <string.h>

#include "check_support.h"
#include "escape.h"
#include "out.h"

enum form { TERMINAL, JSON, XML };

/* The escaped text; a view that dies at the next call. */
static const char *escaped(enum form form, const char *text)
{
	static struct out *out;

	if (out)
		out_close(out);
	ck_assert_int_eq(out_open_memory(&out), 0);
	if (form == TERMINAL)
		escape_terminal(out, text, strlen(text));
	else if (form == JSON)
		escape_json(out, text);
	else
		escape_xml(out, text, strlen(text));
	return out_memory(out);
}

static const struct {
	const char *text, *terminal, *json, *xml;
} cases[] = {
    {"plain", "plain", "\"plain\"", "plain"},
    {"", "", "\"\"", ""},
    {"a\"b\\c/d", "a\"b\\c/d", "\"a\\\"b\\\\c/d\"", "a&quot;b\\c/d"},
    {"<script>&'", "<script>&'", "\"<script>&'\"", "&lt;script&gt;&amp;&#39;"},
    {"\x1b]0;x\x07", "\\x1b]0;x\\x07", "\"\\u001b]0;x\\u0007\"", "\xef\xbf\xbd]0;x\xef\xbf\xbd"},
    {"a\nb\tc\rd", "a\\nb\\tc\\rd", "\"a\\nb\\tc\\rd\"",
     "a\xef\xbf\xbd"
     "b\xef\xbf\xbd"
     "c\xef\xbf\xbd"
     "d"},
    {"\x7f", "\\x7f", "\"\\u007f\"", "\xef\xbf\xbd"},
    {"h\xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x98\x80", "h\xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x98\x80",
     "\"h\xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x98\x80\"", "h\xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x98\x80"},
    {"\xc2\x9b"
     "31m",
     "\\u009b31m", "\"\\u009b31m\"",
     "\xef\xbf\xbd"
     "31m"}, /* C1 CSI */
    {"\xe2\x80\xae"
     "x",
     "\\u202ex", "\"\\u202ex\"",
     "\xef\xbf\xbd"
     "x"},								       /* RLO */
    {"\xf3\xa0\x81\x81", "\\U000e0041", "\"\\udb40\\udc41\"", "\xef\xbf\xbd"}, /* tag */
    {"\xff\xfe", "\\xff\\xfe", "\"\\ufffd\\ufffd\"", "\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xc0\xaf", "\\xc0\\xaf", "\"\\ufffd\\ufffd\"", "\xef\xbf\xbd\xef\xbf\xbd"}, /* overlong / */
    {"\xed\xa0\x80", "\\xed\\xa0\\x80", "\"\\ufffd\\ufffd\\ufffd\"",		  /* a surrogate */
     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"",
     "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* above U+10FFFF */
    {"cut \xe6\xbc", "cut \\xe6\\xbc", "\"cut \\ufffd\\ufffd\"", "cut \xef\xbf\xbd\xef\xbf\xbd"},
    {"\xef\xbf\xbf", "\\uffff", "\"\\uffff\"", "\xef\xbf\xbd"}, /* no character */
};

START_TEST(test_table)
{
	ck_assert_str_eq(escaped(TERMINAL, cases[_i].text), cases[_i].terminal);
	ck_assert_str_eq(escaped(JSON, cases[_i].text), cases[_i].json);
	ck_assert_str_eq(escaped(XML, cases[_i].text), cases[_i].xml);
}
END_TEST

START_TEST(test_json_null)
{
	ck_assert_str_eq(escaped(JSON, NULL), "null");
}
END_TEST

/* Whatever the bytes, no control character and no invalid UTF-8 comes out. */
START_TEST(test_any_bytes)
{
	unsigned seed = 12345, hostile = 0;
	char text[41];

	for (int round = 0; round < 20000; round++) {
		size_t length = 1 + (size_t)round % 40;

		for (size_t i = 0; i < length; i++) {
			seed = seed * 1103515245 + 12345;
			text[i] = (char)(seed >> 16);
			if (!text[i])
				text[i] = '\x1b';
		}
		text[length] = '\0';
		for (enum form form = TERMINAL; form <= XML; form++) {
			const char *at = escaped(form, text), *end = at + strlen(at);

			while (at < end)
				hostile += escape_hostile(escape_next(&at, end));
		}
	}
	ck_assert_uint_eq(hostile, 0);
}
END_TEST

static void check_fit(const char *text, size_t columns, const char *expected, size_t used)
{
	struct out *out;

	ck_assert_int_eq(out_open_memory(&out), 0);
	ck_assert_uint_eq(escape_terminal_fit(out, text, columns), used);
	ck_assert_str_eq(out_memory(out), expected);
	out_close(out);
}

START_TEST(test_fit)
{
	check_fit("abcdef", 6, "abcdef", 6);
	check_fit("abcdefg", 6, "abc...", 6);
	check_fit("abc", 2, "..", 2);
	check_fit("abc", 0, "", 0);
	check_fit("\x1b"
		  "bcdef",
		  7, "\\x1b...", 7); /* an escape is never cut in two */
	check_fit("\x1b"
		  "bcdef",
		  6, "...", 3);
	check_fit("\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2", 5, "\xe6\xbc\xa2...", 5); /* wide */
	check_fit("e\xcc\x81"
		  "a",
		  2,
		  "e\xcc\x81"
		  "a",
		  2); /* combining */
	ck_assert_uint_eq(escape_terminal_columns("e\xcc\x81"
						  "a\n"),
			  4);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("escape");
	TCase *tests = tcase_create("escape");

	tcase_add_loop_test(tests, test_table, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(tests, test_json_null);
	tcase_add_test(tests, test_any_bytes);
	tcase_add_test(tests, test_fit);
	tcase_set_timeout(tests, 60);
	suite_add_tcase(suite, tests);
	return support_run(suite);
}
