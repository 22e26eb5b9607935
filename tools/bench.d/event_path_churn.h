/* A churn of 1,000 live blocks of random sizes from a few dozen stacks, by whichever allocator. */
#ifndef EVENT_PATH_CHURN_H
#define EVENT_PATH_CHURN_H

#include <stddef.h>

struct churn_hooks {
	void *(*malloc)(size_t bytes);
	void (*free)(void *block);
};

/* `pairs` of free and malloc, `depth` to `depth + 3` calls deep; the same ones each time. */
void churn(const struct churn_hooks *with, long pairs, int depth);

#endif
