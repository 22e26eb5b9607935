#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "log.h"
#include "sys.h"
#include "trace_file.h"

#define TRIES_MAX 10000

struct name {
	char path[PATH_MAX];
	bool has_pid;
	bool has_number;
};

/* A value must not add directories to the path. */
static void add_value(struct text *text, const char *value)
{
	for (; *value; value++)
		text_add_bytes(text, *value == '/' ? "_" : value, 1);
}

/* %q{VAR}; returns what follows it, or NULL when it is not well formed. */
static const char *add_variable(struct text *text, const char *pattern)
{
	char variable[128];
	const char *close = *pattern == '{' ? strchr(pattern, '}') : NULL;
	size_t length = close ? (size_t)(close - pattern - 1) : 0;
	const char *value;

	if (!length || length >= sizeof(variable))
		return NULL;
	memcpy(variable, pattern + 1, length);
	variable[length] = 0;
	value = getenv(variable);
	add_value(text, value ? value : "");
	return close + 1;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool expand(struct name *name, const char *pattern, const struct process *process,
		   unsigned number)
{
	struct text text;

	text_init(&text, name->path, sizeof(name->path));
	/* A child may have gone elsewhere (daemon): its trace belongs beside its parent's. */
	if (pattern[0] != '/' && process->first_cwd[0] == '/' &&
	    strcmp(process->first_cwd, process->cwd) != 0) {
		text_add(&text, process->first_cwd);
		text_add(&text, "/");
	}
	for (; pattern && *pattern; pattern++) {
		if (*pattern != '%') {
			text_add_bytes(&text, pattern, 1);
			continue;
		}
		switch (*++pattern) {
		case 'p':
			text_add_number(&text, (uint64_t)process->pid);
			name->has_pid = true;
			break;
		case 'e':
			add_value(&text, *process->name ? process->name : "unknown");
			break;
		case 'h':
			add_value(&text, process->host);
			break;
		case 'n':
			text_add_number(&text, number);
			name->has_number = true;
			break;
		case 'q':
			pattern = add_variable(&text, pattern + 1);
			if (!pattern)
				return false;
			pattern--;
			break;
		case '%':
			text_add(&text, "%");
			break;
		default:
			return false;
		}
	}
	return text.at < text.end && text_end(&text, name->path) > 0;
}

/* Puts ".number" before the suffix of the last part of the path. */
static bool insert_number(char *path, uint64_t number)
{
	char digits[24];
	struct text text;
	char *dot = strrchr(base_name(path), '.');
	char *at = dot && dot != base_name(path) ? dot : path + strlen(path);
	size_t length;

	text_init(&text, digits, sizeof(digits));
	text_add(&text, ".");
	text_add_number(&text, number);
	length = text_end(&text, digits);
	if (strlen(path) + length >= PATH_MAX)
		return false;
	memmove(at + length, at, strlen(at) + 1);
	memcpy(at, digits, length);
	return true;
}

/* Whether `path` is a regular file of this user that begins like a trace; its header and time. */
static bool is_trace(const char *path, struct trace_header *header, struct timespec *changed)
{
	struct stat status;
	long fd = SYS4(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	bool yes;

	if (fd < 0)
		return false;
	yes = SYS2(fstat, fd, &status) == 0 && S_ISREG(status.st_mode) &&
	      status.st_uid == (uid_t)SYS0(geteuid) &&
	      SYS4(pread64, fd, header, sizeof(*header), 0) == sizeof(*header) &&
	      header->magic == TRACE_MAGIC;
	SYS1(close, fd);
	*changed = status.st_mtim;
	return yes;
}

/*
 * When the process began, on the clock of file times; to the clock tick (10 ms) before. Earlier
 * still if we are interrupted between the clocks, never later: what was written since must not look
 * older.
 */
static double start_realtime(const struct process *process)
{
	struct timespec boot, real;

	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return (double)real.tv_sec + (double)real.tv_nsec * 1e-9 - (double)boot.tv_sec -
	       (double)boot.tv_nsec * 1e-9 + (double)process->start / 100.0;
}

/*
 * Whether an old trace may make room: its process is gone, and it cannot be an ancestor of ours
 * that we would rob of its recording: either the same parent started both, one after the other, or
 * it was last written before our process began.
 */
static bool is_stale(const struct trace_header *old, const struct timespec *changed,
		     const struct process *process)
{
	if (old->pid == (uint32_t)process->pid && old->process_start == process->start)
		return false;
	if (old->process_start && process_start((pid_t)old->pid) == old->process_start)
		return false;
	if (old->parent_pid == (uint32_t)process->parent)
		return true;
	return (double)changed->tv_sec + (double)changed->tv_nsec * 1e-9 < start_realtime(process);
}

static int explain(int result, const char *path, char *error, size_t bytes)
{
	struct text text;

	text_init(&text, error, bytes);
	text_add(&text, "cannot write ");
	text_add_printable(&text, path);
	text_add(&text, result == -EEXIST   ? ": a file that is no memprof trace is there"
			: result == -ENOSPC ? ": no space left on the device"
			: result == -EACCES ? ": permission denied"
			: result == -ENOENT ? ": no such directory"
			: result == -EROFS  ? ": read-only file system"
			: result == -EMFILE
			    ? ": the limit of descriptors (ulimit -n) is reached or very low"
			: result == -EFBIG ? ": the limit of file sizes (ulimit -f) is below it"
					   : ": the system refuses");
	text_add(&text, ": recording is off; set MEMPROF_OUT to a path that can be written");
	text_end(&text, error);
	return result;
}

/* The name without number is taken by a trace of this run: the pid or a number makes it ours. */
static int create_beside(const struct name *name, const struct process *process,
			 const struct trace_header *fixed)
{
	static struct name other; /* stacks may have 16 KiB */
	int result = -EEXIST;

	for (unsigned i = 0; i < TRIES_MAX && result == -EEXIST; i++) {
		other = *name;
		if (!name->has_pid && !insert_number(other.path, (uint64_t)process->pid))
			return -ENAMETOOLONG;
		if ((i || name->has_pid) && !insert_number(other.path, i + 1))
			return -ENAMETOOLONG;
		result = trace_file_create(other.path, fixed);
	}
	return result;
}

static int create_over(const struct name *name, const struct process *process, bool forked,
		       const struct trace_header *fixed)
{
	struct trace_header old;
	struct timespec changed;

	if (!is_trace(name->path, &old, &changed))
		return -EEXIST;
	if (forked || !is_stale(&old, &changed, process))
		return create_beside(name, process, fixed);
	SYS3(unlinkat, AT_FDCWD, name->path, 0);
	return trace_file_create(name->path, fixed);
}

int output_create(const char *pattern, const struct process *process, bool forked,
		  const struct trace_header *fixed, char *error, size_t error_bytes)
{
	static struct name name; /* stacks may have 16 KiB */
	struct text text;
	int result;

	memset(&name, 0, sizeof(name));
	for (unsigned number = 0; number < TRIES_MAX; number++) {
		if (!expand(&name, pattern, process, number)) {
			text_init(&text, error, error_bytes);
			text_add(&text, "MEMPROF_OUT=");
			text_add_printable(&text, pattern);
			text_add(&text, ": not valid: use %p %e %h %n %q{VAR} %%, and a path "
					"that is not too long: recording is off");
			text_end(&text, error);
			return -EINVAL;
		}
		result = trace_file_create(name.path, fixed);
		if (result != -EEXIST || !name.has_number)
			break;
	}
	if (result == -EEXIST && !name.has_number)
		result = create_over(&name, process, forked, fixed);
	return result < 0 ? explain(result, name.path, error, error_bytes) : 0;
}
