/*
 * Descriptors taken while other threads are at work. Arguments: how, a file to be the program's
 * own, seconds.
 *
 * "dup": one thread puts the own file in the place of every number it may, over and over, while
 * four allocate. "close": it closes, one at a time, whatever descriptor shows the directory given
 * instead of the file (the trace's), which several threads then miss at once; "left" in the truth
 * tells how many there are when all is over.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>

#include "truth.h"

#define WORKERS 4

static struct truth sums[WORKERS];
static atomic_bool over;
static const char *where;

static void *work(void *memory)
{
	void *kept[64] = {NULL};

	while (!atomic_load(&over))
		for (int i = 0; i < 1000; i++) {
			truth_free(kept[i % 64], 100);
			kept[i % 64] = truth_malloc(100);
		}
	for (int i = 0; i < 64; i++)
		truth_free(kept[i], 100);
	*(struct truth *)memory = truth;
	return NULL;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void take_all(int own)
{
	struct rlimit limit;

	TRUTH_REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	for (int fd = 3; fd < (int)limit.rlim_cur; fd++)
		if (fd != own)
			dup2(own, fd);
}

static int shows(int fd)
{
	char link[64], target[512];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, target, sizeof(target) - 1);
	if (length <= 0)
		return 0;
	target[length] = 0;
	return strncmp(target, where, strlen(where)) == 0;
}

/* How many there are; with `find_one` the highest, or 0. */
static int count_them(int find_one)
{
	int count = 0;

	for (int fd = 1400; fd >= 3; fd--)
		if (fcntl(fd, F_GETFD) != -1 && shows(fd)) {
			count++;
			if (find_one)
				return fd;
		}
	return count;
}

/* The number they will have again, until there are two of them: then one too many stays. */
static void close_often(int fd)
{
	for (int i = 0; fd && i < 500; i++) {
		close(fd);
		for (volatile int pause = 0; pause < 20000; pause++)
			continue;
	}
}

int main(int argc, char **argv)
{
	pthread_t threads[WORKERS];
	struct truth all = {0};
	double end = now();
	int own = -1;

	TRUTH_REQUIRE(argc == 4);
	end += strtod(argv[3], NULL);
	where = argv[2];
	if (strcmp(argv[1], "dup") == 0) {
		own = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0600);
		TRUTH_REQUIRE(own >= 0 && write(own, "mine\n", 5) == 5);
	}
	for (int i = 0; i < WORKERS; i++)
		TRUTH_REQUIRE(pthread_create(&threads[i], NULL, work, &sums[i]) == 0);
	while (now() < end) {
		if (own >= 0)
			take_all(own);
		else
			close_often(count_them(1));
	}
	atomic_store(&over, 1);
	for (int i = 0; i < WORKERS; i++) {
		pthread_join(threads[i], NULL);
		truth_add(&all, &sums[i]);
	}
	all.peak_bytes = (uint64_t)WORKERS * 64 * 100;
	truth_note(",\"left\":%d", own >= 0 ? 0 : count_them(0));
	truth_print(1, &all);
	return 0;
}
