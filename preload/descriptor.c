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

static int move_up(int fd)
{
	long up = SYS3(fcntl, fd, F_DUPFD_CLOEXEC, NUMBER_WANTED);
	struct rlimit limit;

	/* RLIMIT_NOFILE is below: take the highest that is free under it. */
	if (up == -EINVAL && SYS4(prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) == 0 &&
	    limit.rlim_cur > 16)
		up = SYS3(fcntl, fd, F_DUPFD_CLOEXEC, limit.rlim_cur - 8);
	if (up < 0)
		return fd;
	SYS1(close, fd);
	return (int)up;
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
	atomic_store_explicit(&descriptor->number, move_up(fd), memory_order_relaxed);
	return 0;
}

int descriptor_readopt(struct descriptor *descriptor, int fd)
{
	if (!is_same(descriptor, fd)) {
		SYS1(close, fd);
		return -ESTALE;
	}
	atomic_store_explicit(&descriptor->number, move_up(fd), memory_order_relaxed);
	return 0;
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
