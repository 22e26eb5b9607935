/*
 * A program that changes its house half-way: works, does what argv[1] says with argv[2], works on,
 * starts a thread that works too, and prints its truth on stdout. The second half is more than the
 * rings hold, so the recorder has to write there and then.
 */
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "truth.h"

static void work(int calls)
{
	static __thread void *kept[64];

	for (int i = 0; i < calls; i++) {
		truth_free(kept[i % 64], 100);
		kept[i % 64] = truth_malloc(100);
	}
	for (int i = 0; i < 64; i++) {
		truth_free(kept[i], 100);
		kept[i] = NULL;
	}
}

/* What was only for a while is over in the middle of it. */
static void *work_in_thread(void *memory)
{
	struct rlimit limit;

	work(20000);
	TRUTH_REQUIRE(getrlimit(RLIMIT_FSIZE, &limit) == 0);
	limit.rlim_cur = limit.rlim_max;
	TRUTH_REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	work(40000);
	*(struct truth *)memory = truth;
	return NULL;
}

static void limit(int resource, rlim_t value)
{
	struct rlimit both = {value, value};

	TRUTH_REQUIRE(setrlimit(resource, &both) == 0);
}

static void change_root(const char *path)
{
	TRUTH_REQUIRE(chroot(path) == 0 && chdir("/") == 0);
}

static void drop_root(const char *path)
{
	(void)path;
	TRUTH_REQUIRE(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
}

static void change_directory(const char *path)
{
	TRUTH_REQUIRE(chdir(path) == 0);
}

static void close_all(const char *path)
{
	(void)path;
	TRUTH_REQUIRE(syscall(SYS_close_range, 3U, ~0U, 0U) == 0);
}

/* Removes the trace, and puts a file of its own there. */
static void unlink_it(const char *path)
{
	int fd;

	TRUTH_REQUIRE(unlink(path) == 0);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	TRUTH_REQUIRE(fd >= 0 && write(fd, "mine\n", 5) == 5);
	close(fd);
}

static void unlink_and_close(const char *path)
{
	unlink_it(path);
	close_all(path);
}

static void chroot_and_close(const char *path)
{
	change_root(path);
	close_all(path);
}

static void change_directory_and_close(const char *path)
{
	change_directory(path);
	close_all(path);
}

/* As servers do with what talks to strangers: nothing to open, to write to, or to be. */
static void lock_in(const char *path)
{
	change_root(path);
	drop_root(path);
	limit(RLIMIT_NOFILE, 0);
	limit(RLIMIT_FSIZE, 0);
}

static void drop_and_close(const char *path)
{
	drop_root(path);
	close_all(path);
}

static void limit_file_size(const char *bytes)
{
	limit(RLIMIT_FSIZE, (rlim_t)atoll(bytes));
}

static void limit_file_size_for_a_while(const char *bytes)
{
	struct rlimit limit = {(rlim_t)atoll(bytes), RLIM_INFINITY};

	TRUTH_REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void limit_descriptors(const char *count)
{
	limit(RLIMIT_NOFILE, (rlim_t)atoll(count));
}

static void limit_memory(const char *bytes)
{
	limit(RLIMIT_AS, (rlim_t)atoll(bytes));
}

/* As for a service that may not see other processes, or any. */
static void hide_proc(const char *path)
{
	(void)path;
	TRUTH_REQUIRE(unshare(CLONE_NEWNS) == 0);
	TRUTH_REQUIRE(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	TRUTH_REQUIRE(mount("none", "/proc", "tmpfs", 0, NULL) == 0);
}

static void nothing(const char *path)
{
	(void)path;
}

static const struct {
	const char *name;
	void (*change)(const char *argument);
} changes[] = {
    {"nothing", nothing},
    {"chroot", change_root},
    {"drop", drop_root},
    {"chdir", change_directory},
    {"chdir_and_close", change_directory_and_close},
    {"lock_in", lock_in},
    {"close", close_all},
    {"unlink", unlink_it},
    {"unlink_and_close", unlink_and_close},
    {"chroot_and_close", chroot_and_close},
    {"drop_and_close", drop_and_close},
    {"fsize", limit_file_size},
    {"fsize_for_a_while", limit_file_size_for_a_while},
    {"nofile", limit_descriptors},
    {"memory", limit_memory},
    {"hide_proc", hide_proc},
};

int main(int argc, char **argv)
{
	struct truth other = {0};
	pthread_t thread;
	int threads = 0;

	TRUTH_REQUIRE(argc == 3);
	work(30000);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		if (strcmp(argv[1], changes[i].name) == 0) {
			changes[i].change(argv[2]);
			threads++;
		}
	TRUTH_REQUIRE(threads == 1);
	work(60000);
	TRUTH_REQUIRE(pthread_create(&thread, NULL, work_in_thread, &other) == 0);
	pthread_join(thread, NULL);
	truth_add(&truth, &other);
	truth_print(1, &truth);
	return 0;
}
