/*
 * What a program can see of its house. Prints, for a run with the recorder and one without to be
 * compared, one line of JSON: threads, children, signal handlers and mask, the lowest free
 * descriptor, the descriptors that are open, whether errno outlives the allocator's calls.
 * With "close" it then closes every descriptor, with "reopen" or "fill" it puts a file of its own,
 * argv[3], in their place, works on, and prints the truth into argv[2]. The program's files must
 * hold what the program wrote and nothing else.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "truth.h"

#define LIMIT 4096 /* descriptors looked at */

/* Entries of a directory of /proc, without opendir, which allocates. */
static int entries(const char *directory)
{
	static char buffer[65536];
	int fd = open(directory, O_RDONLY | O_DIRECTORY), count = 0;
	long length;

	TRUTH_REQUIRE(fd >= 0);
	while ((length = syscall(SYS_getdents64, fd, buffer, sizeof(buffer))) > 0)
		for (long at = 0; at < length; count++)
			at += *(unsigned short *)(buffer + at + 16);
	close(fd);
	return count - 2; /* . and .. */
}

static int errno_survives(void)
{
	void *block;

	errno = 77;
	block = malloc(100);
	free(block);
	if (errno != 77)
		return 0;
	block = realloc(malloc(10), 1 << 20);
	free(block);
	if (errno != 77)
		return 0;
	free(NULL);
	for (int i = 0; i < 20000; i++) /* past a flush or two */
		free(malloc(64));
	return errno == 77;
}

static unsigned long handlers(void)
{
	unsigned long set = 0;
	struct sigaction action;

	for (int number = 1; number < 64; number++)
		if (!sigaction(number, NULL, &action) && action.sa_handler != SIG_DFL)
			set |= 1UL << number;
	return set;
}

static void look(void)
{
	static char line[32768];
	int errno_kept = errno_survives();
	int length, lowest = open("/dev/null", O_RDONLY);
	unsigned long mask = 0;

	close(lowest);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &mask, 8);
	length =
	    snprintf(line, sizeof(line),
		     "{\"errno\":%d,\"tasks\":%d,\"children\":%d,\"handlers\":%lu,"
		     "\"mask\":%lu,\"lowest\":%d,\"fds\":[",
		     errno_kept, entries("/proc/self/task"),
		     waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD, handlers(), mask, lowest);
	for (int fd = 0, first = 1; fd < LIMIT; fd++)
		if (fcntl(fd, F_GETFD) != -1) {
			length += snprintf(line + length, sizeof(line) - (size_t)length, "%s%d",
					   first ? "" : ",", fd);
			first = 0;
		}
	length += snprintf(line + length, sizeof(line) - (size_t)length, "]}\n");
	TRUTH_REQUIRE(write(1, line, (size_t)length) == length);
}

static void work(int calls)
{
	static void *kept[64];

	for (int i = 0; i < calls; i++) {
		truth_free(kept[i % 64], 100);
		kept[i % 64] = truth_malloc(100);
	}
}

/*
 * Puts its own file in the place of every open descriptor but `keep` and of all low ones; with
 * `fill` in that of every descriptor there can be.
 */
static void take_over(const char *path, int keep, int fill)
{
	struct rlimit limit = {LIMIT, LIMIT};
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	TRUTH_REQUIRE(fd >= 0);
	if (fill)
		TRUTH_REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	for (int other = 3; other < LIMIT; other++)
		if (other != fd && other != keep &&
		    (fill || other < 200 || fcntl(other, F_GETFD) != -1))
			dup2(fd, other);
	TRUTH_REQUIRE(write(fd, "mine\n", 5) == 5);
}

int main(int argc, char **argv)
{
	int fd;

	if (argc == 1) {
		look();
		return 0;
	}
	work(50000);
	if (strcmp(argv[1], "close") == 0)
		TRUTH_REQUIRE(syscall(SYS_close_range, 0U, ~0U, 0U) == 0);
	fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0600);
	TRUTH_REQUIRE(fd >= 0);
	if (strcmp(argv[1], "close"))
		take_over(argv[3], fd, strcmp(argv[1], "fill") == 0);
	work(200000);
	truth_print(fd, &truth);
	return 0;
}
