/*
 * _Fork(3), which calls no handlers of pthread_atfork: meant for signal handlers, so it may have
 * interrupted a hook that its child will go on with.
 */
#include <errno.h>

#include "interpose.h"
#include "lifecycle.h"

EXPORT pid_t _Fork(void);

pid_t _Fork(void)
{
	pid_t child;

	if (!real_ready() || !real._Fork) {
		errno = ENOSYS;
		return -1;
	}
	child = real._Fork();
	if (child == 0)
		lifecycle_fork_child();
	return child;
}
