#include "unwind_path.h"

#include "memprof/trace.h"
#include "modules.h"
#include "stacks.h"

uint32_t unwind_path_intern(struct unwind_path *path, const uintptr_t *pcs, unsigned count,
			    bool cut)
{
	uint32_t node = cut ? TRACE_NODE_CUT : 0;
	unsigned known = 0;

	/* After an unload equal addresses may be other code. */
	if (path->cut == cut && !atomic_load_explicit(&modules_any_unloaded, memory_order_acquire))
		while (known < count && known < path->count &&
		       path->pcs[known] == pcs[count - 1 - known])
			known++;
	if (known)
		node = path->nodes[known - 1];
	for (; known < count; known++) {
		uint32_t next = stacks_node(node, pcs[count - 1 - known]);

		if (!next)
			break;
		node = next;
		path->pcs[known] = pcs[count - 1 - known];
		path->nodes[known] = node;
	}
	path->count = known;
	path->cut = cut;
	return node;
}
