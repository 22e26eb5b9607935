/*
 * The program's own anonymous mappings, which are no part of the heap.
 *
 * Intervals that do not overlap, in order of address: munmap may cut one, take several, or take
 * nothing. Lengths are as requested; munmap works on whole pages, so its end is rounded up. A
 * mremap counts as one unmapping and one mapping.
 */
#ifndef AGG_MAPS_H
#define AGG_MAPS_H

#include "replay.h"

struct agg_map {
	uint64_t start;
	uint64_t end;
};

struct agg_maps {
	struct agg_map *live;
	size_t count;
	size_t capacity;
	uint64_t page_size;
	uint64_t maps;	     /* calls that mapped */
	uint64_t bytes;	     /* mapped by them */
	uint64_t live_bytes; /* now */
	uint64_t peak_bytes;
};

void agg_maps_init(struct agg_maps *agg, uint32_t page_size);
void agg_maps_fini(struct agg_maps *agg);

/* Takes in the MAP and UNMAP of a batch. Returns 0 or -ENOMEM. */
int agg_maps_changes(struct agg_maps *agg, const struct replay_batch *batch);

#endif
