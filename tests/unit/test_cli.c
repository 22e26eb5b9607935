/* Options from a table, --fail-if conditions, and the trace that is read when none is named. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check_support.h"
#include "cli.h"
#include "condition.h"
#include "profile.h"

struct values {
	bool flag;
	size_t number;
	const char *string;
	int choice;
	unsigned set;
	char custom[16];
};

static int set_custom(void *options, const char *value, char *error, size_t error_bytes)
{
	struct values *values = options;

	if (!strcmp(value, "bad")) {
		snprintf(error, error_bytes, "'bad' is bad");
		return -1;
	}
	snprintf(values->custom, sizeof(values->custom), "%s", value);
	return 0;
}

static const char *const choices[] = {"red", "green", "blue", NULL};
static const struct cli_option options[] = {
    {"flag", 'f', CLI_FLAG, NULL, "a flag", offsetof(struct values, flag), NULL, NULL},
    {"number", 'n', CLI_NUMBER, "N", "a number", offsetof(struct values, number), NULL, NULL},
    {"string", 's', CLI_STRING, "S", "a string", offsetof(struct values, string), NULL, NULL},
    {"choice", 0, CLI_CHOICE, "C", "a choice", offsetof(struct values, choice), choices, NULL},
    {"set", 0, CLI_SET, "SET", "a set", offsetof(struct values, set), choices, NULL},
    {"custom", 0, CLI_CUSTOM, "X", "a custom one", 0, NULL, set_custom},
};
static const struct cli_command command = {
    .name = "test-command",
    .synopsis = "[options] [FILE]",
    .about = "About.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
};

static struct values values;
static const char *file;
static char said[4096]; /* what the last parse() wrote to stderr, or stdout if nothing */

static void start_capture(int saved[2], int *fd)
{
	char path[] = "/tmp/memprof-test-cli-XXXXXX";

	*fd = mkstemp(path);
	ck_assert_int_ge(*fd, 0);
	unlink(path);
	for (int i = 0; i < 2; i++) {
		saved[i] = dup(i + 1);
		dup2(*fd, i + 1);
	}
}

static void end_capture(int saved[2], int fd)
{
	ssize_t length;

	for (int i = 0; i < 2; i++) {
		dup2(saved[i], i + 1);
		close(saved[i]);
	}
	length = pread(fd, said, sizeof(said) - 1, 0);
	said[length > 0 ? length : 0] = '\0';
	close(fd);
}

/* Parses a command line given as words separated by spaces. */
static int parse(const char *line)
{
	char *copy = strdup(line), *argv[16] = {NULL}, *rest = copy;
	int argc = 0, result, saved[2], fd;
	static char *kept;

	while (argc < 15 && (argv[argc] = strsep(&rest, " ")))
		argc++;
	free(kept);
	kept = copy; /* values are views into it */
	memset(&values, 0, sizeof(values));
	start_capture(saved, &fd);
	result = cli_parse(&command, argc, argv, &values, &file);
	end_capture(saved, fd);
	return result;
}

START_TEST(test_all_kinds)
{
	ck_assert_int_eq(parse("c -fn5 --string=a=b --choice blue --set=red,blue --custom x file"),
			 CLI_RUN);
	ck_assert(values.flag);
	ck_assert_uint_eq(values.number, 5);
	ck_assert_str_eq(values.string, "a=b");
	ck_assert_int_eq(values.choice, 2);
	ck_assert_uint_eq(values.set, 5);
	ck_assert_str_eq(values.custom, "x");
	ck_assert_str_eq(file, "file");
	ck_assert_str_eq(said, "");
}
END_TEST

START_TEST(test_operands)
{
	ck_assert_int_eq(parse("c"), CLI_RUN);
	ck_assert_ptr_null(file);
	ck_assert_int_eq(parse("c -- --flag"), CLI_RUN);
	ck_assert_str_eq(file, "--flag");
	ck_assert(!values.flag);
	ck_assert_int_eq(parse("c a -n 7"), CLI_RUN);
	ck_assert_uint_eq(values.number, 7);
	ck_assert_str_eq(file, "a");
	ck_assert_int_eq(parse("c -"), CLI_RUN);
	ck_assert_str_eq(file, "-");
}
END_TEST

static const struct {
	const char *line, *says;
} mistakes[] = {
    {"c --x", "test-command: unknown option '--x': see test-command --help\n"},
    {"c --x=1", "test-command: unknown option '--x': see test-command --help\n"},
    {"c --\x1b[31m", "test-command: unknown option '--\\x1b[31m': see test-command --help\n"},
    {"c --fla", "test-command: unknown option '--fla': see test-command --help\n"},
    {"c -fx", "test-command: unknown option '-x': see test-command --help\n"},
    {"c --flag=1", "test-command: --flag takes no value: see test-command --help\n"},
    {"c --number", "test-command: --number needs a value (N): see test-command --help\n"},
    {"c -n", "test-command: --number needs a value (N): see test-command --help\n"},
    {"c -n -1", "test-command: --number: '-1' is not a number: see test-command --help\n"},
    {"c -n 5x", "test-command: --number: '5x' is not a number: see test-command --help\n"},
    {"c -n 99999999999999999999",
     "test-command: --number: '99999999999999999999' is not a number: see test-command --help\n"},
    {"c --string=", "test-command: --string: it is empty: see test-command --help\n"},
    {"c --choice=pink",
     "test-command: --choice: 'pink' is none of red, green, blue: see test-command --help\n"},
    {"c --set=red,", "test-command: --set: '' is none of red, green, blue: see test-command "
		     "--help\n"},
    {"c --custom=bad", "test-command: --custom: 'bad' is bad: see test-command --help\n"},
    {"c a b", "test-command: one file at a time, not also 'b': see test-command --help\n"},
};

START_TEST(test_mistakes)
{
	ck_assert_int_eq(parse(mistakes[_i].line), CLI_UNUSABLE);
	ck_assert_str_eq(said, mistakes[_i].says);
}
END_TEST

START_TEST(test_help_and_version)
{
	ck_assert_int_eq(parse("c --help --nonsense"), CLI_DONE);
	ck_assert_ptr_nonnull(strstr(said, "Usage: test-command [options] [FILE]\n"));
	ck_assert_ptr_nonnull(strstr(said, "  -n, --number=N          a number\n"));
	ck_assert_int_eq(parse("c --version"), CLI_DONE);
	ck_assert_str_eq(said, "test-command " MEMPROF_VERSION "\n");
	ck_assert_int_eq(parse("c --help=1"), CLI_UNUSABLE);
}
END_TEST

static const struct {
	const char *text;
	bool holds;
	uint64_t found;
} conditions[] = {
    {"peak>100M", false, 104857600},
    {"peak>=100M", true, 104857600},
    {"peak>=100MiB", true, 104857600},
    {"peak<101M", true, 104857600},
    {"peak!=100M", false, 104857600},
    {"peak=104857600", true, 104857600},
    {"lost>4", true, 5},
    {"leaked>0", true, 50}, /* growing 40 and remnant 10; not the start-up's 1000 */
    {"growing==1", true, 1},
    {"live>=1050", true, 1050},
};

START_TEST(test_conditions)
{
	struct profile_site sites[] = {
	    {.live_bytes = 40, .live_blocks = 1, .verdict = VERDICT_GROWING},
	    {.live_bytes = 10, .live_blocks = 1, .verdict = VERDICT_REMNANT},
	    {.live_bytes = 1000, .live_blocks = 1, .verdict = VERDICT_STARTUP},
	};
	struct profile profile = {
	    .totals = {.peak_bytes = 104857600, .lost_events = 5, .live_bytes_end = 1050},
	    .sites = sites,
	    .site_count = 3,
	};
	const char *text = conditions[_i].text;
	struct condition condition;
	char error[256];
	uint64_t found;

	ck_assert_int_eq(condition_parse(text, strlen(text), &condition, error, sizeof(error)), 0);
	ck_assert_str_eq(condition.text, text);
	ck_assert_int_eq(condition_holds(&condition, &profile, &found), conditions[_i].holds);
	ck_assert_uint_eq(found, conditions[_i].found);
}
END_TEST

static const char *const bad_conditions[] = {
    "",
    "peak",
    "peak>",
    ">5",
    "peak>x",
    "peak>5x",
    "peak>-1",
    "peak>5Kx",
    "peek>5",
    "peak>99999999999T",
    ("peak>1 or aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")};

START_TEST(test_bad_conditions)
{
	struct condition condition;
	char error[256] = "";

	ck_assert_int_eq(condition_parse(bad_conditions[_i], strlen(bad_conditions[_i]), &condition,
					 error, sizeof(error)),
			 -1);
	ck_assert_str_ne(error, "");
}
END_TEST

static void touch(const char *folder, const char *name, long seconds)
{
	struct timespec times[2] = {{seconds, 0}, {seconds, 0}};
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(futimens(fd, times), 0);
	close(fd);
}

static void check_newest(const char *folder, int count, const char *name, const char *largest)
{
	char *path = NULL, *largest_path = NULL;

	ck_assert_int_eq(cli_newest_trace(folder, &path, &largest_path), count);
	if (name)
		ck_assert_str_eq(path + strlen(folder) + 1, name);
	ck_assert_int_eq(largest_path != NULL, largest != NULL);
	if (largest)
		ck_assert_str_eq(largest_path + strlen(folder) + 1, largest);
	free(path);
	free(largest_path);
}

START_TEST(test_newest_trace)
{
	char folder[] = "/tmp/memprof-test-cli-XXXXXX", line[600];

	ck_assert_ptr_nonnull(mkdtemp(folder));
	check_newest(folder, 0, NULL, NULL);
	touch(folder, "memprof.a.1.bin", 2000);
	touch(folder, "memprof.b.2.bin", 1000);
	touch(folder, "memprof.c.3.bin.old", 9000);
	touch(folder, "other.bin", 9000);
	snprintf(line, sizeof(line), "%s/memprof.folder.bin", folder);
	ck_assert_int_eq(mkdir(line, 0700), 0);
	check_newest(folder, 2, "memprof.a.1.bin", NULL);
	snprintf(line, sizeof(line), "%s/memprof.b.2.bin", folder);
	ck_assert_int_eq(truncate(line, 5), 0);
	touch(folder, "memprof.b.2.bin", 1000);
	check_newest(folder, 2, "memprof.a.1.bin", "memprof.b.2.bin");
	touch(folder, "memprof.b.2.bin", 2000); /* as old: the names decide */
	check_newest(folder, 2, "memprof.b.2.bin", NULL);
	ck_assert_int_eq(cli_newest_trace("/nonexistent", NULL, NULL), -ENOENT);
	snprintf(line, sizeof(line), "rm -r %s", folder);
	ck_assert_int_eq(system(line), 0);
}
END_TEST

START_TEST(test_color)
{
	unsetenv("NO_COLOR");
	setenv("TERM", "xterm", 1);
	ck_assert(cli_color(CLI_COLOR_ALWAYS, -1));
	ck_assert(!cli_color(CLI_COLOR_AUTO, -1));
	ck_assert(!cli_color(CLI_COLOR_NEVER, -1));
	ck_assert_uint_eq(cli_columns(-1), 100);
}
END_TEST

START_TEST(test_color_on_a_terminal)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY);

	if (fd < 0 || !isatty(fd))
		return; /* no pseudo-terminals here */
	unsetenv("NO_COLOR");
	setenv("TERM", "xterm", 1);
	ck_assert(cli_color(CLI_COLOR_AUTO, fd));
	setenv("NO_COLOR", "", 1); /* empty: as if unset */
	ck_assert(cli_color(CLI_COLOR_AUTO, fd));
	setenv("NO_COLOR", "1", 1);
	ck_assert(!cli_color(CLI_COLOR_AUTO, fd));
	ck_assert(cli_color(CLI_COLOR_ALWAYS, fd));
	unsetenv("NO_COLOR");
	setenv("TERM", "dumb", 1);
	ck_assert(!cli_color(CLI_COLOR_AUTO, fd));
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli");
	TCase *tests = tcase_create("cli");

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
	tcase_add_test(tests, test_all_kinds);
	tcase_add_test(tests, test_operands);
	tcase_add_loop_test(tests, test_mistakes, 0, COUNT(mistakes));
	tcase_add_test(tests, test_help_and_version);
	tcase_add_loop_test(tests, test_conditions, 0, COUNT(conditions));
	tcase_add_loop_test(tests, test_bad_conditions, 0, COUNT(bad_conditions));
	tcase_add_test(tests, test_newest_trace);
	tcase_add_test(tests, test_color);
	tcase_add_test(tests, test_color_on_a_terminal);
	suite_add_tcase(suite, tests);
	return support_run(suite);
}
