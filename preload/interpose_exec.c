/*
 * The ways out of a process, so that the trace can say how it ended: replaced by another program,
 * or gone by _exit without exit's handlers.
 */
#include <alloca.h>
#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

#include "interpose.h"
#include "lifecycle.h"
#include "sys.h"

EXPORT int execve(const char *path, char *const *arguments, char *const *environment);
EXPORT int execv(const char *path, char *const *arguments);
EXPORT int execvp(const char *file, char *const *arguments);
EXPORT int execvpe(const char *file, char *const *arguments, char *const *environment);
EXPORT int fexecve(int fd, char *const *arguments, char *const *environment);
EXPORT int execveat(int fd, const char *path, char *const *arguments, char *const *environment,
		    int flags);
EXPORT int execl(const char *path, const char *argument, ...);
EXPORT int execlp(const char *file, const char *argument, ...);
EXPORT int execle(const char *path, const char *argument, ...);
EXPORT void _exit(int status) __attribute__((noreturn));
EXPORT void _Exit(int status) __attribute__((noreturn));
EXPORT void quick_exit(int status) __attribute__((noreturn));

/* An exec that returns has failed: the process lives on and so does its recording. */
#define EXEC(call)                                                                                 \
	do {                                                                                       \
		int result;                                                                        \
                                                                                                   \
		if (!real_ready()) {                                                               \
			errno = ENOSYS;                                                            \
			return -1;                                                                 \
		}                                                                                  \
		lifecycle_exec();                                                                  \
		result = call;                                                                     \
		lifecycle_exec_failed();                                                           \
		return result;                                                                     \
	} while (0)

int execve(const char *path, char *const *arguments, char *const *environment)
{
	EXEC(real.execve(path, arguments, environment));
}

int execv(const char *path, char *const *arguments)
{
	EXEC(real.execve(path, arguments, environ));
}

int execvp(const char *file, char *const *arguments)
{
	EXEC(real.execvpe(file, arguments, environ));
}

int execvpe(const char *file, char *const *arguments, char *const *environment)
{
	EXEC(real.execvpe(file, arguments, environment));
}

int fexecve(int fd, char *const *arguments, char *const *environment)
{
	EXEC(real.fexecve(fd, arguments, environment));
}

int execveat(int fd, const char *path, char *const *arguments, char *const *environment, int flags)
{
	EXEC(real.execveat(fd, path, arguments, environment, flags));
}

static size_t count_arguments(va_list list)
{
	size_t count = 1;

	while (va_arg(list, const char *))
		count++;
	return count;
}

/* The arguments of an execl, as an array on the stack of the macro's user (no heap: vfork). */
#define TAKE_ARGUMENTS(first, list, array)                                                         \
	do {                                                                                       \
		size_t count;                                                                      \
                                                                                                   \
		va_start(list, first);                                                             \
		count = count_arguments(list);                                                     \
		va_end(list);                                                                      \
		array = alloca((count + 1) * sizeof(*array));                                      \
		va_start(list, first);                                                             \
		array[0] = (char *)(first);                                                        \
		for (size_t i = 1; i <= count; i++)                                                \
			array[i] = va_arg(list, char *);                                           \
	} while (0)

int execl(const char *path, const char *argument, ...)
{
	char **array;
	va_list list;

	TAKE_ARGUMENTS(argument, list, array);
	va_end(list);
	EXEC(real.execve(path, array, environ));
}

int execlp(const char *file, const char *argument, ...)
{
	char **array;
	va_list list;

	TAKE_ARGUMENTS(argument, list, array);
	va_end(list);
	EXEC(real.execvpe(file, array, environ));
}

int execle(const char *path, const char *argument, ...)
{
	char *const *environment;
	char **array;
	va_list list;

	TAKE_ARGUMENTS(argument, list, array);
	environment = va_arg(list, char *const *);
	va_end(list);
	EXEC(real.execve(path, array, environment));
}

void _exit(int status)
{
	lifecycle_exit(status);
	for (;;)
		SYS1(exit_group, status);
}

void _Exit(int status)
{
	lifecycle_exit(status);
	for (;;)
		SYS1(exit_group, status);
}

void quick_exit(int status)
{
	lifecycle_quick_exit(status);
	if (real_ready())
		real.quick_exit(status);
	_exit(status);
}
