/* A descriptor among those of the program: out of the way, and never anybody else's file. */
#include "descriptor.h"

#include <errno.h>
#include <sys/resource.h>

#include "preload_support.h"

static struct descriptor descriptor = DESCRIPTOR_NONE;

static int open_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static struct rlimit before;

static void enter(void)
{
	getrlimit(RLIMIT_NOFILE, &before);
	support_enter();
}

static void leave(void)
{
	setrlimit(RLIMIT_NOFILE, &before);
	closefrom(3);
	support_leave();
}

static void limit_descriptors(rlim_t count)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = count;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

START_TEST(moved_up)
{
	int fd, up;

	limit_descriptors(2048);
	fd = open_file("a");
	errno = 3;
	ck_assert_int_eq(descriptor_adopt(&descriptor, fd), 0);
	up = descriptor_get(&descriptor);
	ck_assert_int_eq(errno, 3);
	ck_assert_int_ge(up, 1000);
	ck_assert_int_eq(fcntl(up, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	ck_assert_int_eq(open_file("b"), fd);
}
END_TEST

START_TEST(none)
{
	ck_assert_int_eq(descriptor_get(&descriptor), -EBADF);
	descriptor_close(&descriptor);
	ck_assert_int_eq(descriptor_adopt(&descriptor, 700), -EBADF);
}
END_TEST

START_TEST(closed_by_the_program)
{
	int fd = open_file("a");

	ck_assert_int_eq(descriptor_adopt(&descriptor, fd), 0);
	close(descriptor_get(&descriptor));
	ck_assert_int_eq(descriptor_get(&descriptor), -EBADF);
	ck_assert_int_eq(descriptor_readopt(&descriptor, open_file("a")), 0);
	ck_assert_int_ge(descriptor_get(&descriptor), 0);
}
END_TEST

START_TEST(taken_by_the_program)
{
	int other = open_file("b"), number;

	ck_assert_int_eq(descriptor_adopt(&descriptor, open_file("a")), 0);
	number = descriptor_get(&descriptor);
	ck_assert_int_eq(dup2(other, number), number);
	ck_assert_int_eq(descriptor_get(&descriptor), -EBADF);
	descriptor_close(&descriptor);
	ck_assert_int_eq(fcntl(number, F_GETFD), 0);
}
END_TEST

START_TEST(another_file_by_that_name)
{
	int fd;

	ck_assert_int_eq(descriptor_adopt(&descriptor, open_file("a")), 0);
	close(descriptor_get(&descriptor));
	ck_assert_int_eq(rename("a", "moved"), 0);
	fd = open_file("a");
	ck_assert_int_eq(descriptor_readopt(&descriptor, fd), -ESTALE);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	ck_assert_int_eq(descriptor_get(&descriptor), -EBADF);
}
END_TEST

/* The lower the limit, the fewer numbers: still out of the way, still ours. */
START_TEST(low_limit)
{
	static const rlim_t limits[] = {1001, 1000, 256, 64, 17, 16, 12, 8};
	int fd, got;

	fd = open_file("a");
	limit_descriptors(limits[_i]);
	ck_assert_int_eq(descriptor_adopt(&descriptor, fd), 0);
	got = descriptor_get(&descriptor);
	ck_assert_int_gt(got, fd);
	ck_assert_int_lt(got, (int)limits[_i]);
	ck_assert_int_eq(open_file("b"), fd);
}
END_TEST

/* No number left but the one we have. */
START_TEST(all_in_use)
{
	int fd = open_file("a"), last = fd;

	limit_descriptors(32);
	while (last < 31)
		last = dup(fd);
	close(31);
	ck_assert_int_eq(descriptor_adopt(&descriptor, dup(fd)), 0);
	ck_assert_int_eq(descriptor_get(&descriptor), 31);
}
END_TEST

/* A number of stdin, stdout or stderr is the program's: it may write there believing so. */
START_TEST(never_a_standard_stream)
{
	int kept = fcntl(1, F_DUPFD, 4), opened, number, result;

	close(1);
	opened = open("a", O_RDWR | O_CREAT, 0600);
	limit_descriptors((rlim_t)_i);
	result = descriptor_adopt(&descriptor, opened);
	number = descriptor_get(&descriptor);
	dup2(kept, 1);
	ck_assert_int_eq(opened, 1);
	ck_assert_int_gt(result == 0 ? number : 3, 2);
	if (_i > 8)
		ck_assert_int_eq(result, 0);
	if (result < 0)
		ck_assert_int_eq(number, -EBADF);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("preload descriptor");
	TCase *tests = tcase_create("descriptor");

	tcase_add_checked_fixture(tests, enter, leave);
	tcase_add_test(tests, moved_up);
	tcase_add_test(tests, none);
	tcase_add_test(tests, closed_by_the_program);
	tcase_add_test(tests, taken_by_the_program);
	tcase_add_test(tests, another_file_by_that_name);
	tcase_add_loop_test(tests, low_limit, 0, 8);
	tcase_add_test(tests, all_in_use);
	tcase_add_loop_test(tests, never_a_standard_stream, 2, 20);
	suite_add_tcase(suite, tests);
	return support_run(suite);
}
