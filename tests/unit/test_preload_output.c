/* The trace's name, and what is done when it is taken. */
#include "output.h"

#include <errno.h>
#include <sys/wait.h>

#include "preload_support.h"

static struct process process;
static char error[512];

static void setup(void)
{
	support_enter();
	process_read(&process);
	strcpy(process.name, "app");
	strcpy(process.host, "host");
}

static int create(const char *pattern, bool forked)
{
	struct trace_header header = support_header();

	header.pid = (uint32_t)process.pid;
	header.parent_pid = (uint32_t)process.parent;
	header.process_start = process.start;
	clock_init();
	return output_create(pattern, &process, forked, &header, error, sizeof(error));
}

static const char *made(void)
{
	return strrchr(trace_file_path(), '/') + 1;
}

/* Creates and answers with the name made, or the error. */
static const char *name_of(const char *pattern)
{
	return create(pattern, false) == 0 ? made() : error;
}

static const struct {
	const char *pattern, *name;
} names[] = {
    {"plain", "plain"},
    {"memprof.%e.%p.bin", "memprof.app.4711.bin"},
    {"%h-%e", "host-app"},
    {"100%%", "100%"},
    {"%n.x", "0.x"},
    {"%q{V}.bin", "value.bin"},
    {"%q{SLASHES}", "_etc_x"},
    {"%q{EMPTY}z%q{UNSET}", "z"},
    {"%q{V}%q{V}%p", "valuevalue4711"},
    {"%%p", "%p"},
};

START_TEST(patterns)
{
	process.pid = 4711;
	setenv("V", "value", 1);
	setenv("SLASHES", "/etc/x", 1);
	setenv("EMPTY", "", 1);
	unsetenv("UNSET");
	ck_assert_str_eq(name_of(names[_i].pattern), names[_i].name);
}
END_TEST

START_TEST(names_of_programs)
{
	strcpy(process.name, "a/b");
	ck_assert_str_eq(name_of("%e"), "a_b");
	strcpy(process.name, "");
	ck_assert_str_eq(name_of("%e"), "unknown");
}
END_TEST

static const char *const bad[] = {"%",	  "a%",	  "%x",	  "%P",	    "%q",      "%qV", "%q{",
				  "%q{V", "%q{}", "%d%p", "%q{V}%", "%Q{V}.x", "% p"};

START_TEST(bad_patterns)
{
	char begin[64];

	setenv("V", "value", 1);
	ck_assert_int_eq(create(bad[_i], false), -EINVAL);
	snprintf(begin, sizeof(begin), "MEMPROF_OUT=%s: not valid: use %%p", bad[_i]);
	ck_assert_msg(strncmp(error, begin, strlen(begin)) == 0, "%s", error);
	ck_assert_ptr_null(trace_file_header());
}
END_TEST

START_TEST(too_long)
{
	char pattern[2 * PATH_MAX];

	memset(pattern, 'x', sizeof(pattern));
	pattern[sizeof(pattern) - 1] = 0;
	ck_assert_int_eq(create(pattern, false), -EINVAL);
	pattern[300] = 0;
	ck_assert_int_eq(create(pattern, false), -ENAMETOOLONG);
	ck_assert_ptr_nonnull(strstr(error, "recording is off"));
}
END_TEST

START_TEST(said_why)
{
	ck_assert_int_eq(create("no/such/file", false), -ENOENT);
	ck_assert_str_eq(error, "cannot write no/such/file: no such directory: recording is off; "
				"set MEMPROF_OUT to a path that can be written");
	ck_assert_int_eq(create("/proc/memprof", false), -ENOENT);
	ck_assert_int_eq(mkdir("folder", 0700), 0);
	ck_assert_int_lt(create("folder", false), 0);
}
END_TEST

static void check_untouched(const char *path, const char *content)
{
	size_t bytes;
	uint8_t *now = support_read(path, &bytes);

	ck_assert_uint_eq(bytes, strlen(content));
	ck_assert_str_eq((char *)now, content);
	free(now);
}

START_TEST(foreign_file)
{
	struct stat status;

	support_write("t", "my thesis", 9);
	ck_assert_int_eq(create("t", false), -EEXIST);
	ck_assert_ptr_nonnull(strstr(error, "cannot write t: a file that is no memprof trace"));
	support_write("empty", "", 0);
	ck_assert_int_eq(create("empty", false), -EEXIST);
	ck_assert_int_eq(stat("empty", &status), 0);
	check_untouched("t", "my thesis");
}
END_TEST

START_TEST(no_regular_file)
{
	ck_assert_int_eq(mkfifo("fifo", 0600), 0);
	alarm(5);
	ck_assert_int_eq(create("fifo", false), -EEXIST);
	alarm(0);
}
END_TEST

static void write_trace(const char *path, uint32_t pid, uint64_t start, uint32_t parent)
{
	static char page[4096];
	struct trace_header header = support_header();

	header.pid = pid;
	header.process_start = start;
	header.parent_pid = parent;
	memcpy(page, &header, sizeof(header));
	support_write(path, page, sizeof(page));
}

static pid_t dead_pid(void)
{
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	waitpid(child, NULL, 0);
	return child;
}

START_TEST(link_not_followed)
{
	struct stat status;

	write_trace("victim", (uint32_t)dead_pid(), 1, (uint32_t)getppid());
	ck_assert_int_eq(symlink("victim", "t"), 0);
	ck_assert_int_eq(create("t", false), -EEXIST);
	ck_assert_int_eq(symlink("nowhere", "u"), 0);
	ck_assert_int_eq(create("u", false), -EEXIST);
	ck_assert_int_eq(lstat("nowhere", &status), -1);
	ck_assert_int_eq(lstat("t", &status), 0);
	ck_assert(S_ISLNK(status.st_mode));
	ck_assert_int_eq(stat("victim", &status), 0);
	ck_assert_int_eq(status.st_size, 4096);
}
END_TEST

/* The program was run before, from the same shell: its old trace makes room. */
START_TEST(stale_trace)
{
	struct stat before, after;

	write_trace("t", (uint32_t)dead_pid(), 1, (uint32_t)process.parent);
	ck_assert_int_eq(stat("t", &before), 0);
	ck_assert_int_eq(create("t", false), 0);
	ck_assert_str_eq(made(), "t");
	ck_assert_int_eq(stat("t", &after), 0);
	ck_assert_uint_eq(after.st_mode & 07777, 0600);
	ck_assert_uint_eq(trace_file_header()->pid, (uint32_t)process.pid);
}
END_TEST

/* From elsewhere, but last written before we began. */
START_TEST(old_trace)
{
	struct timespec past[2] = {{1000000000, 0}, {1000000000, 0}};

	write_trace("t", (uint32_t)dead_pid(), 1, 1);
	ck_assert_int_eq(utimensat(AT_FDCWD, "t", past, 0), 0);
	ck_assert_str_eq(name_of("t"), "t");
}
END_TEST

/* It ended while we ran: one that started us, perhaps. */
START_TEST(trace_of_this_run)
{
	char wanted[64];

	write_trace("t.bin", (uint32_t)dead_pid(), 1, 1);
	snprintf(wanted, sizeof(wanted), "t.%d.bin", process.pid);
	ck_assert_str_eq(name_of("t.bin"), wanted);
	snprintf(wanted, sizeof(wanted), "t.%d.2.bin", process.pid);
	ck_assert_str_eq(name_of("t.bin"), wanted);
}
END_TEST

START_TEST(trace_of_a_live_process)
{
	char name[64], wanted[64];
	struct trace_header header;
	size_t bytes;
	uint8_t *content;
	struct timespec past[2] = {{1000000000, 0}, {1000000000, 0}};

	write_trace("t", (uint32_t)getppid(), process_start(getppid()), (uint32_t)process.parent);
	ck_assert_int_eq(utimensat(AT_FDCWD, "t", past, 0), 0);
	snprintf(wanted, sizeof(wanted), "t.%d", process.pid);
	ck_assert_str_eq(name_of("t"), wanted);
	content = support_read("t", &bytes);
	memcpy(&header, content, sizeof(header));
	ck_assert_uint_eq(header.pid, (uint32_t)getppid());
	free(content);
	/* We ourselves before an exec: the pid is in the name already. */
	snprintf(name, sizeof(name), "x.%d.bin", process.pid);
	write_trace(name, (uint32_t)process.pid, process.start, (uint32_t)process.parent);
	snprintf(wanted, sizeof(wanted), "x.%d.1.bin", process.pid);
	ck_assert_str_eq(name_of("x.%p.bin"), wanted);
}
END_TEST

START_TEST(reused_pid)
{
	write_trace("t", (uint32_t)getppid(), process_start(getppid()) - 1,
		    (uint32_t)process.parent);
	ck_assert_str_eq(name_of("t"), "t");
}
END_TEST

START_TEST(forked_child)
{
	char wanted[64];

	write_trace("t.bin", (uint32_t)dead_pid(), 1, (uint32_t)process.parent);
	ck_assert_int_eq(create("t.bin", true), 0);
	snprintf(wanted, sizeof(wanted), "t.%d.bin", process.pid);
	ck_assert_str_eq(made(), wanted);
	support_write("u.bin", "foreign", 7);
	ck_assert_int_eq(create("u.bin", true), -EEXIST);
	check_untouched("u.bin", "foreign");
}
END_TEST

START_TEST(numbers)
{
	for (int i = 0; i < 12; i++) {
		char wanted[64];

		if (i == 5) {
			support_write("n.5.bin", "foreign", 7);
			continue;
		}
		snprintf(wanted, sizeof(wanted), "n.%d.bin", i);
		ck_assert_str_eq(name_of("n.%n.bin"), wanted);
	}
	check_untouched("n.5.bin", "foreign");
}
END_TEST

/* A dot in a folder's name is no suffix, nor is one that begins a name. */
START_TEST(where_the_number_goes)
{
	char wanted[64];

	ck_assert_int_eq(mkdir("a.b", 0700), 0);
	write_trace("a.b/t", (uint32_t)dead_pid(), 1, 1);
	snprintf(wanted, sizeof(wanted), "t.%d", process.pid);
	ck_assert_str_eq(name_of("a.b/t"), wanted);
	write_trace(".t", (uint32_t)dead_pid(), 1, 1);
	snprintf(wanted, sizeof(wanted), ".t.%d", process.pid);
	ck_assert_str_eq(name_of(".t"), wanted);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("preload output");
	TCase *tests = tcase_create("output");

	tcase_add_checked_fixture(tests, setup, support_leave);
	tcase_add_loop_test(tests, patterns, 0, sizeof(names) / sizeof(names[0]));
	tcase_add_test(tests, names_of_programs);
	tcase_add_loop_test(tests, bad_patterns, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_test(tests, too_long);
	tcase_add_test(tests, said_why);
	tcase_add_test(tests, foreign_file);
	tcase_add_test(tests, no_regular_file);
	tcase_add_test(tests, link_not_followed);
	tcase_add_test(tests, stale_trace);
	tcase_add_test(tests, old_trace);
	tcase_add_test(tests, trace_of_this_run);
	tcase_add_test(tests, trace_of_a_live_process);
	tcase_add_test(tests, reused_pid);
	tcase_add_test(tests, forked_child);
	tcase_add_test(tests, numbers);
	tcase_add_test(tests, where_the_number_goes);
	suite_add_tcase(suite, tests);
	return support_run(suite);
}
