/* What include/memprof.h offers to the recorded program. */
#include <errno.h>

#include "interpose.h"
#include "lifecycle.h"
#define MEMPROF_NO_MACROS
#include "memprof.h"

EXPORT void memprof_start(void)
{
	int saved_errno = errno;
	uintptr_t guard = thread_tls.guard;

	thread_tls.guard = HOOK_FRAME;
	lifecycle_resume();
	thread_tls.guard = guard;
	errno = saved_errno;
}

EXPORT void memprof_stop(void)
{
	lifecycle_pause();
}

EXPORT int memprof_is_recording(void)
{
	return lifecycle_is_recording();
}
