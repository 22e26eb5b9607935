#include "descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "sys.h"

/* Descriptors the program opens start low, and those of its select() stay below 1024. */
#define NUMBER_WANTED 1000

/*
 * Whatever the limit, never a standard stream's number: a program that was started without one
 * writes there all the same, into our file. -errno when there is no other; `fd` stays open then.
 */
static int move_up(int fd)
{
	long up = SYS3(fcntl, fd, F_DUPFD_CLOEXEC, NUMBER_WANTED);
	struct rlimit limit;

	/* RLIMIT_NOFILE is below: take one that is high under it. */
	if (up == -EINVAL && SYS4(prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) == 0)
		up = SYS3(fcntl, fd, F_DUPFD_CLOEXEC,
			  limit.rlim_cur > 16 ? limit.rlim_cur - 8 : limit.rlim_cur / 2);
	if (up < 0 && fd > 2)
		return fd;
	if (up < 3)
		up = SYS3(fcntl, fd, F_DUPFD_CLOEXEC, 3);
	if (up >= 0)
		SYS1(close, fd);
	return (int)up;
}

static int take(struct descriptor *descriptor, int fd)
{
	int number = move_up(fd);

	if (number < 0)
		return number;
	atomic_store_explicit(&descriptor->number, number, memory_order_relaxed);
	return 0;
}

static bool is_same(const struct descriptor *descriptor, int fd)
{
	struct stat status;

	return SYS2(fstat, fd, &status) == 0 && status.st_dev == descriptor->device &&
	       status.st_ino == descriptor->inode;
}

int descriptor_adopt(struct descriptor *descriptor, int fd)
{
	struct stat status;
	long result = SYS2(fstat, fd, &status);

	if (result < 0)
		return (int)result;
	descriptor->device = status.st_dev;
	descriptor->inode = status.st_ino;
	return take(descriptor, fd);
}

int descriptor_readopt(struct descriptor *descriptor, int fd)
{
	int result = is_same(descriptor, fd) ? take(descriptor, fd) : -ESTALE;

	if (result < 0)
		SYS1(close, fd);
	return result;
}

int descriptor_get(const struct descriptor *descriptor)
{
	int fd = atomic_load_explicit(&descriptor->number, memory_order_relaxed);

	return fd >= 0 && is_same(descriptor, fd) ? fd : -EBADF;
}

void descriptor_close(struct descriptor *descriptor)
{
	int fd = descriptor_get(descriptor);

	if (fd >= 0)
		SYS1(close, fd);
	atomic_store_explicit(&descriptor->number, -1, memory_order_relaxed);
}
