#include "descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "sys.h"

/* Descriptors the program opens start low, and those of its select() stay below 1024. */
#define NUMBER_WANTED 1000
/* Numbers above the limit that we may use. */
#define SPARE 64
/* A number costs 8 bytes of every lower one in the kernel, and a fork copies them. */
#define LIMIT_RAISED_MAX 4096
/* Of fewer we take none: a program that was left so few may need each. */
#define FEWEST 16

/* The limit of descriptors while one of ours is opened. */
struct room {
	struct rlimit before, raised;
	uint64_t mask; /* signals wait: a handler must not find, or leave, the limit raised */
	bool is_raised;
};

/* Held while the limit is raised; tried, never waited for. */
static atomic_flag raising = ATOMIC_FLAG_INIT;

/* Whether there are numbers above the limit, and few enough below it. */
static bool is_above_open(struct room *room)
{
	const struct rlimit *before = &room->before;
	rlim_t wanted = before->rlim_cur > NUMBER_WANTED ? before->rlim_cur : NUMBER_WANTED;

	if (before->rlim_cur > LIMIT_RAISED_MAX || before->rlim_cur >= before->rlim_max)
		return false;
	room->raised = *before;
	room->raised.rlim_cur =
	    wanted + SPARE < before->rlim_max ? wanted + SPARE : before->rlim_max;
	return true;
}

static void make_room(struct room *room)
{
	uint64_t all = UINT64_MAX;

	room->is_raised = false;
	room->before.rlim_cur = 0;
	if (SYS4(prlimit64, 0, RLIMIT_NOFILE, NULL, &room->before) < 0 || !is_above_open(room) ||
	    atomic_flag_test_and_set_explicit(&raising, memory_order_acquire))
		return;
	SYS4(rt_sigprocmask, SIG_SETMASK, &all, &room->mask, sizeof(all));
	if (SYS4(prlimit64, 0, RLIMIT_NOFILE, &room->raised, &room->before) == 0) {
		room->is_raised = true;
		return;
	}
	SYS4(rt_sigprocmask, SIG_SETMASK, &room->mask, NULL, sizeof(all));
	atomic_flag_clear_explicit(&raising, memory_order_release);
}

static void leave_room(struct room *room)
{
	struct rlimit seen;

	if (!room->is_raised)
		return;
	if (SYS4(prlimit64, 0, RLIMIT_NOFILE, &room->before, &seen) == 0 &&
	    (seen.rlim_cur != room->raised.rlim_cur || seen.rlim_max != room->raised.rlim_max))
		SYS4(prlimit64, 0, RLIMIT_NOFILE, &seen, NULL); /* the program's word, meanwhile */
	SYS4(rt_sigprocmask, SIG_SETMASK, &room->mask, NULL, sizeof(room->mask));
	atomic_flag_clear_explicit(&raising, memory_order_release);
}

void descriptor_forked(void)
{
	atomic_flag_clear_explicit(&raising, memory_order_release);
}

static bool still_shows(int fd, const struct stat *file)
{
	struct stat now;

	return SYS2(fstat, fd, &now) == 0 && now.st_dev == file->st_dev &&
	       now.st_ino == file->st_ino;
}

static long duplicate(int fd, long from)
{
	return SYS3(fcntl, fd, F_DUPFD_CLOEXEC, from);
}

/* The best number there is; -errno when there is none but `fd`. */
static long find_number(int fd, const struct room *room)
{
	long limit = (long)room->before.rlim_cur;
	bool above = room->is_raised && limit > NUMBER_WANTED;
	long up = duplicate(fd, above ? limit : NUMBER_WANTED);

	/* The hard limit is below: take what is above the soft one, or high under it. */
	if (up < 0 && room->is_raised)
		up = duplicate(fd, limit);
	if (up < 0 && limit <= NUMBER_WANTED + SPARE)
		up = duplicate(fd, limit > 16 ? limit - 8 : limit / 2);
	return up;
}

/*
 * Whatever the limit, never a standard stream's number: a program that was started without one
 * writes there all the same, into our file.
 */
static int move_up(int fd, const struct room *room)
{
	struct stat file = {0};
	long up;

	SYS2(fstat, fd, &file);
	up = find_number(fd, room);
	if (up < 0 && fd > 2)
		return fd;
	if (up >= 0 && up < 3) {
		SYS1(close, up);
		up = -EMFILE;
	}
	if (up < 0)
		up = duplicate(fd, 3);
	/* Another thread may close all it does not know, and use the number anew. */
	if (still_shows(fd, &file))
		SYS1(close, fd);
	return (int)up;
}

int descriptor_open(const char *path, int flags, unsigned mode)
{
	struct room room;
	long fd;

	make_room(&room);
	if (!room.is_raised && room.before.rlim_cur < FEWEST)
		return -EMFILE;
	fd = SYS4(openat, AT_FDCWD, path, flags | O_CLOEXEC, mode);
	if (fd >= 0)
		fd = move_up((int)fd, &room);
	leave_room(&room);
	return (int)fd;
}

static bool is_same(const struct descriptor *descriptor, int fd)
{
	struct stat status;

	return fd >= 0 && SYS2(fstat, fd, &status) == 0 && status.st_dev == descriptor->device &&
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
	atomic_store_explicit(&descriptor->number, fd, memory_order_relaxed);
	return 0;
}

int descriptor_readopt(struct descriptor *descriptor, int fd)
{
	int stale = atomic_load_explicit(&descriptor->number, memory_order_relaxed);
	struct stat status;

	if (SYS2(fstat, fd, &status) < 0)
		return -EBADF;
	if (status.st_dev != descriptor->device || status.st_ino != descriptor->inode) {
		SYS1(close, fd);
		return -ESTALE;
	}
	if (stale == fd)
		return 0;
	/* Two threads may miss it at once: one number is enough. */
	if (is_same(descriptor, stale) ||
	    !atomic_compare_exchange_strong_explicit(&descriptor->number, &stale, fd,
						     memory_order_relaxed, memory_order_relaxed))
		SYS1(close, fd);
	return 0;
}

int descriptor_get(const struct descriptor *descriptor)
{
	int fd = atomic_load_explicit(&descriptor->number, memory_order_relaxed);

	return is_same(descriptor, fd) ? fd : -EBADF;
}

void descriptor_close(struct descriptor *descriptor)
{
	int fd = descriptor_get(descriptor);

	if (fd >= 0)
		SYS1(close, fd);
	atomic_store_explicit(&descriptor->number, -1, memory_order_relaxed);
}
