/*
 * Each new peak is a new stamp, also where the next change makes a higher one: a store is cheaper
 * than looking ahead.
 */
#include "agg_sites.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void agg_sites_init(struct agg_sites *agg)
{
	*agg = (struct agg_sites){0};
}

void agg_sites_fini(struct agg_sites *agg)
{
	free(agg->origins);
	free(agg->sites);
	free(agg->more);
	*agg = (struct agg_sites){0};
}

/* Room for `count` sites. Nothing of it is touched before a site needs it. */
static int grow(struct agg_sites *agg, size_t count)
{
	struct agg_site *sites;
	struct agg_site_more *more;

	sites = reallocarray(agg->sites, count, sizeof(*sites));
	if (sites == NULL)
		return -ENOMEM;
	agg->sites = sites;
	more = reallocarray(agg->more, count, sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	agg->more = more;
	agg->capacity = count;
	return 0;
}

/* Makes the sites that there are. */
static int make_sites(struct agg_sites *agg)
{
	size_t added = agg->count - agg->made;

	if (added == 0)
		return 0;
	if (agg->count > agg->capacity &&
	    grow(agg, agg->count > agg->capacity * 2 ? agg->count : agg->capacity * 2) != 0)
		return -ENOMEM;
	memset(agg->sites + agg->made, 0, added * sizeof(*agg->sites));
	memset(agg->more + agg->made, 0, added * sizeof(*agg->more));
	agg->made = agg->count;
	return 0;
}

/* ---- origins ---- */

static int reserve_origins(struct agg_sites *agg, size_t number)
{
	size_t room = agg->origin_room == 0 ? 1024 : agg->origin_room;
	struct agg_origin *origins;

	while (room <= number)
		room *= 2;
	if (room != agg->origin_room) {
		origins = reallocarray(agg->origins, room, sizeof(*origins));
		if (origins == NULL)
			return -ENOMEM;
		agg->origins = origins;
		agg->origin_room = room;
	}
	if (number >= agg->origin_count) {
		memset(agg->origins + agg->origin_count, 0,
		       (number + 1 - agg->origin_count) * sizeof(*agg->origins));
		agg->origin_count = number + 1;
	}
	return 0;
}

static inline uint32_t live_blocks(const struct agg_origin *origin)
{
	return (uint32_t)(origin->counts[0] - origin->counts[1]);
}

static inline void catch_up(struct agg_origin *origin, uint64_t stamp)
{
	if (origin->stamp != stamp) {
		origin->peak_blocks = live_blocks(origin);
		origin->stamp = stamp;
	}
}

/* A site's figures of the peak, made current: of what went before it nothing was left at the peak.
 */
static void renew_peak(struct agg_site *site, uint64_t stamp)
{
	if (site->stamp != stamp) {
		site->peak_bytes = 0;
		site->peak_blocks = 0;
		site->stamp = stamp;
	}
}

/* Adds an origin's figures to those of its site. */
static void fold(struct agg_sites *agg, struct agg_origin *origin)
{
	struct agg_site *site = &agg->sites[origin->site];
	struct agg_site_more *more = &agg->more[origin->site];
	uint32_t live = live_blocks(origin);

	catch_up(origin, agg->stamp);
	renew_peak(site, agg->stamp);
	site->peak_bytes += origin->peak_blocks * origin->bytes;
	site->peak_blocks += origin->peak_blocks;
	site->live_bytes += live * origin->bytes;
	site->live_blocks += live;
	site->allocations += origin->counts[0];
	site->bytes += origin->counts[0] * origin->bytes;
	if (origin->last_tick > site->last_tick)
		site->last_tick = origin->last_tick;
	if (more->first_tick == 0 || origin->first_tick < more->first_tick)
		more->first_tick = origin->first_tick;
	more->temporary += origin->temporary;
}

static int take_origins(struct agg_sites *agg, const struct replay_batch *batch)
{
	for (size_t i = 0; i < batch->origin_count; i++) {
		const struct replay_origin *from = &batch->origins[i];
		struct agg_origin *origin;

		if (reserve_origins(agg, from->number) != 0)
			return -ENOMEM;
		origin = &agg->origins[from->number];
		if (origin->counts[0] != 0) {
			if (make_sites(agg) != 0)
				return -ENOMEM;
			fold(agg, origin);
		}
		*origin = (struct agg_origin){.bytes = from->bytes,
					      .site = from->site,
					      .stamp = agg->stamp,
					      .first_tick = from->tick + 1};
	}
	return 0;
}

/* What is not the rule. */
static void count_flags(struct agg_sites *agg, const struct replay_change *change)
{
	agg->reallocs += (change->flags & REPLAY_REALLOC) != 0;
	agg->mismatched += (change->flags & REPLAY_MISMATCHED) != 0;
	agg->origins[change->origin].temporary += (change->flags & REPLAY_TEMPORARY) != 0;
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

/*
 * Which of both comes next, an allocation or a release, is often by chance: so there is no branch
 * between them. After a release the heap is not higher than it was, after an allocation not lower.
 */
static void take_changes(struct agg_sites *agg, const struct replay_batch *batch,
			 struct agg_range *range)
{
	const struct replay_change *change = batch->changes, *end = change + batch->count;
	struct agg_origin *origins = agg->origins;
	uint64_t live = agg->live_bytes, low = live, high = live;
	uint64_t stamp = agg->stamp, frees = 0;

	for (; change < end; change++) {
		struct agg_origin *origin = &origins[change->origin];
		uint32_t flags = change->flags;
		uint64_t freed = flags & REPLAY_FREE;
		uint64_t last_tick = origin->last_tick;

		catch_up(origin, stamp);
		origin->counts[freed]++;
		origin->last_tick = freed != 0 ? last_tick : change->tick;
		frees += freed;
		live += (origin->bytes ^ -freed) + freed;
		low = live < low ? live : low;
		if (live > high) {
			high = live;
			rise(agg, range, live, change->tick);
			stamp = agg->stamp;
		}
		if (__builtin_expect((flags & ~(uint32_t)REPLAY_FREE) != 0, 0))
			count_flags(agg, change);
	}
	range->low = low;
	agg->live_bytes = live;
	agg->live_blocks += batch->count - 2 * frees;
}

_Static_assert(REPLAY_FREE == 1, "tells which count it is");

int agg_sites_changes(struct agg_sites *agg, const struct replay_batch *batch, size_t site_count,
		      struct agg_range *range)
{
	*range = (struct agg_range){.high = agg->live_bytes, .low = agg->live_bytes};
	agg->count = site_count;
	if (take_origins(agg, batch) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < batch->other_count; i++) {
		if (batch->others[i].op != REPLAY_FAILED)
			continue;
		if (make_sites(agg) != 0)
			return -ENOMEM;
		agg->more[batch->others[i].site].failed++;
	}
	take_changes(agg, batch, range);
	return 0;
}

void agg_sites_live(const struct agg_sites *agg, uint64_t *live_bytes, size_t stride)
{
	for (size_t i = 0; i < agg->origin_count; i++) {
		const struct agg_origin *origin = &agg->origins[i];

		if (live_blocks(origin) != 0)
			live_bytes[origin->site * stride] += live_blocks(origin) * origin->bytes;
	}
}

int agg_sites_finish(struct agg_sites *agg, struct agg_totals *totals)
{
	if (make_sites(agg) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < agg->origin_count; i++)
		if (agg->origins[i].counts[0] != 0)
			fold(agg, &agg->origins[i]);
	free(agg->origins);
	agg->origins = NULL;
	agg->origin_count = 0;
	*totals = (struct agg_totals){
	    .peak_tick = agg->peak_tick, .reallocs = agg->reallocs, .mismatched = agg->mismatched};
	for (size_t i = 0; i < agg->count; i++) {
		struct agg_site *site = &agg->sites[i];

		renew_peak(site, agg->stamp);
		agg->more[i].first_tick -= agg->more[i].first_tick != 0;
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
	return 0;
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
