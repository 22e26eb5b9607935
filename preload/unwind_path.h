/*
 * For backends that yield a whole stack each time: interns it, looking up only the frames that
 * differ from the thread's last one.
 */
#ifndef UNWIND_PATH_H
#define UNWIND_PATH_H

#include <stdbool.h>

#include "unwind.h"

#define UNWIND_PATH_MAX 1024

/* The last stack of a thread, outermost frame first; zeroed memory is an empty one. */
struct unwind_path {
	unsigned count;
	bool cut;
	uintptr_t pcs[UNWIND_PATH_MAX];
	uint32_t nodes[UNWIND_PATH_MAX];
};

/*
 * Interns the `count` (at most UNWIND_PATH_MAX) return addresses at `pcs`, innermost first; `cut`:
 * more frames were left out. Returns the id of the innermost node that could be had, 0 for none.
 */
uint32_t unwind_path_intern(struct unwind_path *path, const uintptr_t *pcs, unsigned count,
			    bool cut);

#endif
