/*
 * How much each site allocated, holds and held at the peak; the totals are their sums.
 *
 * Counted is by origin, whose blocks are all of one size; sites get their sums at the end, or when
 * an origin's number is given to another. Most runs have no sites before their end.
 *
 * The peak in one pass: what an origin held at the last peak is kept only lazily. `stamp` is the
 * number of the peak that `peak_blocks` belongs to; when a newer peak has passed meanwhile, the
 * origin did not change since, so what it holds now is what it held then.
 */
#ifndef AGG_SITES_H
#define AGG_SITES_H

#include "replay.h"

struct agg_origin {
	uint64_t bytes;	    /* of each block */
	uint64_t counts[2]; /* allocations and releases */
	uint64_t ticks[2];  /* of the last of each; shifted. Nobody asks for a release's */
	uint64_t temporary;
	uint32_t peak_blocks[2]; /* the second one is for what is not to be kept */
	uint32_t stamp;
	uint32_t site;
};

_Static_assert(sizeof(struct agg_origin) == 64, "one to a cache line");

struct agg_site {
	uint64_t live_bytes; /* this and live_blocks: by agg_sites_finish() */
	uint64_t live_blocks;
	uint64_t peak_bytes; /* valid for the peak `stamp`; agg_sites_finish() makes all current */
	uint64_t peak_blocks;
	uint64_t stamp;
	uint64_t allocations;
	uint64_t bytes;
	uint64_t last_tick; /* of an allocation; shifted */
};

struct agg_site_more {
	/* Of an allocation; shifted. Until agg_sites_finish() one more, and 0 is none. */
	uint64_t first_tick;
	uint64_t temporary;
	uint64_t failed;
};

/* How high and how low the live heap went within a batch. */
struct agg_range {
	uint64_t high;	    /* of the states after each change, and the one before */
	uint64_t high_tick; /* of the first such change; 0: it was the one before */
	uint64_t low;
};

struct agg_totals {
	uint64_t allocations, frees, reallocs, bytes;
	uint64_t live_bytes, live_blocks;
	uint64_t peak_bytes, peak_blocks, peak_tick;
	uint64_t temporary, failed, mismatched;
};

struct agg_sites {
	struct agg_origin *origins; /* by number; those without a block ever are all zero */
	uint64_t *first_ticks;	    /* likewise, of an allocation; shifted, plus 1 */
	size_t origin_count;
	size_t origin_room; /* arrays of huge_resize() here and below */
	size_t count;	    /* of the sites */
	/* Those that were needed yet, the others zero or not made; after the last, all. */
	struct agg_site *sites;
	struct agg_site_more *more;
	size_t capacity;
	uint32_t stamp; /* number of the latest peak; a batch has one at most */
	uint64_t live_bytes, live_blocks;
	uint64_t peak_bytes, peak_tick;
	uint64_t reallocs, mismatched;
};

/* Zeroes; allocates nothing yet. agg_sites_fini() frees. */
void agg_sites_init(struct agg_sites *agg);
void agg_sites_fini(struct agg_sites *agg);

/*
 * Takes in a batch whose sites are all below `site_count`, and tells its range. Returns 0 or
 * -ENOMEM.
 */
int agg_sites_changes(struct agg_sites *agg, const struct replay_batch *batch, size_t site_count,
		      struct agg_range *range);

/* What some of a site's blocks hold. */
struct agg_held {
	uint64_t bytes;
	uint32_t site;
};

/*
 * What all live blocks hold, of which several may be of one site: to held[0 ..], which has room for
 * agg_sites_held_most(). Returns how many.
 */
size_t agg_sites_held(const struct agg_sites *agg, struct agg_held *held);

static inline size_t agg_sites_held_most(const struct agg_sites *agg)
{
	return agg->origin_count + 1;
}

/*
 * After the last batch: makes all sites, peak_* of each current, and adds up the totals. Returns 0
 * or -ENOMEM.
 */
int agg_sites_finish(struct agg_sites *agg, struct agg_totals *totals);

/*
 * After that: sites of one number become one, at that place. The numbers go up from 0 by first
 * mention; UINT32_MAX leaves a site out.
 */
void agg_sites_merge(struct agg_sites *agg, const uint32_t *numbers);

/* After that: gives back what the sites from `count` on are made of. */
void agg_sites_drop(struct agg_sites *agg, size_t count);

#endif
