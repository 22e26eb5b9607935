/*
 * A batch is applied in two parts, up to the highest peak in it and after that: between, the stamp
 * goes up by one, however often the sum rose before.
 */
#include "agg_sites.h"

#include "agg_peak.h"

#include <errno.h>
#include <memprof/trace.h>
#include <stdlib.h>
#include <string.h>

void agg_sites_init(struct agg_sites *agg)
{
	*agg = (struct agg_sites){0};
}

void agg_sites_fini(struct agg_sites *agg)
{
	free(agg->sites);
	free(agg->more);
	*agg = (struct agg_sites){0};
}

static int reserve(struct agg_sites *agg, size_t count)
{
	size_t capacity = agg->capacity * 2 > count ? agg->capacity * 2 : count;
	size_t old = agg->capacity;
	struct agg_site *sites;
	struct agg_site_more *more;

	if (count > agg->count)
		agg->count = count;
	if (count <= old)
		return 0;
	/* One line each, so that a site never lies across two. */
	sites = aligned_alloc(64, capacity * sizeof(*sites));
	if (sites == NULL)
		return -ENOMEM;
	if (old != 0)
		memcpy(sites, agg->sites, old * sizeof(*sites));
	memset(sites + old, 0, (capacity - old) * sizeof(*sites));
	free(agg->sites);
	agg->sites = sites;
	more = reallocarray(agg->more, capacity, sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	memset(more + old, 0, (capacity - old) * sizeof(*more));
	agg->more = more;
	agg->capacity = capacity;
	return 0;
}

static inline void catch_up(struct agg_site *site, uint64_t stamp)
{
	if (site->stamp != stamp) {
		site->peak_bytes = site->live_bytes;
		site->peak_blocks = site->live_blocks;
		site->stamp = stamp;
	}
}

static void allocate(struct agg_sites *agg, const struct replay_change *change)
{
	struct agg_site *site = &agg->sites[change->site];

	catch_up(site, agg->stamp);
	if (site->allocations++ == 0)
		agg->more[change->site].first_tick = change->tick;
	site->bytes += change->bytes;
	site->live_bytes += change->bytes;
	site->live_blocks++;
	site->last_tick = change->tick;
	agg->totals.allocations++;
	agg->totals.bytes += change->bytes;
	if (change->kind == TRACE_EVENT_REALLOC || change->kind == TRACE_EVENT_REALLOCARRAY)
		agg->totals.reallocs++;
}

static void release(struct agg_sites *agg, const struct replay_change *change)
{
	struct agg_site *site = &agg->sites[change->site];

	catch_up(site, agg->stamp);
	site->live_bytes -= change->bytes;
	site->live_blocks--;
	agg->totals.frees++;
	if (change->flags & REPLAY_TEMPORARY) {
		agg->more[change->site].temporary++;
		agg->totals.temporary++;
	}
	if (change->flags & REPLAY_MISMATCHED)
		agg->totals.mismatched++;
}

static void apply(struct agg_sites *agg, const struct replay_change *changes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		switch (changes[i].op) {
		case REPLAY_ALLOCATE:
			allocate(agg, &changes[i]);
			break;
		case REPLAY_FREE:
			release(agg, &changes[i]);
			break;
		case REPLAY_FAILED:
			agg->more[changes[i].site].failed++;
			agg->totals.failed++;
			break;
		default:
			break;
		}
	}
}

int agg_sites_changes(struct agg_sites *agg, const struct replay_change *changes, size_t count,
		      size_t site_count)
{
	struct agg_totals *totals = &agg->totals;
	struct agg_peak_found peak;

	if (reserve(agg, site_count) != 0)
		return -ENOMEM;
	peak = agg_peak_find(changes, count, totals->live_bytes, totals->peak_bytes);
	if (peak.at != SIZE_MAX) {
		size_t first = peak.at + 1;

		apply(agg, changes, first);
		agg->stamp++;
		totals->peak_bytes = peak.bytes;
		totals->peak_blocks = totals->allocations - totals->frees;
		totals->peak_tick = changes[peak.at].tick;
		apply(agg, changes + first, count - first);
	} else {
		apply(agg, changes, count);
	}
	totals->live_bytes = peak.end_bytes;
	totals->live_blocks = totals->allocations - totals->frees;
	return 0;
}

void agg_sites_finish(struct agg_sites *agg)
{
	for (size_t i = 0; i < agg->count; i++)
		catch_up(&agg->sites[i], agg->stamp);
}
