/*
 * The program's own anonymous mappings, which are no part of the heap.
 *
 * Intervals that do not overlap, in order of address: munmap may cut one, take several, or take
 * nothing. Lengths are as requested; munmap works on whole pages, so its end is rounded up. A
 * mremap counts as one unmapping and one mapping.
 *
 * What each site holds at the peak is kept as agg_sites.h does it: a site is looked at only when
 * it changes, and `peaks` tells whether a higher peak came since it was last looked at.
 */
#ifndef AGG_MAPS_H
#define AGG_MAPS_H

#include "replay.h"

struct agg_map {
	uint64_t start;
	uint64_t end;
	uint32_t site;
};

struct agg_map_site {
	uint64_t maps;
	uint64_t bytes;
	uint64_t live_bytes, live_pieces; /* now; munmap may make two pieces of one */
	uint64_t peak_bytes, peak_pieces; /* at peak number `peak` */
	uint64_t peak;
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
	uint64_t peaks;	  /* how often peak_bytes rose */
	uint32_t *places; /* by number of the site: index into `sites` + 1; 0: none */
	size_t place_count;
	struct agg_map_site *sites; /* of those that mapped, who are few among all */
	size_t site_count;
};

void agg_maps_init(struct agg_maps *agg, uint32_t page_size);
void agg_maps_fini(struct agg_maps *agg);

/* Takes in the MAP and UNMAP of a batch. Returns 0 or -ENOMEM. */
int agg_maps_changes(struct agg_maps *agg, const struct replay_batch *batch);

/* After the last change: brings the sites' figures of the peak up to date. */
void agg_maps_finish(struct agg_maps *agg);

#endif
