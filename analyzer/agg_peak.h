/* Where in a batch of changes the live heap was highest. */
#ifndef AGG_PEAK_H
#define AGG_PEAK_H

#include "replay.h"

struct agg_peak_found {
	size_t at; /* the change that made it; SIZE_MAX: none was above `floor` */
	uint64_t bytes;
	uint64_t end_bytes; /* live after the batch */
};

/*
 * Starting from `live` bytes, finds the first moment of the highest sum that is above `floor`.
 */
struct agg_peak_found agg_peak_find(const struct replay_change *changes, size_t count,
				    uint64_t live, uint64_t floor);

#endif
