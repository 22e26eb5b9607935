/*
 * A look at the program before it runs: where it is, and whether LD_PRELOAD can have an effect on
 * it at all. What cannot be recorded is better said at once than after an hour.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stddef.h>

/* How a shell ends for a program it cannot run, and how memprof does for one it cannot record. */
enum program_verdict {
	PROGRAM_FINE = 0,
	PROGRAM_REFUSED = 2,
	PROGRAM_NOT_EXECUTABLE = 126,
	PROGRAM_NOT_FOUND = 127,
};

/*
 * Finds `name` as execvp(3) does and inspects the file; a script's interpreter in its place.
 * Anything but PROGRAM_FINE comes after a message on stderr and is the launcher's exit status. The
 * path (PATH_MAX bytes, the caller's) is what to execute; a program that may be run but not read
 * is taken as fine.
 */
enum program_verdict program_check(const char *name, char *path);

/* Finds `name` likewise, and says nothing. Returns 0 or -errno. */
int program_find(const char *name, char *path);

#endif
