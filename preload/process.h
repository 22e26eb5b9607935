/*
 * Facts of the running process, read without libc's allocator: who it is, for names and headers.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process {
	pid_t pid;
	pid_t parent;
	uint64_t start;	    /* field 22 of /proc/self/stat: clock ticks since boot; 0 unknown */
	char exe[PATH_MAX]; /* path of the file that runs; "" unknown */
	char name[256];	    /* last part of the name it was started by; "" unknown */
	char host[65];
	char cwd[PATH_MAX];
	char first_cwd[PATH_MAX]; /* where recording began: of the parent, after a fork */
	char cmdline[64 * 1024];  /* arguments ended by NUL, cut to this */
	size_t cmdline_bytes;
};

/* Fills `process`, zeroed or from before a fork, for the caller's process. Signal-safe, errno
 * untouched. */
void process_read(struct process *process);

/* Start time of process `pid`, as above; 0 when there is none. */
uint64_t process_start(pid_t pid);

/* Whether process `pid` has this library loaded, as far as /proc tells. */
bool process_is_recorded(pid_t pid);

#endif
