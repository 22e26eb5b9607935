#include "process.h"

#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "log.h"
#include "sys.h"

/* As many bytes as there are, at most `bytes`; 0 when the file cannot be read. */
static size_t read_file(const char *path, char *buffer, size_t bytes)
{
	long fd = SYS4(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	size_t used = 0;
	long got = 1;

	if (fd < 0)
		return 0;
	while (used < bytes && got > 0) {
		got = SYS3(read, fd, buffer + used, bytes - used);
		if (got > 0)
			used += (size_t)got;
	}
	SYS1(close, fd);
	return used;
}

/* The name in field 2 may hold anything, so count fields after its last ')' (proc_pid_stat(5)). */
static uint64_t parse_start(char *stat, size_t bytes)
{
	uint64_t start = 0;
	char *at;

	stat[bytes] = 0;
	at = strrchr(stat, ')');
	for (unsigned field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (!at)
		return 0;
	for (at++; *at >= '0' && *at <= '9'; at++)
		start = start * 10 + (uint64_t)(*at - '0');
	return start;
}

uint64_t process_start(pid_t pid)
{
	char path[32], stat[1024];
	struct text text;
	size_t bytes;

	text_init(&text, path, sizeof(path));
	text_add(&text, "/proc/");
	text_add_number(&text, (uint64_t)pid);
	text_add(&text, "/stat");
	text_end(&text, path);
	bytes = read_file(path, stat, sizeof(stat) - 1);
	return bytes ? parse_start(stat, bytes) : 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/*
 * redis-server may be a link to redis-check-rdb: people know the program by the name they called,
 * unless that is a script, which runs an interpreter.
 */
static const char *known_name(const char *exe)
{
	const char *called = (const char *)getauxval(AT_EXECFN);
	struct stat a, b;

	if (called && SYS4(newfstatat, AT_FDCWD, called, &a, 0) == 0 &&
	    SYS4(newfstatat, AT_FDCWD, "/proc/self/exe", &b, 0) == 0 && a.st_dev == b.st_dev &&
	    a.st_ino == b.st_ino)
		return base_name(called);
	return base_name(exe);
}

/* The name the program was called by, made absolute as far as the working directory is known. */
static void exe_without_proc(struct process *process)
{
	const char *called = (const char *)getauxval(AT_EXECFN);
	struct text text;
	long got = 0;

	text_init(&text, process->exe, sizeof(process->exe));
	if (called && called[0] != '/')
		got = SYS2(getcwd, process->exe, sizeof(process->exe) - 1);
	if (got > 1 && process->exe[0] == '/') {
		text.at += got - 1;
		text_add(&text, "/");
	}
	text_add(&text, called ? called : "");
	text_end(&text, process->exe);
}

void process_read(struct process *process)
{
	struct utsname names;
	struct text name;
	size_t bytes;
	long got;

	process->pid = (pid_t)SYS0(getpid);
	process->parent = (pid_t)SYS0(getppid);
	process->start = process_start(process->pid);
	got = SYS4(readlinkat, AT_FDCWD, "/proc/self/exe", process->exe, sizeof(process->exe) - 1);
	if (got > 0)
		process->exe[got] = 0;
	else if (!process->exe[0])
		exe_without_proc(process);
	text_init(&name, process->name, sizeof(process->name));
	text_add(&name, known_name(process->exe));
	text_end(&name, process->name);
	got = SYS2(getcwd, process->cwd, sizeof(process->cwd));
	if (got <= 0)
		process->cwd[0] = 0;
	if (!process->first_cwd[0])
		memcpy(process->first_cwd, process->cwd, sizeof(process->first_cwd));
	process->host[0] = 0;
	if (SYS1(uname, &names) == 0)
		memcpy(process->host, names.nodename, sizeof(process->host));
	bytes = read_file("/proc/self/cmdline", process->cmdline, sizeof(process->cmdline));
	if (bytes)
		process->cmdline_bytes = bytes;
}

bool process_is_recorded(pid_t pid)
{
	static const char wanted[] = "/libmemprof.so";
	char path[32], maps[2048 + sizeof(wanted)];
	struct text text;
	size_t kept = 0;
	bool found = false;
	long fd, got;

	text_init(&text, path, sizeof(path));
	text_add(&text, "/proc/");
	text_add_number(&text, (uint64_t)pid);
	text_add(&text, "/maps");
	text_end(&text, path);
	fd = SYS4(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	while (!found && (got = SYS3(read, fd, maps + kept, sizeof(maps) - kept)) > 0) {
		found = memmem(maps, kept + (size_t)got, wanted, sizeof(wanted) - 1);
		/* The name may lie across two reads. */
		kept += (size_t)got;
		got = (long)(kept < sizeof(wanted) ? kept : sizeof(wanted));
		memmove(maps, maps + kept - (size_t)got, (size_t)got);
		kept = (size_t)got;
	}
	SYS1(close, fd);
	return found;
}
