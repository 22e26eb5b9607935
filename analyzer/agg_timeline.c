/* An interval [from, end) takes the changes before its end; the state it begins with counts too. */
#include "agg_timeline.h"

#include "agg_sites.h"

#include <errno.h>
#include <memprof/trace.h>
#include <stdlib.h>
#include <string.h>

int agg_timeline_init(struct agg_timeline *agg, size_t count, uint64_t end_tick)
{
	*agg = (struct agg_timeline){.count = count};
	if (count == 0)
		return 0;
	agg->intervals = calloc(count, sizeof(*agg->intervals));
	if (agg->intervals == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		agg->intervals[i].end_tick =
		    (uint64_t)((unsigned __int128)end_tick * (i + 1) / count);
	return 0;
}

void agg_timeline_fini(struct agg_timeline *agg)
{
	free(agg->intervals);
	agg->intervals = NULL;
}

static void take_samples(struct agg_timeline *agg, const struct replay_batch *batch)
{
	for (size_t i = 0; i < batch->other_count; i++) {
		const struct replay_other *other = &batch->others[i];

		if (other->op != REPLAY_SAMPLE || other->kind != TRACE_EVENT_RSS)
			continue;
		agg->rss_bytes = other->bytes;
		if (other->bytes > agg->peak_rss_bytes)
			agg->peak_rss_bytes = other->bytes;
	}
}

void agg_timeline_changes(struct agg_timeline *agg, const struct replay_batch *batch,
			  const struct agg_range *range, uint64_t live_bytes, uint64_t live_blocks)
{
	struct agg_interval *now;

	take_samples(agg, batch);
	if (agg->count == 0)
		return;
	now = &agg->intervals[agg->current];
	if (range->high > now->high_bytes) {
		now->high_bytes = range->high;
		now->high_tick = range->high_tick;
	}
	if (range->low < now->low_bytes)
		now->low_bytes = range->low;
	agg->live_bytes = live_bytes;
	agg->live_blocks = live_blocks;
}

uint64_t agg_timeline_boundary(const struct agg_timeline *agg)
{
	/* The last one takes everything that is left, also what lies at its very end. */
	if (agg->current + 1 >= agg->count)
		return REPLAY_NEVER;
	return agg->intervals[agg->current].end_tick;
}

static void end_interval(struct agg_timeline *agg)
{
	struct agg_interval *now = &agg->intervals[agg->current];

	now->live_bytes = agg->live_bytes;
	now->live_blocks = agg->live_blocks;
	now->rss_bytes = agg->rss_bytes;
}

void agg_timeline_pass(struct agg_timeline *agg)
{
	struct agg_interval *next;

	if (agg->current + 1 >= agg->count)
		return;
	end_interval(agg);
	next = &agg->intervals[++agg->current];
	next->high_tick = next[-1].end_tick;
	next->high_bytes = agg->live_bytes;
	next->low_bytes = agg->live_bytes;
}

void agg_timeline_finish(struct agg_timeline *agg)
{
	if (agg->count == 0)
		return;
	while (agg->current + 1 < agg->count)
		agg_timeline_pass(agg);
	end_interval(agg);
}

int agg_curves_init(struct agg_curves *agg, size_t intervals, size_t ranks,
		    const uint32_t *rank_of_site, size_t sites)
{
	*agg = (struct agg_curves){
	    .rank_of_site = rank_of_site, .sites = sites, .ranks = ranks, .intervals = intervals};
	agg->live = calloc(ranks + 1, sizeof(*agg->live));
	agg->bytes = calloc(intervals * ranks + 1, sizeof(*agg->bytes));
	if (agg->live == NULL || agg->bytes == NULL) {
		agg_curves_fini(agg);
		return -ENOMEM;
	}
	return 0;
}

void agg_curves_fini(struct agg_curves *agg)
{
	free(agg->live);
	free(agg->bytes);
	free(agg->origins);
	agg->origins = NULL;
	agg->origin_room = 0;
	agg->live = NULL;
	agg->bytes = NULL;
}

static int reserve_numbers(struct agg_curves *agg, size_t number)
{
	size_t room = agg->origin_room == 0 ? 1024 : agg->origin_room;
	void *larger;

	if (number < agg->origin_room)
		return 0;
	while (room <= number)
		room *= 2;
	larger = reallocarray(agg->origins, room, sizeof(*agg->origins));
	if (larger == NULL)
		return -ENOMEM;
	agg->origins = larger;
	agg->origin_room = room;
	return 0;
}

int agg_curves_changes(struct agg_curves *agg, const struct replay_batch *batch)
{
	for (size_t i = 0; i < batch->origin_count; i++) {
		const struct replay_origin *origin = &batch->origins[i];

		if (reserve_numbers(agg, origin->number) != 0)
			return -ENOMEM;
		agg->origins[origin->number] = (struct agg_curves_origin){
		    .bytes = origin->bytes,
		    .rank =
			origin->site < agg->sites ? agg->rank_of_site[origin->site] : UINT32_MAX};
	}
	for (size_t i = 0; i < batch->count; i++) {
		const struct agg_curves_origin *origin = &agg->origins[batch->changes[i].origin];

		if (origin->rank == UINT32_MAX)
			continue;
		if (batch->changes[i].flags & REPLAY_FREE)
			agg->live[origin->rank] -= origin->bytes;
		else
			agg->live[origin->rank] += origin->bytes;
	}
	return 0;
}

static void end_curves(struct agg_curves *agg)
{
	memcpy(&agg->bytes[agg->current * agg->ranks], agg->live, agg->ranks * sizeof(*agg->live));
}

void agg_curves_pass(struct agg_curves *agg)
{
	if (agg->current + 1 >= agg->intervals)
		return;
	end_curves(agg);
	agg->current++;
}

void agg_curves_finish(struct agg_curves *agg)
{
	if (agg->intervals == 0)
		return;
	while (agg->current + 1 < agg->intervals)
		agg_curves_pass(agg);
	end_curves(agg);
}

uint64_t *agg_curves_take(struct agg_curves *agg)
{
	uint64_t *bytes = agg->bytes;

	agg->bytes = NULL;
	return bytes;
}
