/*
 * measure RESULT PROGRAM [ARGS]: runs a program and writes "wall user system maxrss" (seconds and
 * KiB) into the file RESULT: wall until the program itself ended, the rest over it and everything
 * it started, whether it waited for that or not. maxrss is that of the largest process. Small and
 * in C, because a process starts with the resident size of the one that made it.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

int main(int argc, char **argv)
{
	struct timespec from, to;
	struct rusage usage;
	int status = 0;

	if (argc < 3)
		return 2;
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	clock_gettime(CLOCK_MONOTONIC, &from);
	pid_t child = fork();
	if (child == 0) {
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0) {
		perror("measure");
		return 2;
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	while (wait(NULL) > 0)
		;
	getrusage(RUSAGE_CHILDREN, &usage);
	FILE *result = fopen(argv[1], "w");
	if (!result) {
		perror(argv[1]);
		return 2;
	}
	fprintf(result, "%.6f %.6f %.6f %ld\n",
		(double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9,
		seconds(usage.ru_utime), seconds(usage.ru_stime), usage.ru_maxrss);
	if (fclose(result))
		return 2;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
