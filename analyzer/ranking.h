/*
 * The figures of a site that reports are ordered by, and the order itself: total and stable, so
 * that the same trace gives the same bytes every time.
 */
#ifndef RANKING_H
#define RANKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct profile;
struct profile_site;

enum ranking_metric {
	RANKING_PEAK,	     /* bytes held at the peak */
	RANKING_LEAK,	     /* verdict, likeliest leak first; then bytes live at the end */
	RANKING_ALLOCATIONS, /* calls */
	RANKING_BYTES,	     /* bytes allocated in all */
	RANKING_TEMPORARY,   /* allocations that were temporary */
	RANKING_METRICS
};

/* One figure of a site; for RANKING_LEAK the bytes live at the end. */
uint64_t ranking_value(const struct profile_site *site, enum ranking_metric metric);

/* How likely a site's live blocks are leaked: 0 none, 1 not likely, 2 perhaps, 3 likely, 4 very. */
unsigned ranking_suspicion(const struct profile_site *site);

/*
 * Less than 0 when `a` comes first: by the figure, by the other figures, then by the stacks. 0 only
 * for sites that are alike in all of them.
 */
int ranking_compare(const struct profile_site *a, const struct profile_site *b,
		    enum ranking_metric metric);

/*
 * Indices into profile->sites, best first. The caller frees the array; NULL when there is no
 * memory. Never NULL otherwise, even without sites.
 */
uint32_t *ranking_sort(const struct profile *profile, enum ranking_metric metric);

#endif
