/* Most batches make no new peak: their range is found without a branch, and that is all. */
#include "agg_peak.h"

struct agg_range agg_peak_range(const struct replay_batch *batch, uint64_t live)
{
	struct agg_range range = {.high = live, .low = live};

	for (size_t i = 0; i < batch->count; i++) {
		live += agg_delta(&batch->changes[i]);
		range.high = live > range.high ? live : range.high;
		range.low = live < range.low ? live : range.low;
	}
	range.end = live;
	return range;
}

size_t agg_peak_first(const struct replay_batch *batch, uint64_t live, uint64_t bytes)
{
	size_t i = 0;

	while (i < batch->count && (live += agg_delta(&batch->changes[i])) != bytes)
		i++;
	return i;
}
