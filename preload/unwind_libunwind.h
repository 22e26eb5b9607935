/*
 * libunwind, loaded privately: as a DT_NEEDED of a preload it would put its _Unwind_* before
 * libgcc's for the whole program, and C++ exceptions would go through it.
 */
#ifndef UNWIND_LIBUNWIND_H
#define UNWIND_LIBUNWIND_H

#define UNW_LOCAL_ONLY
#include <libunwind.h>

/* The functions of the loaded library; all NULL before libunwind_load() succeeded. */
struct libunwind {
	int (*backtrace)(void **buffer, int size);
	int (*getcontext)(unw_context_t *context);
	int (*init_local)(unw_cursor_t *cursor, unw_context_t *context);
	int (*init_local2)(unw_cursor_t *cursor, unw_context_t *context, int flags);
	int (*step)(unw_cursor_t *cursor);
	int (*get_reg)(unw_cursor_t *cursor, unw_regnum_t reg, unw_word_t *value);
	int (*is_signal_frame)(unw_cursor_t *cursor);
	void (*flush_cache)(unw_addr_space_t space, unw_word_t low, unw_word_t high);
	unw_accessors_t *(*get_accessors)(unw_addr_space_t space);
	int (*set_caching_policy)(unw_addr_space_t space, unw_caching_policy_t policy);
	unw_addr_space_t *local_space;
};

extern struct libunwind libunwind;

/*
 * Loads it once, and has it read memory for us only where that can be read: it asks by itself too,
 * but takes what was mapped once to be mapped for ever, and asks through a pipe of which it does
 * not notice that the program has closed it and has other files by those numbers. Takes the
 * loader's lock, so only from the library's constructor. 0 or -errno. */
int libunwind_load(void);

#endif
