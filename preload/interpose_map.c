/* Anonymous memory the program maps itself, and libraries it lets go. */
#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>

#include "interpose.h"
#include "lifecycle.h"
#include "modules.h"
#include "sys.h"

EXPORT void *mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);
EXPORT void *mmap64(void *address, size_t bytes, int protection, int flags, int fd, off_t offset);
EXPORT int munmap(void *address, size_t bytes);
EXPORT void *mremap(void *old, size_t old_bytes, size_t bytes, int flags, ...);
EXPORT int dlclose(void *library);

/*
 * Not real_ready(): to find the next functions may allocate, and an allocator that comes before us
 * maps its first memory with its lock held.
 */
static bool is_found(void)
{
	return real.malloc != NULL;
}

/* As libc gives it to the program; MAP_FAILED is -1, too. */
static long result_of(long result)
{
	if (result < 0 && result > -4096) {
		errno = (int)-result;
		return -1;
	}
	return result;
}

static void *raw_mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	return (void *)result_of(SYS6(mmap, address, bytes, protection, flags, fd, offset));
}

/* Only what the program maps itself: what an allocator maps is not the program's. */
static struct thread *enter(uintptr_t frame)
{
	return record_maps() && !thread_tls.guard ? thread_enter(frame) : NULL;
}

void *mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	struct thread *thread;
	void *memory;

	if (!is_found())
		return raw_mmap(address, bytes, protection, flags, fd, offset);
	thread = enter(HOOK_FRAME | GUARD_REAL);
	memory = real.mmap(address, bytes, protection, flags, fd, offset);
	if (!thread)
		return memory;
	thread_phase(HOOK_FRAME);
	if (memory != MAP_FAILED && (flags & MAP_ANONYMOUS))
		record_map(thread, TRACE_EVENT_MMAP, memory, bytes, HOOK_ORIGIN);
	thread_leave();
	return memory;
}

/* The same function where off_t has 64 bits, which it has on all machines we know. */
void *mmap64(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
    __attribute__((alias("mmap")));

int munmap(void *address, size_t bytes)
{
	struct thread *thread;
	uint64_t before;
	int result;

	if (!is_found())
		return (int)result_of(SYS2(munmap, address, bytes));
	thread = enter(HOOK_FRAME | GUARD_REAL);
	before = thread ? record_before(thread) : 0;
	result = real.munmap(address, bytes);
	if (!thread)
		return result;
	thread_phase(HOOK_FRAME);
	if (result == 0)
		record_unmap(thread, TRACE_EVENT_MUNMAP, address, bytes, before);
	thread_leave();
	return result;
}

void *mremap(void *old, size_t old_bytes, size_t bytes, int flags, ...)
{
	struct thread *thread;
	uint64_t before;
	void *wanted = NULL;
	void *memory;
	va_list arguments;

	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) {
		va_start(arguments, flags);
		wanted = va_arg(arguments, void *);
		va_end(arguments);
	}
	if (!is_found())
		return (void *)result_of(SYS5(mremap, old, old_bytes, bytes, flags, wanted));
	thread = enter(HOOK_FRAME | GUARD_REAL);
	before = thread ? record_before(thread) : 0;
	memory = real.mremap(old, old_bytes, bytes, flags, wanted);
	if (!thread)
		return memory;
	thread_phase(HOOK_FRAME);
	if (memory != MAP_FAILED)
		record_remap(thread, old, old_bytes, memory, bytes, before, HOOK_ORIGIN);
	thread_leave();
	return memory;
}

int dlclose(void *library)
{
	int result;
	uintptr_t guard;

	if (!real_ready())
		return -1;
	result = real.dlclose(library);
	guard = thread_tls.guard;
	if (!guard)
		tls_guard(HOOK_FRAME | GUARD_OWN);
	if (lifecycle_is_recording())
		modules_unloaded();
	tls_set_guard(guard);
	return result;
}
