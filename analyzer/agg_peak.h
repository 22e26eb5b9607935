/* How high and how low the live heap went within a batch of changes. */
#ifndef AGG_PEAK_H
#define AGG_PEAK_H

#include "replay.h"

struct agg_range {
	uint64_t high; /* of the states after each change; `live` when there is no change */
	uint64_t low;
	uint64_t end; /* live after the batch */
};

/* What one change does to the live bytes; no branch, for it would be mispredicted half the time. */
static inline uint64_t agg_delta(const struct replay_change *change)
{
	uint64_t allocated = -(uint64_t)(change->op == REPLAY_ALLOCATE);
	uint64_t freed = -(uint64_t)(change->op == REPLAY_FREE);

	return (change->bytes & allocated) - (change->bytes & freed);
}

/* Starting from `live` bytes. */
struct agg_range agg_peak_range(const struct replay_batch *batch, uint64_t live);

/* The first change after which the live heap is `bytes`, which must be one of its states. */
size_t agg_peak_first(const struct replay_batch *batch, uint64_t live, uint64_t bytes);

#endif
