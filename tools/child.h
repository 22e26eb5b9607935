/*
 * Running the program: the launcher stays out of its way, as time(1) does. It is in the same
 * process group, so what the terminal sends (^C, ^\, ^Z) reaches the program by itself; what is
 * sent to the launcher alone is forwarded.
 */
#ifndef CHILD_H
#define CHILD_H

#include <stdint.h>
#include <sys/types.h>

struct child {
	pid_t pid;
	uint64_t start; /* field 22 of /proc/PID/stat, which tells it from a later one of that
			   pid; 0 unknown */
	int error;	/* errno of the execvp that failed; 0: the program ran */
	int status;	/* as from waitpid(2) */
};

/*
 * Runs argv in a child with the signal dispositions and mask this process was started with, and
 * waits for its end. `path` is what to execute. Returns 0, or -errno when there was no child.
 */
int child_run(const char *path, char **argv, struct child *child);

/* Ends this process by the signal that ended the child, without a core file of its own. */
void child_die_alike(int signal) __attribute__((noreturn));

/* Field 22 of /proc/PID/stat, in clock ticks since boot; 0 when there is no such process. */
uint64_t child_start_time(pid_t pid);

#endif
