/*
 * What unit tests share besides traces: folders of their own, whole files, threads that start at
 * once, random numbers, and the running of a suite. Fails the test on all it cannot do.
 */
#ifndef CHECK_SUPPORT_H
#define CHECK_SUPPORT_H

#include <check.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>

/* The one that support_enter() made. */
extern char support_folder[PATH_MAX];

/* Makes a new empty folder, which becomes the working directory. */
void support_enter(void);

/* Leaves the folder, and removes it with all that is in it. */
void support_leave(void);

/* A whole file with a 0 behind its end; the caller frees it. */
uint8_t *support_read(const char *path, size_t *bytes);

/* Makes a file of `bytes` of content, whatever was in it before. */
void support_write(const char *path, const void *content, size_t bytes);

/* Runs `run` in `count` threads at once, at most 64, each with its number; waits for all. */
void support_threads(unsigned count, void (*run)(unsigned number));

/* When this process began, in ticks since boot: field 22 of /proc/self/stat. */
uint64_t support_start_time(void);

/* The next random number of a sequence that any seed is good to begin. */
static inline uint64_t support_random(uint64_t *state)
{
	/* splitmix64 (Steele et al., OOPSLA 2014) */
	uint64_t z = *state += 0x9e3779b97f4a7c15U;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
	z = (z ^ z >> 27) * 0x94d049bb133111ebU;
	return z ^ z >> 31;
}

/* Runs a suite, says what failed, and frees it. Returns main()'s status. */
int support_run(Suite *suite);

#endif
