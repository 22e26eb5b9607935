/* The table of options: what is taken, what is refused and how that is explained. */
#include "options.h"

#include <errno.h>

#include "preload_support.h"

static int parse(const char *first, const char *second, struct options *options, char *error)
{
	char *environment[] = {(char *)"PATH=/bin", (char *)first, (char *)second, NULL};

	return options_parse(options, environment, error, 256);
}

START_TEST(defaults)
{
	struct options options;
	char error[256];

	memset(&options, 0xff, sizeof(options));
	ck_assert_int_eq(options_parse(&options, NULL, error, sizeof(error)), 0);
	ck_assert_str_eq(options.out, "memprof.%e.%p.bin");
	ck_assert_str_eq(options.unwind, "auto");
	ck_assert_str_eq(options.compress, "zstd");
	ck_assert_uint_eq(options.depth, 256);
	ck_assert_uint_eq(options.sample, 0);
	ck_assert_uint_eq(options.children, 1);
	ck_assert_uint_eq(options.mmap, 1);
	ck_assert_uint_eq(options.quiet, 0);
	ck_assert_uint_eq(options.start, 1);
}
END_TEST

#define TEXT(field)   offsetof(struct options, field), true
#define NUMBER(field) offsetof(struct options, field), false

static const struct {
	const char *setting;
	size_t offset;
	bool is_text;
	const char *text;
	uint64_t number;
} good[] = {
    {"MEMPROF_OUT=a b/%p", TEXT(out), "a b/%p", 0},
    {"MEMPROF_UNWIND=auto", TEXT(unwind), "auto", 0},
    {"MEMPROF_UNWIND=libunwind", TEXT(unwind), "libunwind", 0},
    {"MEMPROF_UNWIND=fp", TEXT(unwind), "fp", 0},
    {"MEMPROF_UNWIND=verify", TEXT(unwind), "verify", 0},
    {"MEMPROF_COMPRESS=none", TEXT(compress), "none", 0},
    {"MEMPROF_COMPRESS=zstd", TEXT(compress), "zstd", 0},
    {"MEMPROF_DEPTH=1", NUMBER(depth), NULL, 1},
    {"MEMPROF_DEPTH=1024", NUMBER(depth), NULL, 1024},
    {"MEMPROF_DEPTH=0064", NUMBER(depth), NULL, 64},
    {"MEMPROF_SAMPLE=0", NUMBER(sample), NULL, 0},
    {"MEMPROF_SAMPLE=0K", NUMBER(sample), NULL, 0},
    {"MEMPROF_CHILDREN=0", NUMBER(children), NULL, 0},
    {"MEMPROF_MMAP=0", NUMBER(mmap), NULL, 0},
    {"MEMPROF_QUIET=1", NUMBER(quiet), NULL, 1},
    {"MEMPROF_START=0", NUMBER(start), NULL, 0},
};

START_TEST(good_values)
{
	struct options options;
	char error[256];
	const char *field = (const char *)&options + good[_i].offset;

	ck_assert_int_eq(parse(good[_i].setting, NULL, &options, error), 0);
	if (good[_i].is_text)
		ck_assert_str_eq(*(const char *const *)field, good[_i].text);
	else
		ck_assert_uint_eq(*(const uint64_t *)field, good[_i].number);
}
END_TEST

static const struct {
	const char *setting;
	const char *advice;
} bad[] = {
    {"MEMPROF_OUT=", "use a file name pattern"},
    {"MEMPROF_UNWIND=", "use auto|libunwind|fp|verify"},
    {"MEMPROF_UNWIND=lib", "use auto|libunwind|fp|verify"},
    {"MEMPROF_UNWIND=auto|libunwind", "use auto|libunwind|fp|verify"},
    {"MEMPROF_UNWIND=AUTO", "use auto|libunwind|fp|verify"},
    {"MEMPROF_UNWIND=unwind", "use auto|libunwind|fp|verify"},
    {"MEMPROF_COMPRESS=lz4", "use zstd|none"},
    {"MEMPROF_DEPTH=0", "use a number of frames from 1 to 1024"},
    {"MEMPROF_DEPTH=1025", "use a number of frames from 1 to 1024"},
    {"MEMPROF_DEPTH=", "use a number of frames from 1 to 1024"},
    {"MEMPROF_DEPTH=-1", "use a number of frames from 1 to 1024"},
    {"MEMPROF_DEPTH= 5", "use a number of frames from 1 to 1024"},
    {"MEMPROF_DEPTH=5x", "use a number of frames from 1 to 1024"},
    {"MEMPROF_DEPTH=5K", "use a number of frames from 1 to 1024"},
    {"MEMPROF_DEPTH=18446744073709551872", "use a number of frames from 1 to 1024"},
    {"MEMPROF_SAMPLE=512K", "use 0 (exact"},
    {"MEMPROF_SAMPLE=16777216G", "use 0 (exact"},
    {"MEMPROF_CHILDREN=2", "use 0 or 1"},
    {"MEMPROF_MMAP=yes", "use 0 or 1"},
    {"MEMPROF_QUIET=", "use 0 or 1"},
    {"MEMPROF_START=10", "use 0 or 1"},
};

START_TEST(bad_values)
{
	struct options options;
	char error[256];
	char begin[128];

	ck_assert_int_eq(parse(bad[_i].setting, NULL, &options, error), -EINVAL);
	snprintf(begin, sizeof(begin), "%s: not valid: use ", bad[_i].setting);
	ck_assert_msg(strncmp(error, begin, strlen(begin)) == 0, "%s", error);
	ck_assert_msg(strstr(error, bad[_i].advice) != NULL, "%s", error);
	ck_assert_ptr_null(strchr(error, '\n'));
}
END_TEST

START_TEST(others_are_not_ours)
{
	struct options options;
	char error[256];

	ck_assert_int_eq(parse("MEMPROF_DEPTHS=0", "MEMPROF_=x", &options, error), 0);
	ck_assert_int_eq(parse("XMEMPROF_DEPTH=0", "MEMPROF_DEPT=0", &options, error), 0);
	ck_assert_uint_eq(options.depth, 256);
}
END_TEST

static const struct {
	const char *setting;
	const char *meant; /* NULL: nothing is said */
} names[] = {
    {"MEMPROF_OTU=x", "MEMPROF_OUT"},
    {"MEMPROF_OUTPUT=x", "MEMPROF_OUT"},
    {"MEMPROF_DEPT=1", "MEMPROF_DEPTH"},
    {"MEMPROF_DEPTHS=0", "MEMPROF_DEPTH"},
    {"MEMPROF_QUITE=1", "MEMPROF_QUIET"},
    {"MEMPROF_CHILD=0", "MEMPROF_CHILDREN"},
    {"MEMPROF_UNWINDER=fp", "MEMPROF_UNWIND"},
    {"MEMPROF_=", "MEMPROF_"},
    {"MEMPROF_DEPTH", NULL}, /* no setting without = either, but nothing is misspelt */
    {"MEMPROF_OUT=MEMPROF_OTU", NULL},
    {"MEMPROF_OPTIONS=verbosity=1", NULL},
    {"XMEMPROF_OTU=x", NULL},
    {"memprof_out=x", NULL},
};

START_TEST(misspelt_names)
{
	const char *environment[] = {"A=b", names[_i].setting, "MEMPROF_QUIET=1", NULL};
	char line[256];
	bool said = options_unknown((char *const *)environment, line, sizeof(line));

	ck_assert_int_eq(said, names[_i].meant != NULL);
	if (said)
		ck_assert_msg(strstr(line, names[_i].meant) != NULL &&
				  !strstr(line, strchr(names[_i].setting, '=')),
			      "%s", line);
}
END_TEST

START_TEST(hostile_names)
{
	char name[4096] = "MEMPROF_\033[2J\n";
	char *environment[] = {name, NULL};
	char line[256];

	memset(name + strlen(name), 'x', sizeof(name) - 1 - strlen(name));
	memset(line, 'e', sizeof(line));
	ck_assert(options_unknown(environment, line, sizeof(line)));
	ck_assert_uint_lt(strnlen(line, sizeof(line)), sizeof(line) - 1);
	ck_assert_ptr_nonnull(strstr(line, "memprof(1)"));
	ck_assert_ptr_null(strchr(line, '\033'));
	ck_assert_ptr_null(strchr(line, '\n'));
	ck_assert(!options_unknown(NULL, line, sizeof(line)));
}
END_TEST

START_TEST(two_at_once)
{
	struct options options;
	char error[256];

	ck_assert_int_eq(parse("MEMPROF_DEPTH=7", "MEMPROF_QUIET=1", &options, error), 0);
	ck_assert_uint_eq(options.depth, 7);
	ck_assert_uint_eq(options.quiet, 1);
	ck_assert_int_eq(parse("MEMPROF_DEPTH=7", "MEMPROF_QUIET=7", &options, error), -EINVAL);
	ck_assert_ptr_nonnull(strstr(error, "MEMPROF_QUIET=7"));
}
END_TEST

/* What comes from outside does not drive the terminal, and a long value does not overrun. */
START_TEST(hostile_values)
{
	struct options options;
	char error[256];
	char setting[4096] = "MEMPROF_DEPTH=";

	ck_assert_int_eq(parse("MEMPROF_DEPTH=\033[2J\n", NULL, &options, error), -EINVAL);
	ck_assert_ptr_null(strchr(error, '\033'));
	ck_assert_ptr_null(strchr(error, '\n'));
	memset(setting + strlen(setting), 'x', sizeof(setting) - 1 - strlen(setting));
	memset(error, 'e', sizeof(error));
	ck_assert_int_eq(parse(setting, NULL, &options, error), -EINVAL);
	ck_assert_uint_lt(strnlen(error, sizeof(error)), sizeof(error));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("preload options");
	TCase *tests = tcase_create("options");

	tcase_add_test(tests, defaults);
	tcase_add_loop_test(tests, good_values, 0, sizeof(good) / sizeof(good[0]));
	tcase_add_loop_test(tests, bad_values, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(tests, others_are_not_ours);
	tcase_add_loop_test(tests, misspelt_names, 0, sizeof(names) / sizeof(names[0]));
	tcase_add_test(tests, hostile_names);
	tcase_add_test(tests, two_at_once);
	tcase_add_test(tests, hostile_values);
	suite_add_tcase(suite, tests);
	return support_run(suite);
}
