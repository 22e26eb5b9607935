/*
 * The live heap over time: equal intervals, each with the state at its end and the highest and
 * lowest within it, so that thinning out the points loses no peak. Optionally the curves of some
 * sites.
 */
#ifndef AGG_TIMELINE_H
#define AGG_TIMELINE_H

#include "replay.h"

struct agg_range;

struct agg_interval {
	uint64_t end_tick; /* shifted */
	uint64_t live_bytes, live_blocks;
	uint64_t high_tick, high_bytes, low_bytes;
	uint64_t rss_bytes;
};

struct agg_timeline {
	struct agg_interval *intervals;
	size_t count;
	size_t current;
	uint64_t live_bytes, live_blocks; /* now */
	uint64_t rss_bytes, peak_rss_bytes;
};

/*
 * `count` equal intervals from tick 0 to `end_tick` (shifted). Returns 0 or -ENOMEM;
 * agg_timeline_fini() frees.
 */
int agg_timeline_init(struct agg_timeline *agg, size_t count, uint64_t end_tick);
void agg_timeline_fini(struct agg_timeline *agg);

/*
 * The batch lies within the current interval; `range` is its, and so much is live after it.
 */
void agg_timeline_changes(struct agg_timeline *agg, const struct replay_batch *batch,
			  const struct agg_range *range, uint64_t live_bytes, uint64_t live_blocks);

/* The tick at which the current interval ends; REPLAY_NEVER after the last. */
uint64_t agg_timeline_boundary(const struct agg_timeline *agg);

/* Ends the current interval: the next change is later. */
void agg_timeline_pass(struct agg_timeline *agg);

/* After the last change: ends all that are left. */
void agg_timeline_finish(struct agg_timeline *agg);

/*
 * Live bytes of chosen sites at the ends of the same intervals: a second pass, when it is known
 * which sites they are.
 */
struct agg_curves_origin {
	uint64_t bytes;
	uint32_t rank; /* UINT32_MAX: not followed */
};

struct agg_curves {
	const uint32_t *rank_of_site; /* UINT32_MAX: not followed; the caller's */
	size_t sites;		      /* entries of rank_of_site */
	size_t ranks;
	struct agg_curves_origin *origins; /* by number */
	size_t origin_room;
	uint64_t *live;	 /* by rank, now */
	uint64_t *bytes; /* [interval * ranks + rank]; agg_curves_take() gives them away */
	size_t intervals;
	size_t current;
};

int agg_curves_init(struct agg_curves *agg, size_t intervals, size_t ranks,
		    const uint32_t *rank_of_site, size_t sites);
void agg_curves_fini(struct agg_curves *agg);
/* Returns 0 or -ENOMEM. */
int agg_curves_changes(struct agg_curves *agg, const struct replay_batch *batch);
void agg_curves_pass(struct agg_curves *agg);
void agg_curves_finish(struct agg_curves *agg);
uint64_t *agg_curves_take(struct agg_curves *agg);

#endif
