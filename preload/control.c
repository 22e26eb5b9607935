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

	tls_guard(HOOK_FRAME | GUARD_OWN);
	lifecycle_resume();
	tls_set_guard(guard);
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
