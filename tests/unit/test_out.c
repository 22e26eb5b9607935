/* The output stream: what arrives, what fails, how figures read. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check_support.h"
#include "out.h"

static struct out *memory(void)
{
	struct out *out;

	ck_assert_int_eq(out_open_memory(&out), 0);
	return out;
}

START_TEST(test_memory_grows)
{
	struct out *out = memory();
	char *expected = malloc(300001);

	for (int i = 0; i < 300000; i++) {
		out_char(out, (char)('a' + i % 26));
		expected[i] = (char)('a' + i % 26);
	}
	expected[300000] = '\0';
	ck_assert_str_eq(out_memory(out), expected);
	ck_assert_uint_eq(out_written(out), 300000);
	out_clear(out);
	out_bytes(out, expected, 200000);
	ck_assert_uint_eq(strlen(out_memory(out)), 200000);
	ck_assert_int_eq(out_close(out), 0);
	free(expected);
}
END_TEST

START_TEST(test_printf_longer_than_its_buffer)
{
	struct out *out = memory();

	out_printf(out, "%1000d|%s", 7, "end");
	ck_assert_uint_eq(strlen(out_memory(out)), 1004);
	ck_assert_str_eq(out_memory(out) + 999, "7|end");
	ck_assert_int_eq(out_close(out), 0);
}
END_TEST

/* Pieces below, at and above the buffer's size arrive whole and in order. */
START_TEST(test_file_arrives_whole)
{
	static const size_t sizes[] = {1, 65535, 1, 65536, 65537, 10, 400000, 3};
	char path[] = "/tmp/memprof-test-out-XXXXXX", *piece = malloc(400000), *back;
	int fd = mkstemp(path);
	size_t total = 0, at = 0, wrong = 0;
	struct out *out;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(out_open_file(path, &out), 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		memset(piece, 'a' + (int)i, sizes[i]);
		out_bytes(out, piece, sizes[i]);
		total += sizes[i];
	}
	ck_assert_int_eq(out_close(out), 0);
	back = malloc(total + 1);
	ck_assert_int_eq(read(fd, back, total + 1), (ssize_t)total);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (size_t j = 0; j < sizes[i]; j++)
			wrong += back[at++] != 'a' + (int)i;
	}
	ck_assert_uint_eq(wrong, 0);
	close(fd);
	unlink(path);
	free(piece);
	free(back);
}
END_TEST

START_TEST(test_cannot_open)
{
	struct out *out;

	ck_assert_int_eq(out_open_file("/nonexistent/folder/file", &out), -ENOENT);
	ck_assert_int_eq(out_open_file("/tmp", &out), -EISDIR);
}
END_TEST

START_TEST(test_full_disk)
{
	struct out *out;
	int fd = open("/dev/full", O_WRONLY);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(out_open_fd(fd, &out), 0);
	out_text(out, "x");
	ck_assert_int_eq(out_error(out), 0); /* still in the buffer */
	out_repeat(out, 'x', 200000);
	ck_assert_int_eq(out_error(out), -ENOSPC);
	ck_assert_int_eq(out_close(out), -ENOSPC);
	ck_assert_int_eq(close(fd), 0); /* it was only borrowed */
}
END_TEST

START_TEST(test_closed_pipe)
{
	struct out *out;
	int ends[2];

	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(pipe(ends), 0);
	close(ends[0]);
	ck_assert_int_eq(out_open_fd(ends[1], &out), 0);
	out_text(out, "nobody reads");
	ck_assert_int_eq(out_close(out), -EPIPE);
	close(ends[1]);
}
END_TEST

/* A pipe takes what it has room for: the rest must follow. */
START_TEST(test_short_writes)
{
	char buffer[5000];
	size_t seen = 0, wrong = 0;
	struct out *out;
	int ends[2];
	ssize_t got;
	pid_t child;

	ck_assert_int_eq(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		close(ends[0]);
		if (out_open_fd(ends[1], &out))
			_exit(1);
		for (int i = 0; i < 1000000; i++)
			out_char(out, (char)(i % 251));
		_exit(out_close(out) ? 1 : 0);
	}
	close(ends[1]);
	while ((got = read(ends[0], buffer, sizeof(buffer))) > 0) {
		for (ssize_t i = 0; i < got; i++)
			wrong += (unsigned char)buffer[i] != seen++ % 251;
	}
	ck_assert_uint_eq(wrong, 0);
	ck_assert_uint_eq(seen, 1000000);
}
END_TEST

START_TEST(test_bytes)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
	    {0, "0 B"},
	    {1023, "1023 B"},
	    {1024, "1.0 KiB"},
	    {12902, "12.6 KiB"},
	    {1048575, "1.0 MiB"}, /* not 1024.0 KiB */
	    {1073741824, "1.0 GiB"},
	    {UINT64_MAX, "16.0 EiB"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_str_eq(OUT_BYTES(cases[i].bytes), cases[i].text);
}
END_TEST

START_TEST(test_counts)
{
	ck_assert_str_eq(OUT_COUNT(0), "0");
	ck_assert_str_eq(OUT_COUNT(999), "999");
	ck_assert_str_eq(OUT_COUNT(1000), "1,000");
	ck_assert_str_eq(OUT_COUNT(123456), "123,456");
	ck_assert_str_eq(OUT_COUNT(UINT64_MAX), "18,446,744,073,709,551,615");
}
END_TEST

START_TEST(test_seconds)
{
	ck_assert_str_eq(OUT_SECONDS(0), "0.000");
	ck_assert_str_eq(OUT_SECONDS(0.0123), "0.012");
	ck_assert_str_eq(OUT_SECONDS(0.9999), "1.00");
	ck_assert_str_eq(OUT_SECONDS(3.25), "3.25");
	ck_assert_str_eq(OUT_SECONDS(9.999), "10.0");
	ck_assert_str_eq(OUT_SECONDS(1234.4), "1,234");
	ck_assert_str_eq(OUT_SECONDS(-1), "0.000");
	ck_assert_str_eq(OUT_SECONDS(0.0 / 0.0), "0.000");
	ck_assert_uint_lt(strlen(OUT_SECONDS(1e300)), OUT_FIGURE);
}
END_TEST

START_TEST(test_percent)
{
	ck_assert_str_eq(OUT_PERCENT(0, 10), "0 %");
	ck_assert_str_eq(OUT_PERCENT(5, 0), "0 %");
	ck_assert_str_eq(OUT_PERCENT(1, 10000), "<0.1 %");
	ck_assert_str_eq(OUT_PERCENT(41, 1000), "4.1 %");
	ck_assert_str_eq(OUT_PERCENT(62, 100), "62 %");
	ck_assert_str_eq(OUT_PERCENT(9999, 10000), ">99 %");
	ck_assert_str_eq(OUT_PERCENT(10, 10), "100 %");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("out");
	TCase *tests = tcase_create("out");

	tcase_add_test(tests, test_memory_grows);
	tcase_add_test(tests, test_printf_longer_than_its_buffer);
	tcase_add_test(tests, test_file_arrives_whole);
	tcase_add_test(tests, test_cannot_open);
	tcase_add_test(tests, test_full_disk);
	tcase_add_test(tests, test_closed_pipe);
	tcase_add_test(tests, test_short_writes);
	tcase_add_test(tests, test_bytes);
	tcase_add_test(tests, test_counts);
	tcase_add_test(tests, test_seconds);
	tcase_add_test(tests, test_percent);
	suite_add_tcase(suite, tests);
	return support_run(suite);
}
