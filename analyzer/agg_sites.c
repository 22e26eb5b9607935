/*
 * No change of a batch waits for another in here but by sums: what is next, an allocation or a
 * release of which origin, is often by chance, so that a branch would be guessed wrong. Where one
 * of two places is to be written, the other one is there for nothing else.
 */
#include "agg_sites.h"

#include "huge.h"

#include <errno.h>
#include <stdlib.h>

/* Where there are many sites or origins there is soon more of them than fits in a huge page. */
#define SITES_MANY    8192
#define SITES_ROOM    131072
#define ORIGINS_FIRST 1024
#define ORIGINS_STEP  8	     /* by which their room grows: what is not touched costs little */
#define ORIGINS_MANY  524288 /* but where memory is limited: twofold from here on */

#define AHEAD 8 /* of what is folded: sites are far from each other */

void agg_sites_init(struct agg_sites *agg)
{
	*agg = (struct agg_sites){0};
}

void agg_sites_fini(struct agg_sites *agg)
{
	huge_free(agg->origins, agg->origin_room * sizeof(*agg->origins));
	free(agg->first_ticks);
	huge_free(agg->sites, agg->capacity * sizeof(*agg->sites));
	huge_free(agg->more, agg->capacity * sizeof(*agg->more));
	*agg = (struct agg_sites){0};
}

/* Room for `count` sites. Nothing of it is touched before a site needs it. */
static int grow(struct agg_sites *agg, size_t count)
{
	struct agg_site *sites;
	struct agg_site_more *more;

	sites = huge_resize(agg->sites, agg->capacity * sizeof(*sites), count * sizeof(*sites));
	if (sites == NULL)
		return -ENOMEM;
	agg->sites = sites;
	more = huge_resize(agg->more, agg->capacity * sizeof(*more), count * sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	agg->more = more;
	agg->capacity = count;
	return 0;
}

/* Makes the sites that there are: zeroed. */
static int make_sites(struct agg_sites *agg)
{
	size_t room = agg->count;

	if (room <= agg->capacity)
		return 0;
	if (room > SITES_MANY && room < SITES_ROOM)
		room = SITES_ROOM;
	return grow(agg, room > agg->capacity * 2 ? room : agg->capacity * 2);
}

/* ---- origins ---- */

static int grow_origins(struct agg_sites *agg, size_t room)
{
	struct agg_origin *origins;
	uint64_t *first_ticks;

	/* Too few bytes for a huge page. */
	first_ticks = reallocarray(agg->first_ticks, room, sizeof(*first_ticks));
	if (first_ticks == NULL)
		return -ENOMEM;
	agg->first_ticks = first_ticks;
	/* Each in one cache line, as pages begin with one. */
	origins =
	    huge_resize(agg->origins, agg->origin_room * sizeof(*origins), room * sizeof(*origins));
	if (origins == NULL)
		return -ENOMEM;
	agg->origins = origins;
	agg->origin_room = room;
	return 0;
}

static int reserve_origins(struct agg_sites *agg, size_t number)
{
	size_t room = agg->origin_room == 0 ? ORIGINS_FIRST : agg->origin_room;

	while (room <= number)
		room *= room < ORIGINS_MANY ? ORIGINS_STEP : 2;
	/* What is not touched counts where memory is limited: then no more than is needed soon. */
	if (room != agg->origin_room && grow_origins(agg, room) != 0 &&
	    grow_origins(agg, number + number / 4 + 1) != 0)
		return -ENOMEM;
	if (number >= agg->origin_count)
		agg->origin_count = number + 1;
	return 0;
}

static inline uint32_t live_blocks(const struct agg_origin *origin)
{
	return (uint32_t)(origin->counts[0] - origin->counts[1]);
}

/* What it held at the peak, if that was not known yet. */
static inline void catch_up(struct agg_origin *origin, uint32_t stamp)
{
	origin->peak_blocks[origin->stamp == stamp] = live_blocks(origin);
	origin->stamp = stamp;
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
static void fold(struct agg_sites *agg, size_t number)
{
	struct agg_origin *origin = &agg->origins[number];
	uint64_t first_tick = agg->first_ticks[number];
	struct agg_site *site = &agg->sites[origin->site];
	struct agg_site_more *more = &agg->more[origin->site];
	uint32_t live = live_blocks(origin);

	catch_up(origin, agg->stamp);
	renew_peak(site, agg->stamp);
	site->peak_bytes += origin->peak_blocks[0] * origin->bytes;
	site->peak_blocks += origin->peak_blocks[0];
	site->live_bytes += live * origin->bytes;
	site->live_blocks += live;
	site->allocations += origin->counts[0];
	site->bytes += origin->counts[0] * origin->bytes;
	if (origin->ticks[0] > site->last_tick)
		site->last_tick = origin->ticks[0];
	if (more->first_tick == 0 || first_tick < more->first_tick)
		more->first_tick = first_tick;
	more->temporary += origin->temporary;
}

/* Has what fold() needs of a site come nearer. */
static inline void fetch_site(const struct agg_sites *agg, uint32_t site)
{
	if (site >= agg->capacity)
		return;
	__builtin_prefetch(&agg->sites[site], 1);
	__builtin_prefetch(&agg->more[site], 1);
}

static int take_origins(struct agg_sites *agg, const struct replay_batch *batch)
{
	for (size_t i = 0; i < batch->origin_count; i++) {
		const struct replay_origin *from = &batch->origins[i];
		struct agg_origin *origin;

		if (reserve_origins(agg, from->number) != 0)
			return -ENOMEM;
		if (batch->origin_count - i > AHEAD && from[AHEAD].number < agg->origin_count)
			fetch_site(agg, agg->origins[from[AHEAD].number].site);
		origin = &agg->origins[from->number];
		if (origin->counts[0] != 0) {
			if (make_sites(agg) != 0)
				return -ENOMEM;
			fold(agg, from->number);
		}
		*origin = (struct agg_origin){
		    .bytes = from->bytes, .site = from->site, .stamp = agg->stamp};
		agg->first_ticks[from->number] = from->tick + 1;
	}
	return 0;
}

/*
 * A new peak, after the change at `top`: takes back what the later ones of the batch did to the
 * origins that they are of. While the heap grows those are few.
 */
static void set_peak(struct agg_sites *agg, const struct replay_change *top,
		     const struct replay_change *end)
{
	uint32_t stamp = ++agg->stamp;

	while (--end > top) {
		struct agg_origin *origin = &agg->origins[end->origin];

		catch_up(origin, stamp);
		origin->peak_blocks[0] += (end->flags & REPLAY_FREE) * 2 - 1;
	}
}

/* Takes in a batch's changes; tells how high and how low, and the change that made it the highest.
 */
static const struct replay_change *
take_changes(struct agg_sites *agg, const struct replay_batch *batch, struct agg_range *range)
{
	const struct replay_change *change = batch->changes, *end = change + batch->count;
	const struct replay_change *top = NULL;
	struct agg_origin *origins = agg->origins;
	uint64_t live = agg->live_bytes, low = live, high = live, flags = 0;
	uint32_t stamp = agg->stamp;

	for (; change < end; change++) {
		struct agg_origin *origin = &origins[change->origin];
		uint64_t freed = change->flags & REPLAY_FREE;

		catch_up(origin, stamp);
		origin->counts[freed]++;
		origin->ticks[freed] = change->tick;
		origin->temporary += change->flags / REPLAY_TEMPORARY;
		flags += change->flags;
		live += (origin->bytes ^ -freed) + freed;
		low = live < low ? live : low;
		top = live > high ? change : top;
		high = live > high ? live : high;
	}
	range->low = low;
	range->high = high;
	agg->live_bytes = live;
	agg->live_blocks += batch->count - 2 * replay_flag_count(flags, REPLAY_FREE);
	agg->mismatched += replay_flag_count(flags, REPLAY_MISMATCHED);
	agg->reallocs += replay_flag_count(flags, REPLAY_REALLOC);
	return top;
}

_Static_assert(REPLAY_FREE == 1, "tells which count it is");

int agg_sites_changes(struct agg_sites *agg, const struct replay_batch *batch, size_t site_count,
		      struct agg_range *range)
{
	const struct replay_change *top;

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
	top = take_changes(agg, batch, range);
	range->high_tick = top != NULL ? top->tick : 0;
	if (range->high > agg->peak_bytes) {
		agg->peak_bytes = range->high;
		agg->peak_tick = range->high_tick;
		set_peak(agg, top, batch->changes + batch->count);
	}
	return 0;
}

size_t agg_sites_held(const struct agg_sites *agg, struct agg_held *held)
{
	size_t count = 0;

	/* Without a branch: which origins have blocks is by chance. There is room for one too many.
	 */
	for (size_t i = 0; i < agg->origin_count; i++) {
		const struct agg_origin *origin = &agg->origins[i];
		uint32_t blocks = live_blocks(origin);

		held[count].bytes = blocks * origin->bytes;
		held[count].site = origin->site;
		count += blocks != 0;
	}
	return count;
}

int agg_sites_finish(struct agg_sites *agg, struct agg_totals *totals)
{
	if (make_sites(agg) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < agg->origin_count; i++) {
		if (agg->origin_count - i > AHEAD)
			fetch_site(agg, agg->origins[i + AHEAD].site);
		if (agg->origins[i].counts[0] != 0)
			fold(agg, i);
	}
	huge_free(agg->origins, agg->origin_room * sizeof(*agg->origins));
	free(agg->first_ticks);
	agg->origins = NULL;
	agg->first_ticks = NULL;
	agg->origin_count = 0;
	agg->origin_room = 0;
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

void agg_sites_drop(struct agg_sites *agg, size_t count)
{
	if (count >= agg->capacity)
		return;
	huge_resize(agg->sites, agg->capacity * sizeof(*agg->sites), count * sizeof(*agg->sites));
	huge_resize(agg->more, agg->capacity * sizeof(*agg->more), count * sizeof(*agg->more));
	agg->capacity = count;
}
