/*
 * A batch is applied in two parts, up to the highest peak in it and after that: between, the stamp
 * goes up by one, however often the sum rose before.
 */
#include "agg_sites.h"

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

/* An allocation or a release; the same path for both, as they come in no order. */
static inline void apply_heap(struct agg_sites *agg, const struct replay_change *change)
{
	struct agg_site *site = &agg->sites[change->site];
	uint64_t allocated = change->op == REPLAY_ALLOCATE;

	catch_up(site, agg->stamp);
	if (site->allocations == 0)
		agg->more[change->site].first_tick = change->tick;
	site->allocations += allocated;
	site->bytes += change->bytes & -allocated;
	site->live_bytes += agg_delta(change);
	site->live_blocks += allocated * 2 - 1;
	site->last_tick = allocated ? change->tick : site->last_tick;
	agg->more[change->site].temporary += change->flags & REPLAY_TEMPORARY;
	agg->mismatched += (change->flags & REPLAY_MISMATCHED) != 0;
	agg->reallocs += allocated & (change->kind == TRACE_EVENT_REALLOC ||
				      change->kind == TRACE_EVENT_REALLOCARRAY);
}

static void apply(struct agg_sites *agg, const struct replay_batch *batch, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		const struct replay_change *change = &batch->changes[i];

		if (change->op <= REPLAY_FREE)
			apply_heap(agg, change);
		else if (change->op == REPLAY_FAILED)
			agg->more[change->site].failed++;
	}
}

int agg_sites_changes(struct agg_sites *agg, const struct replay_batch *batch,
		      const struct agg_range *range, size_t site_count)
{
	size_t from = 0;

	if (reserve(agg, site_count) != 0)
		return -ENOMEM;
	if (range->high > agg->peak_bytes) {
		size_t at = agg_peak_first(batch, agg->live_bytes, range->high);

		apply(agg, batch, 0, at + 1);
		agg->stamp++;
		agg->peak_bytes = range->high;
		agg->peak_tick = batch->changes[at].tick;
		from = at + 1;
	}
	apply(agg, batch, from, batch->count);
	agg->live_bytes = range->end;
	return 0;
}

void agg_sites_finish(struct agg_sites *agg, struct agg_totals *totals)
{
	*totals = (struct agg_totals){
	    .peak_tick = agg->peak_tick, .reallocs = agg->reallocs, .mismatched = agg->mismatched};
	for (size_t i = 0; i < agg->count; i++) {
		struct agg_site *site = &agg->sites[i];

		catch_up(site, agg->stamp);
		totals->allocations += site->allocations;
		totals->bytes += site->bytes;
		totals->live_blocks += site->live_blocks;
		totals->live_bytes += site->live_bytes;
		totals->peak_bytes += site->peak_bytes;
		totals->peak_blocks += site->peak_blocks;
		totals->temporary += agg->more[i].temporary;
		totals->failed += agg->more[i].failed;
	}
	totals->frees = totals->allocations - totals->live_blocks;
}
