#include <stdint.h>

#include "stack_bounds.h"
#include "unwind_path.h"

struct state {
	struct unwind_path path;
	uintptr_t pcs[UNWIND_PATH_MAX];
	struct stack_bounds bounds;
};

static int init(void)
{
	return 0;
}

/* A frame record is {caller's frame pointer, return address} on x86-64 and aarch64 alike. */
static uint32_t stack(void *memory, const struct unwind_origin *origin, unsigned max_depth,
		      struct unwind_counts *counts)
{
	struct state *state = memory;
	uintptr_t low = origin->sp;
	uintptr_t high = stack_bounds_anew(&state->bounds, low);
	uintptr_t fp = origin->fp;
	unsigned count = 0;
	bool cut = false;

	state->pcs[count++] = origin->pc;
	while (fp >= low && fp % sizeof(uintptr_t) == 0 && fp + 2 * sizeof(uintptr_t) <= high) {
		const uintptr_t *record = (const uintptr_t *)fp;

		if (!record[1])
			break;
		if (count == max_depth) {
			counts->truncated++;
			cut = true;
			break;
		}
		state->pcs[count++] = record[1];
		low = fp + 2 * sizeof(uintptr_t);
		fp = record[0];
	}
	return unwind_path_intern(&state->path, state->pcs, count, cut);
}

const struct unwind_backend unwind_fp = {
    .name = "fp",
    .state_bytes = sizeof(struct state),
    .init = init,
    .stack = stack,
};
