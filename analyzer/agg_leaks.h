/*
 * Is what is live at the end a leak? How each site's live heap moved, and a verdict from that.
 *
 * The trend is the live heap at the ends of PROFILE_TREND_POINTS equal parts of the run: copied
 * from agg_sites at those moments, so it costs nothing per event, and nothing for the sites that
 * hold nothing then, which are most of many.
 */
#ifndef AGG_LEAKS_H
#define AGG_LEAKS_H

#include "agg_sites.h"
#include "profile.h"

struct agg_leaks {
	struct agg_held *held; /* at the end of each part, one after the other */
	size_t room;	       /* of held: an array of huge_resize() */
	size_t ends[PROFILE_TREND_POINTS];
	uint64_t end_tick; /* of the run; shifted */
	size_t part;	   /* the one that is not over yet */
};

void agg_leaks_init(struct agg_leaks *agg, uint64_t end_tick);
void agg_leaks_fini(struct agg_leaks *agg);

/* The tick at which the current part ends; REPLAY_NEVER after the last but one. */
uint64_t agg_leaks_boundary(const struct agg_leaks *agg);

/* Ends the current part. Returns 0 or -ENOMEM. */
int agg_leaks_pass(struct agg_leaks *agg, const struct agg_sites *sites);

/* After the last change: ends the parts that are left. Returns 0 or -ENOMEM. */
int agg_leaks_finish(struct agg_leaks *agg, const struct agg_sites *sites);

/*
 * After that: makes the trends of the profile's sites, see profile.h; numbers[] are theirs by the
 * sites of agg_sites before agg_sites_merge(), UINT32_MAX of none. Nothing can be
 * asked after that. Returns 0 or -ENOMEM.
 */
int agg_leaks_trends(struct agg_leaks *agg, const uint32_t *numbers, struct profile *profile);

/* Judges a finished site by its figures and trend; `duration_s` is that of the run. */
enum profile_verdict agg_leaks_verdict(const struct profile_site *site, const uint64_t *trend,
				       double duration_s);

#endif
