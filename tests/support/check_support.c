#include "check_support.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define THREADS_MAX 64

char support_folder[PATH_MAX];

void support_enter(void)
{
	const char *parent = getenv("TMPDIR");

	snprintf(support_folder, sizeof(support_folder), "%s/memprof-test-XXXXXX",
		 parent ? parent : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(support_folder));
	ck_assert_int_eq(chdir(support_folder), 0);
}

void support_leave(void)
{
	char command[PATH_MAX + 32];

	snprintf(command, sizeof(command), "rm -rf '%s'", support_folder);
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(system(command), 0);
}

uint8_t *support_read(const char *path, size_t *bytes)
{
	int fd = open(path, O_RDONLY);
	struct stat status;
	uint8_t *content;

	ck_assert_msg(fd >= 0, "%s cannot be opened", path);
	ck_assert_int_eq(fstat(fd, &status), 0);
	*bytes = (size_t)status.st_size;
	content = malloc(*bytes + 1);
	ck_assert_ptr_nonnull(content);
	ck_assert_int_eq(pread(fd, content, *bytes, 0), status.st_size);
	content[*bytes] = 0;
	close(fd);
	return content;
}

void support_write(const char *path, const void *content, size_t bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, content, bytes), (ssize_t)bytes);
	close(fd);
}

struct support_thread {
	pthread_t id;
	pthread_barrier_t *start;
	void (*run)(unsigned number);
	unsigned number;
};

static void *thread_main(void *memory)
{
	struct support_thread *thread = memory;

	pthread_barrier_wait(thread->start);
	thread->run(thread->number);
	return NULL;
}

void support_threads(unsigned count, void (*run)(unsigned number))
{
	struct support_thread threads[THREADS_MAX];
	pthread_barrier_t start;

	ck_assert_uint_le(count, THREADS_MAX);
	pthread_barrier_init(&start, NULL, count);
	for (unsigned i = 0; i < count; i++) {
		threads[i] = (struct support_thread){.start = &start, .run = run, .number = i};
		ck_assert_int_eq(pthread_create(&threads[i].id, NULL, thread_main, &threads[i]), 0);
	}
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i].id, NULL);
	pthread_barrier_destroy(&start);
}

uint64_t support_start_time(void)
{
	char stat[1024] = "", *at;
	FILE *file = fopen("/proc/self/stat", "r");
	size_t n = fread(stat, 1, sizeof(stat) - 1, file);

	fclose(file);
	ck_assert_uint_gt(n, 0);
	at = strrchr(stat, ')') + 2;
	for (int field = 3; field < 22; field++)
		at = strchr(at, ' ') + 1;
	return strtoull(at, NULL, 10);
}

int support_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
