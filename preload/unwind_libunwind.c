#include "unwind_libunwind.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "modules.h"
#include "stack_bounds.h"
#include "tls.h"
#include "unwind_path.h"
#include "unwind_step.h"

/* Frames of ours that may stand before the program's. */
#define OWN_FRAMES_MAX 16

struct state {
	struct unwind_path path;
	void *buffer[UNWIND_PATH_MAX + OWN_FRAMES_MAX];
};

struct libunwind libunwind;

#define TEXT(x)	     #x
#define SYMBOL(name) TEXT(name)

static const struct {
	const char *name;
	size_t offset;
} wanted[] = {
    {"unw_backtrace", offsetof(struct libunwind, backtrace)},
    {SYMBOL(unw_tdep_getcontext), offsetof(struct libunwind, getcontext)},
    {SYMBOL(unw_init_local), offsetof(struct libunwind, init_local)},
    {SYMBOL(unw_init_local2), offsetof(struct libunwind, init_local2)},
    {SYMBOL(unw_step), offsetof(struct libunwind, step)},
    {SYMBOL(unw_get_reg), offsetof(struct libunwind, get_reg)},
    {SYMBOL(unw_is_signal_frame), offsetof(struct libunwind, is_signal_frame)},
    {SYMBOL(unw_flush_cache), offsetof(struct libunwind, flush_cache)},
    {SYMBOL(unw_get_accessors), offsetof(struct libunwind, get_accessors)},
    {SYMBOL(unw_set_caching_policy), offsetof(struct libunwind, set_caching_policy)},
    {SYMBOL(unw_local_addr_space), offsetof(struct libunwind, local_space)},
};

static __typeof__(((unw_accessors_t *)NULL)->access_mem) its_access_mem;

/* Of memory or of registers kept there. The program may use the same library for itself. */
static int access_mem(unw_addr_space_t space, unw_word_t address, unw_word_t *value, int write,
		      void *argument)
{
	if (write || !(thread_tls.guard & GUARD_OWN))
		return its_access_mem(space, address, value, write, argument);
	if (!stack_bounds_readable(address))
		return -UNW_EINVAL;
	*value = unwind_load(address);
	return 0;
}

static void read_with_care(void)
{
	uintptr_t guard = tls_own_begin();
	unw_accessors_t *accessors = libunwind.get_accessors(*libunwind.local_space);

	its_access_mem = accessors->access_mem;
	accessors->access_mem = access_mem;
	tls_own_end(guard);
}

int libunwind_load(void)
{
	static bool loaded;
	void *library;

	if (loaded)
		return 0;
	library = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return -ENOENT;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		void *address = dlsym(library, wanted[i].name);

		if (!address)
			return -ENOSYS;
		*(void **)((char *)&libunwind + wanted[i].offset) = address;
	}
	read_with_care();
	loaded = true;
	return 0;
}

/* unw_backtrace remembers rules by address for ever; walking with unw_step asks anew. */
static int walk(void **buffer, int size)
{
	unw_context_t context;
	unw_cursor_t cursor;
	int count = 0;

	libunwind.getcontext(&context);
	if (libunwind.init_local(&cursor, &context) < 0)
		return 0;
	while (count < size && libunwind.step(&cursor) > 0) {
		unw_word_t pc;

		if (libunwind.get_reg(&cursor, UNW_REG_IP, &pc) < 0 || !pc)
			break;
		buffer[count++] = (void *)pc;
	}
	return count;
}

static int backtrace_now(void **buffer, int size)
{
	if (atomic_load_explicit(&modules_any_unloaded, memory_order_acquire))
		return walk(buffer, size);
	return libunwind.backtrace(buffer, size);
}

static uint32_t stack(void *memory, const struct unwind_origin *origin, unsigned max_depth,
		      struct unwind_counts *counts)
{
	struct state *state = memory;
	uintptr_t guard = tls_own_begin();
	int saved_errno = errno;
	int count =
	    libunwind.backtrace ? backtrace_now(state->buffer, (int)max_depth + OWN_FRAMES_MAX) : 0;
	int first = 0;
	bool cut;

	errno = saved_errno;
	tls_own_end(guard);
	while (first < count && first < OWN_FRAMES_MAX &&
	       (uintptr_t)state->buffer[first] != origin->pc)
		first++;
	/* Our own frame could not be left: at least the caller is certain. */
	if (first == count || first == OWN_FRAMES_MAX) {
		counts->fallbacks++;
		state->buffer[0] = (void *)origin->pc;
		first = 0;
		count = 1;
	}
	cut = count - first > (int)max_depth;
	if (cut) {
		counts->truncated++;
		count = first + (int)max_depth;
	}
	return unwind_path_intern(&state->path, (uintptr_t *)&state->buffer[first],
				  (unsigned)(count - first), cut);
}

const struct unwind_backend unwind_libunwind = {
    .name = "libunwind",
    .state_bytes = sizeof(struct state),
    .init = libunwind_load,
    .stack = stack,
};
