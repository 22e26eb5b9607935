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

/* As the recorder opens its own. */
static int open_ours(const char *path)
{
	return descriptor_open(path, O_RDWR | O_CREAT, 0600);
}

static struct rlimit before;

static void enter(void)
{
	getrlimit(RLIMIT_NOFILE, &before);
	support_enter();
}

/* Without a shell: a test may have taken away all descriptors, for good where it may not undo it.
 */
static void leave(void)
{
	unlink("a");
	unlink("b");
	unlink("moved");
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(rmdir(support_folder), 0);
}

static void limit_descriptors(rlim_t count)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = count;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* No number above the limit either. */
static void limit_hard(rlim_t count)
{
	struct rlimit limit = {count, count};

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

START_TEST(moved_up)
{
	int free = open_file("b"), up;

	close(free);
	limit_hard(2048);
	errno = 3;
	ck_assert_int_eq(descriptor_adopt(&descriptor, open_ours("a")), 0);
	up = descriptor_get(&descriptor);
	ck_assert_int_eq(errno, 3);
	ck_assert_int_ge(up, 1000);
	ck_assert_int_lt(up, 2048);
	ck_assert_int_eq(fcntl(up, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(open_file("b"), free);
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
	ck_assert_int_eq(descriptor_adopt(&descriptor, open_ours("a")), 0);
	close(descriptor_get(&descriptor));
	ck_assert_int_eq(descriptor_get(&descriptor), -EBADF);
	ck_assert_int_eq(descriptor_readopt(&descriptor, open_ours("a")), 0);
	ck_assert_int_ge(descriptor_get(&descriptor), 0);
}
END_TEST

START_TEST(taken_by_the_program)
{
	int other = open_file("b"), number;

	ck_assert_int_eq(descriptor_adopt(&descriptor, open_ours("a")), 0);
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

	ck_assert_int_eq(descriptor_adopt(&descriptor, open_ours("a")), 0);
	close(descriptor_get(&descriptor));
	ck_assert_int_eq(rename("a", "moved"), 0);
	fd = open_file("a");
	ck_assert_int_eq(descriptor_readopt(&descriptor, fd), -ESTALE);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	ck_assert_int_eq(descriptor_get(&descriptor), -EBADF);
}
END_TEST

static const rlim_t low_limits[] = {4096, 1001, 1000, 256, 64, 17, 16};
#define LOW_LIMITS ((int)(sizeof(low_limits) / sizeof(low_limits[0])))

/* The lower the limit, the fewer numbers: still out of the way, still ours. */
START_TEST(low_limit)
{
	int fd = open_file("b"), got;

	close(fd);
	limit_hard(low_limits[_i]);
	ck_assert_int_eq(descriptor_adopt(&descriptor, open_ours("a")), 0);
	got = descriptor_get(&descriptor);
	ck_assert_int_gt(got, fd);
	ck_assert_int_lt(got, (int)low_limits[_i]);
	ck_assert_int_eq(open_file("b"), fd);
}
END_TEST

/* Above the soft limit the kernel lets the program make no descriptor; the limit is as it was. */
START_TEST(above_the_soft_limit)
{
	struct rlimit limit;
	int other = open_file("b"), got;

	limit_descriptors(low_limits[_i]);
	ck_assert_int_eq(descriptor_adopt(&descriptor, open_ours("a")), 0);
	got = descriptor_get(&descriptor);
	ck_assert_int_ge(got, (int)low_limits[_i]);
	ck_assert_int_ge(got, 1000);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_uint_eq(limit.rlim_cur, low_limits[_i]);
	ck_assert_uint_eq(limit.rlim_max, before.rlim_max);
	for (int number = 3; number < 5000; number++)
		if (number != other)
			dup2(other, number);
	ck_assert_int_eq(descriptor_get(&descriptor), got);
}
END_TEST

/* The program has used up its numbers, which are all but none. */
START_TEST(none_left)
{
	limit_descriptors(3);
	ck_assert_int_eq(descriptor_adopt(&descriptor, open_ours("a")), 0);
	ck_assert_int_ge(descriptor_get(&descriptor), 1000);
	ck_assert_int_eq(open("b", O_RDWR | O_CREAT, 0600), -1);
	limit_hard(3);
	ck_assert_int_eq(open_ours("c"), -EMFILE);
}
END_TEST

static unsigned count_open(void)
{
	unsigned count = 0;

	for (int fd = 3; fd < 4096; fd++)
		count += fcntl(fd, F_GETFD) != -1;
	return count;
}

/* Two threads that miss it at once keep one. */
START_TEST(readopted_twice)
{
	unsigned before_us = count_open();
	int first, second;

	ck_assert_int_eq(descriptor_adopt(&descriptor, open_ours("a")), 0);
	close(descriptor_get(&descriptor));
	first = open_ours("a");
	second = open_ours("a");
	ck_assert_int_eq(descriptor_readopt(&descriptor, first), 0);
	ck_assert_int_eq(descriptor_readopt(&descriptor, second), 0);
	ck_assert_int_eq(descriptor_get(&descriptor), first);
	ck_assert_uint_eq(count_open(), before_us + 1);
}
END_TEST

/* No number left but the one we have. */
START_TEST(all_in_use)
{
	int fd = open_file("a"), last = fd;

	limit_hard(32);
	while (last < 31)
		last = dup(fd);
	close(31);
	ck_assert_int_eq(descriptor_adopt(&descriptor, open_ours("a")), 0);
	ck_assert_int_eq(descriptor_get(&descriptor), 31);
}
END_TEST

/* A number of stdin, stdout or stderr is the program's: it may write there believing so. */
START_TEST(never_a_standard_stream)
{
	int kept = fcntl(1, F_DUPFD, 4), number, result;

	close(1);
	limit_hard((rlim_t)_i);
	number = open_ours("a");
	result = number < 0 ? number : descriptor_adopt(&descriptor, number);
	dup2(kept, 1);
	ck_assert_int_eq(result, _i < 16 ? -EMFILE : 0);
	if (number >= 0)
		ck_assert_int_gt(number, 2);
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
	tcase_add_loop_test(tests, low_limit, 0, LOW_LIMITS);
	tcase_add_loop_test(tests, above_the_soft_limit, 0, LOW_LIMITS);
	tcase_add_test(tests, none_left);
	tcase_add_test(tests, readopted_twice);
	tcase_add_test(tests, all_in_use);
	tcase_add_loop_test(tests, never_a_standard_stream, 2, 20);
	suite_add_tcase(suite, tests);
	return support_run(suite);
}
