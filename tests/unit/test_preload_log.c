/* Lines for people: cut, cleaned, and never in the program's way. */
#include "log.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>

#include "preload_support.h"

START_TEST(cut_to_fit)
{
	char buffer[9];
	struct text text;

	memset(buffer, 'b', sizeof(buffer));
	text_init(&text, buffer, 8);
	text_add(&text, "12345");
	text_add_number(&text, 6789);
	text_add(&text, "never");
	ck_assert_uint_eq(text_end(&text, buffer), 7);
	ck_assert_str_eq(buffer, "1234567");
	ck_assert_int_eq(buffer[8], 'b');
	text_init(&text, buffer, 1);
	text_add(&text, "x");
	ck_assert_uint_eq(text_end(&text, buffer), 0);
}
END_TEST

START_TEST(numbers)
{
	static const struct {
		uint64_t number;
		const char *plain, *count;
	} cases[] = {
	    {0, "0", "0"},
	    {7, "7", "7"},
	    {999, "999", "999"},
	    {1000, "1000", "1,000"},
	    {123456, "123456", "123,456"},
	    {1234567, "1234567", "1,234,567"},
	    {UINT64_MAX, "18446744073709551615", "18,446,744,073,709,551,615"},
	};
	char buffer[64];
	struct text text;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		text_init(&text, buffer, sizeof(buffer));
		text_add_number(&text, cases[i].number);
		text_end(&text, buffer);
		ck_assert_str_eq(buffer, cases[i].plain);
		text_init(&text, buffer, sizeof(buffer));
		text_add_count(&text, cases[i].number);
		text_end(&text, buffer);
		ck_assert_str_eq(buffer, cases[i].count);
	}
}
END_TEST

START_TEST(control_characters)
{
	char buffer[64];
	struct text text;

	text_init(&text, buffer, sizeof(buffer));
	text_add_printable(&text, "a\033[2J\n\x7f\tü");
	text_end(&text, buffer);
	ck_assert_str_eq(buffer, "a?[2J???ü");

	/* the second set of controls, alone and in UTF-8; direction; broken and overlong forms */
	text_init(&text, buffer, sizeof(buffer));
	text_add_printable(&text, "\x9b"
				  "31m|\xc2\x9b|\u202e|\u2066|\u2014|\xc0\xaf|\xf0\x9f\x98");
	text_end(&text, buffer);
	ck_assert_str_eq(buffer, "?31m|??|???|???|\u2014|??|???");
}
END_TEST

static int reader, kept_stderr;

/* Descriptor 2 becomes the writing end of a pipe. */
static void capture(void)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	kept_stderr = dup(2);
	ck_assert_int_eq(dup2(ends[1], 2), 2);
	close(ends[1]);
	reader = ends[0];
	ck_assert_int_eq(fcntl(reader, F_SETFL, O_NONBLOCK), 0);
}

static void release(void)
{
	dup2(kept_stderr, 2);
}

/* What was written so far; "" when nothing. */
static const char *said(void)
{
	static char buffer[65536];
	ssize_t got = read(reader, buffer, sizeof(buffer) - 1);

	buffer[got > 0 ? got : 0] = 0;
	return buffer;
}

START_TEST(one_line)
{
	capture();
	log_init(false);
	errno = 77;
	log_line("good morning");
	ck_assert_int_eq(errno, 77);
	release();
	ck_assert_str_eq(said(), "memprof: good morning\n");
}
END_TEST

START_TEST(long_line)
{
	char message[5000];
	const char *line;

	memset(message, 'm', sizeof(message));
	message[sizeof(message) - 1] = 0;
	capture();
	log_init(false);
	log_line(message);
	release();
	line = said();
	ck_assert_uint_le(strlen(line), 1024);
	ck_assert_uint_ge(strlen(line), 1000);
	ck_assert_int_eq(line[strlen(line) - 1], '\n');
}
END_TEST

START_TEST(quiet)
{
	capture();
	log_init(true);
	log_line("nothing");
	log_text("nothing\n", 8);
	release();
	ck_assert_str_eq(said(), "");
}
END_TEST

START_TEST(closed_or_replaced)
{
	int other[2];
	char byte;

	capture();
	log_init(false);
	ck_assert_int_eq(pipe(other), 0);
	fcntl(other[0], F_SETFL, O_NONBLOCK);
	dup2(other[1], 2);
	log_line("into a file of the program");
	close(2);
	errno = 5;
	log_line("into nothing");
	ck_assert_int_eq(errno, 5);
	release();
	ck_assert_str_eq(said(), "");
	ck_assert_int_eq(read(other[0], &byte, 1), -1);
}
END_TEST

START_TEST(closed_from_the_start)
{
	int fd;
	size_t bytes;
	uint8_t *content;

	support_enter();
	kept_stderr = dup(2);
	close(2);
	log_init(false);
	fd = open("program's own", O_CREAT | O_RDWR, 0600);
	ck_assert_int_eq(fd, 2);
	log_line("into a file of the program");
	content = support_read("program's own", &bytes);
	dup2(kept_stderr, 2);
	ck_assert_uint_eq(bytes, 0);
	free(content);
	support_leave();
}
END_TEST

/* Neither blocked by a pipe that is full nor killed by one that nobody reads. */
START_TEST(full_pipe)
{
	char block[4096] = "";

	capture();
	log_init(false);
	fcntl(2, F_SETFL, O_NONBLOCK);
	while (write(2, block, sizeof(block)) > 0)
		continue;
	fcntl(2, F_SETFL, 0);
	alarm(5);
	log_line("blocked for ever?");
	alarm(0);
	close(reader);
	log_line("killed by SIGPIPE?");
	release();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("preload log");
	TCase *text = tcase_create("text");
	TCase *lines = tcase_create("lines");

	tcase_add_test(text, cut_to_fit);
	tcase_add_test(text, numbers);
	tcase_add_test(text, control_characters);
	tcase_add_test(lines, one_line);
	tcase_add_test(lines, long_line);
	tcase_add_test(lines, quiet);
	tcase_add_test(lines, closed_or_replaced);
	tcase_add_test(lines, closed_from_the_start);
	tcase_add_test(lines, full_pipe);
	suite_add_tcase(suite, text);
	suite_add_tcase(suite, lines);
	return support_run(suite);
}
