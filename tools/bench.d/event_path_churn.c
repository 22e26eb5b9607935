#include "event_path_churn.h"

#include <stdint.h>

#define LIVE  1000
#define BATCH 16

static char *blocks[LIVE];
static uint64_t state;

static uint32_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16);
}

#define LEAF(name, least, mask)                                                                    \
	static __attribute__((noinline)) void name(const struct churn_hooks *with)                 \
	{                                                                                          \
		for (int i = 0; i < BATCH; i++) {                                                  \
			uint32_t k = next_random() % LIVE;                                         \
                                                                                                   \
			with->free(blocks[k]);                                                     \
			blocks[k] = with->malloc((least) + (next_random() & (mask)));              \
			*(volatile char *)blocks[k] = 1;                                           \
		}                                                                                  \
	}
LEAF(churn_small, 16, 255)
LEAF(churn_large, 32, 1023)

static __attribute__((noinline)) void descend(int levels, const struct churn_hooks *with)
{
	volatile char frame[32];

	frame[0] = (char)levels;
	if (levels > 0)
		descend(levels - 1, with);
	else if (next_random() & 1)
		churn_small(with);
	else
		churn_large(with);
	(void)frame[0];
}

void churn(const struct churn_hooks *with, long pairs, int depth)
{
	state = 88172645463325252ULL;
	for (long done = 0; done < pairs; done += BATCH)
		descend(depth + (int)(next_random() & 3), with);
}
