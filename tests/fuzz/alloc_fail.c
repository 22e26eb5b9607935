/*
 * A preload that fails each allocation of a program in turn and judges what the program makes of
 * it:
 *
 *     LD_PRELOAD=liballoc_fail.so memprof-report trace.bin
 *
 * Before main the process becomes the judge: it lets a copy of itself run to the end to learn which
 * allocations there are and what the output is, then one copy for each, in which that allocation
 * (and in a second copy all from it on) fails. Each must end with the same output and status as the
 * undisturbed one, or with one line on stderr and status 2. Allocations that were reached by the
 * same calls as an earlier one are left out, unless ALLOC_FAIL_ALL is set.
 *
 * The judge prints a line for each that did not, and exits with 1 then.
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <malloc.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALLOCATIONS_MAX (1 << 20)
#define OUTPUT_MAX	(4 << 20)
#define CALLS_MAX	24 /* of a stack that are told apart */
#define SECONDS_MAX	20 /* a copy may take */
#define SHOWN_MAX	12

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

/* Shared by the judge and its copies. */
struct board {
	uint32_t count;			 /* allocations of the undisturbed run */
	uint64_t calls[ALLOCATIONS_MAX]; /* hash of the stack of each */
};

static struct board *board;
static uint32_t number; /* of the last allocation, from 1 */
static uint32_t fails;	/* the one to fail; 0: none, and learn */
static bool lasting;	/* all from it on */
static bool active, within;

static void learn(void)
{
	void *calls[CALLS_MAX];
	uint64_t hash = 0;
	int count;

	if (within || number >= ALLOCATIONS_MAX)
		return;
	within = true;
	count = backtrace(calls, CALLS_MAX);
	for (int i = 1; i < count; i++)
		hash = (hash ^ (uintptr_t)calls[i]) * 0x9e3779b97f4a7c15ULL;
	board->calls[number] = hash;
	board->count = number;
	within = false;
}

static bool denied(void)
{
	if (!active || within)
		return false;
	number++;
	if (fails == 0)
		learn();
	if (fails == 0 || number < fails || (number > fails && !lasting))
		return false;
	if (number == fails && getenv("ALLOC_FAIL_SHOW")) {
		void *calls[CALLS_MAX];

		within = true;
		backtrace_symbols_fd(calls, backtrace(calls, CALLS_MAX), STDERR_FILENO);
		within = false;
	}
	errno = ENOMEM;
	return true;
}

void *malloc(size_t bytes)
{
	return denied() ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
	return denied() ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *block, size_t bytes)
{
	return denied() ? NULL : __libc_realloc(block, bytes);
}

void *memalign(size_t alignment, size_t bytes)
{
	return denied() ? NULL : __libc_memalign(alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
	return memalign(alignment, bytes);
}

int posix_memalign(void **block, size_t alignment, size_t bytes)
{
	*block = memalign(alignment, bytes);
	return *block ? 0 : ENOMEM;
}

/* ---- the judge ---- */

struct result {
	int status;
	size_t out_bytes, err_bytes;
	char *out, *err;
};

static void collect(int fd, char **text, size_t *bytes)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || st.st_size > OUTPUT_MAX)
		exit(2);
	*bytes = (size_t)st.st_size;
	*text = __libc_malloc(*bytes + 1);
	if (pread(fd, *text, *bytes, 0) != (ssize_t)*bytes)
		exit(2);
	(*text)[*bytes] = '\0';
	close(fd);
}

/* Returns false in the copy, which is to go on to main. */
static bool run_copy(uint32_t which, bool from_there_on, struct result *result)
{
	int out = memfd_create("out", MFD_CLOEXEC), err = memfd_create("err", MFD_CLOEXEC);
	pid_t pid = fork();

	if (pid == 0) {
		dup2(out, STDOUT_FILENO);
		dup2(err, STDERR_FILENO);
		alarm(SECONDS_MAX);
		fails = which;
		lasting = from_there_on;
		active = true;
		return false;
	}
	if (pid < 0 || waitpid(pid, &result->status, 0) != pid)
		exit(2);
	collect(out, &result->out, &result->out_bytes);
	collect(err, &result->err, &result->err_bytes);
	return true;
}

static const char *judge(const struct result *got, const struct result *whole)
{
	const char *line = strchr(got->err, '\n');

	if (WIFSIGNALED(got->status))
		return WTERMSIG(got->status) == SIGALRM ? "hangs" : "crashes";
	if (WEXITSTATUS(got->status) == WEXITSTATUS(whole->status)) {
		if (got->out_bytes != whole->out_bytes ||
		    memcmp(got->out, whole->out, whole->out_bytes) != 0)
			return "another output, and nothing said";
		return strcmp(got->err, whole->err) == 0 ? NULL : "another message";
	}
	if (WEXITSTATUS(got->status) != 2)
		return "another status";
	if (line == NULL)
		return "nothing said";
	if (line[1] != '\0' || strncmp(got->err, "memprof-", 8) != 0)
		return "not one line of ours";
	return strstr(got->err, "memory") ? NULL : "the reason is not said";
}

static bool seen_before(uint32_t which)
{
	for (uint32_t i = 1; i < which; i++)
		if (board->calls[i] == board->calls[which])
			return true;
	return false;
}

static void release(struct result *result)
{
	free(result->out);
	free(result->err);
}

/* Returns false in a copy. */
static bool judge_all(int *status)
{
	struct result whole, got;
	uint32_t tried = 0, wrong = 0;

	if (!run_copy(0, false, &whole))
		return false;
	for (uint32_t i = 1; i <= board->count; i++) {
		if (!getenv("ALLOC_FAIL_ALL") && seen_before(i))
			continue;
		tried++;
		for (int kind = 0; kind < 2; kind++) {
			const char *what;

			if (!run_copy(i, kind == 1, &got))
				return false;
			what = judge(&got, &whole);
			if (what && wrong++ < SHOWN_MAX)
				printf("allocation %u%s: %s (status %d): %s\n", i,
				       kind ? " and all later" : "", what, got.status, got.err);
			release(&got);
		}
	}
	printf("%u allocations, %u by different calls, each failed alone and with all later: %u "
	       "wrong\n",
	       board->count, tried, wrong);
	fflush(stdout);
	release(&whole);
	*status = wrong != 0 || board->count < 20;
	return true;
}

__attribute__((constructor)) static void start(void)
{
	void *calls[1];
	const char *only = getenv("ALLOC_FAIL_ONLY");
	int status;

	unsetenv("LD_PRELOAD");
	backtrace(calls, 1); /* loads what it needs */
	board =
	    mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED)
		_exit(2);
	if (only) { /* one failure, in place, for a debugger */
		fails = (uint32_t)atoi(only);
		lasting = getenv("ALLOC_FAIL_LASTING") != NULL;
		active = true;
	} else if (judge_all(&status)) {
		_exit(status);
	}
}
