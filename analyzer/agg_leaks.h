/*
 * Is what is live at the end a leak? How each site's live heap moved, and a verdict from that.
 *
 * The trend is the live heap at the ends of PROFILE_TREND_POINTS equal parts of the run: copied
 * from agg_sites at those moments, so it costs nothing per event.
 */
#ifndef AGG_LEAKS_H
#define AGG_LEAKS_H

#include "agg_sites.h"
#include "profile.h"

struct agg_leaks {
	/* What each site held at the end of a part, of those that there were by then. */
	uint64_t *live_bytes[PROFILE_TREND_POINTS];
	size_t counts[PROFILE_TREND_POINTS];
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

/* After that: sites of one number become one, as agg_sites_merge() does it. */
void agg_leaks_merge(struct agg_leaks *agg, const uint32_t *numbers);

/* After that: what a site held at the ends of the parts. */
void agg_leaks_trend(const struct agg_leaks *agg, size_t site,
		     uint64_t trend_bytes[PROFILE_TREND_POINTS]);

/* Gives back what the sites from `count` on are made of. */
void agg_leaks_drop(struct agg_leaks *agg, size_t count);

/* Judges a finished site by its figures and trend; `duration_s` is that of the run. */
enum profile_verdict agg_leaks_verdict(const struct profile_site *site, double duration_s);

#endif
