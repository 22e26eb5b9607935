/*
 * Finding a program and telling from its file what would keep the recorder out: a static or 32-bit
 * executable, another machine's, privileges that make ld.so ignore LD_PRELOAD (AT_SECURE, see
 * ld.so(8)), another libc, or a sanitizer that has malloc for itself.
 */
#include "program.h"

#include "elf_look.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SCRIPT_LEVELS 5 /* the kernel's own limit is 5 interpreters, execve(2) */

static bool is_executable(const char *path)
{
	struct stat status;
	if (stat(path, &status))
		return false;
	if (S_ISDIR(status.st_mode)) {
		errno = EISDIR;
		return false;
	}
	return access(path, X_OK) == 0;
}

/* Searches PATH; an unusable match is remembered, as execvp(3) does, while the search goes on. */
static int search_path(const char *name, char *path)
{
	const char *directories = getenv("PATH");
	int error = ENOENT;
	if (!directories)
		directories = "/bin:/usr/bin";
	for (const char *at = directories;; at++) {
		size_t length = strcspn(at, ":");
		int used =
		    snprintf(path, PATH_MAX, "%.*s%s%s", (int)length, at, length ? "/" : "", name);
		if (used < PATH_MAX && is_executable(path))
			return 0;
		if (errno == EACCES || errno == EISDIR)
			error = EACCES;
		at += length;
		if (!*at)
			return -error;
	}
}

int program_find(const char *name, char *path)
{
	if (!*name)
		return -ENOENT;
	if (!strchr(name, '/'))
		return search_path(name, path);
	if (snprintf(path, PATH_MAX, "%s", name) >= PATH_MAX)
		return -ENAMETOOLONG;
	return is_executable(path) ? 0 : -errno;
}

/* Will the kernel start it in secure mode? Root running root's file is not: nothing changes. */
static bool gains_privileges(const char *path)
{
	struct stat status;
	struct statvfs filesystem;
	if (stat(path, &status) || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return false;
	if (!statvfs(path, &filesystem) && (filesystem.f_flag & ST_NOSUID))
		return false;
	if ((status.st_mode & S_ISUID) && status.st_uid != getuid())
		return true;
	if ((status.st_mode & S_ISGID) && (status.st_mode & S_IXGRP) && status.st_gid != getgid())
		return true;
	return getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0;
}

static enum program_verdict refuse(const char *name, const char *why)
{
	say("%s %s", name, why);
	return PROGRAM_REFUSED;
}

static enum program_verdict judge_elf(const char *name, const struct elf_look *look)
{
	char why[256];
	if (look->bits == 32)
		return refuse(name,
			      "is a 32-bit program: the recorder is 64-bit and cannot be loaded "
			      "into it: build the program for 64 bits");
	if (!look->same_machine)
		return refuse(name, "is for another kind of machine: run memprof on that machine");
	if (look->is_static)
		return refuse(name,
			      "is statically linked: LD_PRELOAD has no effect on it, so nothing "
			      "can be recorded: link it dynamically");
	if (strstr(look->interpreter, "ld-musl"))
		return refuse(name, "uses musl: the recorder is built for glibc: build the program "
				    "against glibc");
	if (*look->sanitizer) {
		snprintf(why, sizeof(why),
			 "is linked with %s, which replaces malloc itself: build it without "
			 "-fsanitize to record it",
			 look->sanitizer);
		return refuse(name, why);
	}
	return PROGRAM_FINE;
}

/*
 * Puts the interpreter of a script into `path`: what follows "#!", or /bin/sh, which execvp(3)
 * takes for a file the kernel does not know.
 */
static void script_interpreter(const char *head, char *path)
{
	if (head[0] != '#' || head[1] != '!') {
		strcpy(path, "/bin/sh");
		return;
	}
	head += 2;
	head += strspn(head, " \t");
	snprintf(path, PATH_MAX, "%.*s", (int)strcspn(head, " \t\r\n"), head);
}

/* By its name: it is a script, and starts the program by means of its own. */
static bool is_valgrind(const char *name)
{
	const char *slash = strrchr(name, '/');
	const char *base = slash ? slash + 1 : name;
	return !strcmp(base, "valgrind") || !strcmp(base, "valgrind.bin");
}

static enum program_verdict inspect(const char *name, const char *path)
{
	char current[PATH_MAX], label[PATH_MAX + 256];
	snprintf(current, sizeof(current), "%s", path);
	snprintf(label, sizeof(label), "%.255s", name);
	for (int level = 0; level < SCRIPT_LEVELS; level++) {
		struct elf_look look;
		char head[256];
		int kind = elf_look(current, &look, head, sizeof(head));
		if (kind < 0)
			return PROGRAM_FINE; /* execute-only: the kernel will tell */
		if (kind > 0) {
			if (gains_privileges(current))
				return refuse(label,
					      "gains privileges when it starts (setuid, setgid or "
					      "capabilities), and the loader then ignores "
					      "LD_PRELOAD: record a copy without them, or run "
					      "memprof as the user it becomes");
			return judge_elf(label, &look);
		}
		script_interpreter(head, current);
		if (!is_executable(current)) {
			say("%.255s: its interpreter %s cannot be run: %s", name, current,
			    strerror(errno));
			return errno == ENOENT ? PROGRAM_NOT_FOUND : PROGRAM_NOT_EXECUTABLE;
		}
		snprintf(label, sizeof(label), "%s, which runs the script %.255s,", current, name);
	}
	return PROGRAM_FINE;
}

enum program_verdict program_check(const char *name, char *path)
{
	int error = -program_find(name, path);
	if (error == ENOENT || error == ENOTDIR) {
		say("%s: no such program%s", name,
		    strchr(name, '/') ? ""
				      : " in PATH: for one in this directory write ./ before it");
		return PROGRAM_NOT_FOUND;
	}
	if (error == EISDIR) {
		say("%s: is a directory, not a program", name);
		return PROGRAM_NOT_EXECUTABLE;
	}
	if (error == EACCES) {
		say("%s: not executable: chmod +x may be what is missing", name);
		return PROGRAM_NOT_EXECUTABLE;
	}
	if (error) {
		say("%s: %s", name, strerror(error));
		return PROGRAM_NOT_EXECUTABLE;
	}
	if (is_valgrind(name))
		return refuse(name, "replaces malloc itself, so that nothing can be recorded: run "
				    "the program either under it or under memprof");
	return inspect(name, path);
}
