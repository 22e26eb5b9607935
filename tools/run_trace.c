#include "run_trace.h"

#include "say.h"

#include <memprof/trace.h>

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

_Static_assert(offsetof(struct trace_header, end_clock) == offsetof(struct trace_header, end) + 8,
	       "end, its status and its clock are written together");

/* Opens a regular file, never through a link, and reads its header. -EINVAL: not a trace. */
static int open_trace(const char *path, int flags, struct trace_header *header, struct stat *status)
{
	int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (fstat(fd, status) || !S_ISREG(status->st_mode) ||
	    pread(fd, header, sizeof(*header), 0) != (ssize_t)sizeof(*header) ||
	    header->magic != TRACE_MAGIC) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

static bool is_of_child(const struct trace_header *header, const struct child *child)
{
	return header->version == TRACE_VERSION && header->pid == (uint32_t)child->pid &&
	       (!header->process_start || !child->start || header->process_start == child->start);
}

/* Is its process still there? After an exec too: it may have more traces of that name to make. */
static bool is_being_written(const struct trace_header *header)
{
	if (header->version != TRACE_VERSION ||
	    (header->end != TRACE_END_NONE && header->end != TRACE_END_EXEC))
		return false;
	uint64_t start = child_start_time((pid_t)header->pid);
	return start && start == header->process_start;
}

static bool directory_is_ready(const char *pattern)
{
	char directory[PATH_MAX];
	const char *slash = strrchr(pattern, '/');
	int length = slash ? (int)(slash - pattern) : 0;
	snprintf(directory, sizeof(directory), "%.*s", length, pattern);
	if (strchr(directory, '%'))
		return true; /* known only to the process that is to write there */
	const char *name = slash ? (length ? directory : "/") : ".";
	struct stat status;
	if (!stat(name, &status) && !S_ISDIR(status.st_mode))
		errno = ENOTDIR;
	else if (!access(name, W_OK | X_OK))
		return true;
	say("cannot write traces into %s: %s: choose another place with --out",
	    slash ? name : "this directory", strerror(errno));
	return false;
}

/* Turns a pattern without names to fill in into a file name; false when it has such names. */
static bool plain_name(const char *pattern, char *name)
{
	size_t used = 0;
	for (; *pattern && used + 1 < PATH_MAX; pattern++) {
		if (*pattern == '%' && *++pattern != '%')
			return false;
		name[used++] = *pattern;
	}
	name[used] = '\0';
	return true;
}

static bool remove_old(const char *name)
{
	struct trace_header header;
	struct stat status;
	int fd = open_trace(name, O_RDONLY, &header, &status);
	if (fd == -ENOENT)
		return true;
	if (fd < 0) {
		say("%s exists and is not a memprof trace: it is left alone: choose another name "
		    "with --out",
		    name);
		return false;
	}
	close(fd);
	if (is_being_written(&header)) {
		say("%s is being written by process %u: choose another name with --out (%%p puts "
		    "the pid into it)",
		    name, header.pid);
		return false;
	}
	if (unlink(name)) {
		say("%s: cannot replace this old trace: %s", name, strerror(errno));
		return false;
	}
	return true;
}

static bool pattern_is_valid(const char *pattern)
{
	for (const char *at = pattern; (at = strchr(at, '%')); at++) {
		at++;
		if (*at == 'q' && at[1] == '{' && strchr(at, '}') > at + 2)
			at = strchr(at, '}');
		else if (!*at || !strchr("pehn%", *at)) {
			say("%s: not a name for traces: what may follow a %% is p, e, h, n, "
			    "q{VARIABLE} or another %%",
			    pattern);
			return false;
		}
	}
	return true;
}

bool run_trace_prepare(const char *pattern)
{
	char name[PATH_MAX];
	if (!pattern_is_valid(pattern))
		return false;
	if (!directory_is_ready(pattern))
		return false;
	return !plain_name(pattern, name) || remove_old(name);
}

/* Makes a glob(7) pattern of ours: the pid is known, every other name may be anything. */
static void glob_pattern(const char *pattern, pid_t pid, char *out, size_t bytes)
{
	size_t used = 0;
	for (; *pattern && used + 32 < bytes; pattern++) {
		if (*pattern != '%') {
			if (strchr("*?[\\", *pattern))
				out[used++] = '\\';
			out[used++] = *pattern;
			continue;
		}
		pattern++;
		if (*pattern == 'p') {
			used += (size_t)snprintf(out + used, bytes - used, "%ld", (long)pid);
		} else if (*pattern == '%') {
			out[used++] = '%';
		} else {
			const char *brace = *pattern == 'q' ? strchr(pattern, '}') : NULL;
			pattern = brace ? brace : pattern;
			out[used++] = '*';
		}
	}
	out[used] = '\0';
}

static void consider(const char *path, const struct child *child, struct run_trace *found)
{
	struct trace_header header;
	struct stat status;
	int fd = open_trace(path, O_RDONLY, &header, &status);
	if (fd < 0)
		return;
	close(fd);
	if (!is_of_child(&header, child) || strlen(path) >= sizeof(found->path) ||
	    (*found->path && header.start_realtime_ns <= found->started_ns))
		return;
	strcpy(found->path, path);
	found->bytes = (uint64_t)status.st_blocks * 512;
	found->end = header.end;
	found->started_ns = header.start_realtime_ns;
	found->flags = header.flags;
	found->events = header.end_events;
	found->blocks = header.end_blocks;
	found->peak_rss_bytes = header.peak_rss_bytes;
}

/* The name that the recorder tells, good wherever it is read; as it is where that is too long. */
static void make_absolute(struct run_trace *found)
{
	char path[PATH_MAX];
	if (*found->path == '/' || !getcwd(path, sizeof(path)))
		return;
	size_t used = strlen(path);
	if (used + 1 + strlen(found->path) >= sizeof(found->path))
		return;
	path[used] = '/';
	strcpy(path + used + 1, found->path);
	strcpy(found->path, path);
}

bool run_trace_find(const char *pattern, const struct child *child, struct run_trace *found)
{
	char wanted[2 * PATH_MAX];
	glob_t matches;
	memset(found, 0, sizeof(*found));
	glob_pattern(pattern, child->pid, wanted, sizeof(wanted) - 2);
	/* where a name is taken, the recorder puts a number before its suffix */
	char *base = strrchr(wanted, '/'), *suffix = strrchr(base ? base : wanted, '.');
	strcpy(suffix ? suffix : wanted + strlen(wanted), "*");
	if (glob(wanted, GLOB_NOSORT, NULL, &matches))
		return false;
	for (size_t i = 0; i < matches.gl_pathc; i++)
		consider(matches.gl_pathv[i], child, found);
	globfree(&matches);
	if (*found->path)
		make_absolute(found);
	return *found->path;
}

/* The trace's clock now. All processes of a machine read the same counter. */
static struct trace_clock clock_now(const struct trace_header *header)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	struct trace_clock clock = {.monotonic_ns =
					(uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec};
	uint64_t raw = clock.monotonic_ns;
#if defined(__x86_64__)
	if (header->clock_kind == TRACE_CLOCK_TSC)
		raw = __rdtsc();
#elif defined(__aarch64__)
	if (header->clock_kind == TRACE_CLOCK_CNTVCT)
		__asm__ volatile("mrs %0, cntvct_el0" : "=r"(raw));
#endif
	clock.tick = raw - header->start_tick_raw;
	return clock;
}

int run_trace_mark_end(const struct run_trace *trace, const struct child *child)
{
	struct trace_header header;
	struct stat status;
	int fd = open_trace(trace->path, O_RDWR, &header, &status);
	if (fd < 0)
		return fd;
	int error = 0;
	if (!is_of_child(&header, child)) {
		error = -EINVAL;
	} else if (header.end == TRACE_END_NONE) {
		struct {
			uint32_t end;
			int32_t status;
			struct trace_clock clock;
		} end = {TRACE_END_EXIT, WEXITSTATUS(child->status), clock_now(&header)};
		if (WIFSIGNALED(child->status)) {
			end.end = TRACE_END_SIGNAL;
			end.status = WTERMSIG(child->status);
		}
		_Static_assert(sizeof(end) == 24, "as in struct trace_header");
		if (pwrite(fd, &end, sizeof(end), offsetof(struct trace_header, end)) !=
		    (ssize_t)sizeof(end))
			error = errno ? -errno : -EIO;
	}
	close(fd);
	return error;
}
