/*
 * malloc, calloc and realloc of the commands: the next ones in line (libc's, or those of a
 * preload), and the end of the command where one fails that oom.h speaks of. Only these three: a
 * block is freed by the same allocator either way.
 */
#include "oom.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static __attribute__((noinline, noreturn)) void end_command(void)
{
	static const char text[] = ": not enough memory to look up symbols: try --no-symbols\n";
	char line[128];
	int bytes = snprintf(line, sizeof(line), "%.40s%s", program_invocation_short_name, text);

	if (write(STDERR_FILENO, line, (size_t)bytes) < 0) {
		/* Nobody is left to be told. */
	}
	_exit(2);
}

static inline void *given(void *block, size_t bytes)
{
	if (__builtin_expect(block == NULL, 0) && bytes != 0 && oom_is_fatal(bytes))
		end_command();
	return block;
}

/* The function of that name behind ours; dlsym allocates nothing when it finds one. */
static void *next(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (function == NULL)
		_exit(2);
	return function;
}

void *malloc(size_t bytes)
{
	static void *(*real)(size_t);

	if (__builtin_expect(real == NULL, 0))
		real = (void *(*)(size_t))next("malloc");
	return given(real(bytes), bytes);
}

void *calloc(size_t count, size_t bytes)
{
	static void *(*real)(size_t, size_t);
	size_t all;

	if (__builtin_expect(real == NULL, 0))
		real = (void *(*)(size_t, size_t))next("calloc");
	if (__builtin_mul_overflow(count, bytes, &all))
		all = (size_t)-1;
	return given(real(count, bytes), all);
}

void *realloc(void *block, size_t bytes)
{
	static void *(*real)(void *, size_t);

	if (__builtin_expect(real == NULL, 0))
		real = (void *(*)(void *, size_t))next("realloc");
	return given(real(block, bytes), bytes);
}
