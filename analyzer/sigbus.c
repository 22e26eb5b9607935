#include "sigbus.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Only calls that are async-signal-safe (signal-safety(7)). */
static void end_command(int signal)
{
	static const char text[] = ": a program or library was cut short while it was read: "
				   "try again, or with --no-symbols\n";
	struct iovec line[] = {
	    {program_invocation_short_name, strlen(program_invocation_short_name)},
	    {(char *)text, sizeof(text) - 1}};

	(void)signal;
	if (writev(STDERR_FILENO, line, 2) < 0) {
		/* Nobody is left to be told. */
	}
	_exit(2);
}

void sigbus_catch(void)
{
	struct sigaction action = {.sa_handler = end_command};

	sigaction(SIGBUS, &action, NULL);
}
