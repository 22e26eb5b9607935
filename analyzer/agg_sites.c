/*
 * Each new peak is a new stamp, also where the next change makes a higher one: a store is cheaper
 * than looking ahead.
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

/* Room for `count` sites. Nothing of it is touched before a site needs it. */
static int grow(struct agg_sites *agg, size_t count)
{
	size_t capacity = agg->capacity * 2 > count ? agg->capacity * 2 : count;
	struct agg_site *sites;
	struct agg_site_more *more;

	/* One line each, so that a site never lies across two. */
	sites = aligned_alloc(64, capacity * sizeof(*sites));
	if (sites == NULL)
		return -ENOMEM;
	if (agg->count != 0)
		memcpy(sites, agg->sites, agg->count * sizeof(*sites));
	free(agg->sites);
	agg->sites = sites;
	more = reallocarray(agg->more, capacity, sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	agg->more = more;
	agg->capacity = capacity;
	return 0;
}

static int reserve(struct agg_sites *agg, size_t count)
{
	size_t added;

	if (count <= agg->count)
		return 0;
	if (count > agg->capacity && grow(agg, count) != 0)
		return -ENOMEM;
	added = count - agg->count;
	memset(agg->sites + agg->count, 0, added * sizeof(*agg->sites));
	memset(agg->more + agg->count, 0, added * sizeof(*agg->more));
	agg->count = count;
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

static inline void allocate(struct agg_sites *agg, const struct replay_change *change)
{
	struct agg_site *site = &agg->sites[change->site];

	catch_up(site, agg->stamp);
	if (__builtin_expect(site->allocations == 0, 0))
		agg->more[change->site].first_tick = change->tick;
	site->allocations++;
	site->bytes += change->bytes;
	site->live_bytes += change->bytes;
	site->live_blocks++;
	site->last_tick = change->tick;
	agg->reallocs +=
	    change->kind == TRACE_EVENT_REALLOC || change->kind == TRACE_EVENT_REALLOCARRAY;
}

static inline void release(struct agg_sites *agg, const struct replay_change *change)
{
	struct agg_site *site = &agg->sites[change->site];

	catch_up(site, agg->stamp);
	site->live_bytes -= change->bytes;
	site->live_blocks--;
	if (change->flags & REPLAY_TEMPORARY)
		agg->more[change->site].temporary++;
	agg->mismatched += (change->flags & REPLAY_MISMATCHED) != 0;
}

/* The highest state so far within a batch; perhaps within the run. */
static inline void rise(struct agg_sites *agg, struct agg_range *range, uint64_t live,
			uint64_t tick)
{
	range->high = live;
	range->high_tick = tick;
	if (live > agg->peak_bytes) {
		agg->peak_bytes = live;
		agg->peak_tick = tick;
		agg->stamp++;
	}
}

int agg_sites_changes(struct agg_sites *agg, const struct replay_batch *batch, size_t site_count,
		      struct agg_range *range)
{
	const struct replay_change *change = batch->changes, *end = change + batch->count;
	uint64_t live = agg->live_bytes;
	uint64_t blocks = agg->live_blocks;

	*range = (struct agg_range){.high = live, .low = live};
	if (reserve(agg, site_count) != 0)
		return -ENOMEM;
	for (; change < end; change++) {
		if (change->op == REPLAY_ALLOCATE) {
			allocate(agg, change);
			blocks++;
			live += change->bytes;
			if (live > range->high)
				rise(agg, range, live, change->tick);
		} else if (change->op == REPLAY_FREE) {
			release(agg, change);
			blocks--;
			live -= change->bytes;
			range->low = live < range->low ? live : range->low;
		} else if (change->op == REPLAY_FAILED) {
			agg->more[change->site].failed++;
		}
	}
	agg->live_bytes = live;
	agg->live_blocks = blocks;
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

static void add_more(struct agg_sites *agg, uint32_t to, size_t from)
{
	struct agg_site_more *more = &agg->more[to];
	const struct agg_site_more *added = &agg->more[from];

	if (agg->sites[from].allocations != 0 &&
	    (agg->sites[to].allocations == 0 || added->first_tick < more->first_tick))
		more->first_tick = added->first_tick;
	more->temporary += added->temporary;
	more->failed += added->failed;
}

static void add_site(struct agg_sites *agg, uint32_t to, size_t from)
{
	struct agg_site *site = &agg->sites[to];
	const struct agg_site *added = &agg->sites[from];

	if (added->allocations != 0 &&
	    (site->allocations == 0 || added->last_tick > site->last_tick))
		site->last_tick = added->last_tick;
	site->allocations += added->allocations;
	site->bytes += added->bytes;
	site->peak_bytes += added->peak_bytes;
	site->peak_blocks += added->peak_blocks;
	site->live_bytes += added->live_bytes;
	site->live_blocks += added->live_blocks;
}

void agg_sites_merge(struct agg_sites *agg, const uint32_t *numbers)
{
	uint32_t merged = 0;

	for (size_t i = 0; i < agg->count; i++) {
		uint32_t to = numbers[i];

		if (to == UINT32_MAX)
			continue;
		if (to == merged) {
			agg->sites[to] = agg->sites[i];
			agg->more[to] = agg->more[i];
			merged++;
		} else {
			add_more(agg, to, i);
			add_site(agg, to, i);
		}
	}
	agg->count = merged;
}
