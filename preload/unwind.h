/*
 * The seam between recording and stack walking: one backend per file, chosen once at start.
 *
 * A backend turns "where the caller of the hook stands" into the id of an interned call stack. It
 * runs on the event path of every allocation: no lock, no malloc, no system call when warm, no
 * unbounded loop, nothing that changes errno, and no read outside the stack it walks.
 */
#ifndef UNWIND_H
#define UNWIND_H

#include <stddef.h>
#include <stdint.h>

/* The program's frame that called the hook, as it will be when the hook returns. */
struct unwind_origin {
	uintptr_t pc; /* return address of the hook */
	uintptr_t sp; /* the hook's CFA */
	uintptr_t fp; /* rbp (x86-64), x29 (aarch64) of the caller */
};

struct unwind_counts {
	uint64_t checked;    /* verify only */
	uint64_t mismatches; /* verify only */
	uint64_t fallbacks;  /* stacks that needed the general unwinder */
	uint64_t truncated;  /* stacks cut at the depth limit */
};

struct unwind_backend {
	const char *name;
	size_t state_bytes; /* zeroed private memory of each thread, passed to stack() */
	/* Once a process, before the first thread uses it; may load libraries. 0 or -errno. */
	int (*init)(void);
	/*
	 * Returns the stack id (node of the innermost frame; its parents lead outward), 0 when not
	 * one frame could be interned. `state` belongs to the calling thread. `counts` as well:
	 * plain increments.
	 */
	uint32_t (*stack)(void *state, const struct unwind_origin *origin, unsigned max_depth,
			  struct unwind_counts *counts);
};

/*
 * Code in [start, end) is gone: no backend may answer from what it remembers of it. Any thread.
 */
void unwind_forget(uintptr_t start, uintptr_t end);

extern const struct unwind_backend unwind_libunwind; /* libunwind's unw_backtrace */
extern const struct unwind_backend unwind_fp;	     /* frame pointers, bounded */
extern const struct unwind_backend unwind_memo;	     /* CFI rules and a memo of known stacks */
extern const struct unwind_backend unwind_verify;    /* unwind_memo compared with libunwind */

/* "auto", "libunwind", "fp", "verify" -> backend; NULL: no such. */
const struct unwind_backend *unwind_find(const char *name);

#endif
