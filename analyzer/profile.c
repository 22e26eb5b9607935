/*
 * Puts the analysis together: one pass over the trace for all figures, then symbols for the sites
 * that had any, then (only for the curves of the top sites) a second pass.
 */
#include "profile.h"

#include "agg_leaks.h"
#include "agg_maps.h"
#include "agg_sites.h"
#include "agg_timeline.h"
#include "callstack.h"
#include "huge.h"
#include "profile_maps.h"
#include "profile_process.h"
#include "profile_top.h"
#include "replay.h"
#include "replay_stream.h"
#include "site_stacks.h"
#include "trace_reader.h"
#include "trace_time.h"
#include "wrappers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SITES_AT_ONCE 32768 /* are moved into the profile and given back */

/* The profile and what its pointers point into. */
struct loaded {
	struct profile profile; /* first: profile_free() gets this address */
	struct site_stacks *stacks;
	struct callstack_table callstacks; /* what the stacks are made of */
};

/* What lives while a trace is analysed. */
struct analysis {
	const struct profile_options *options;
	struct trace_reader *reader;
	struct trace_time time;
	uint64_t end_tick;		    /* shifted */
	struct callstack_table *callstacks; /* the profile's */
	struct replay_figures figures;
	struct agg_sites sites;
	struct agg_totals totals;
	struct agg_maps maps;
	struct agg_timeline timeline;
	struct agg_leaks leaks;
	struct agg_curves curves;
	int failed;		  /* -errno from within a boundary, for the next batch to return */
	size_t raw_sites;	  /* of the trace, before those that look the same are one */
	uint32_t *number_of_site; /* merged site by site; UINT32_MAX: left out */
	uint32_t *rank_of_site;	  /* likewise, of the top; UINT32_MAX: of none */
};

static double seconds(const struct analysis *analysis, uint64_t shifted)
{
	return trace_time_seconds(&analysis->time, shifted << analysis->reader->tick_shift);
}

static int take_changes(void *context, const struct replay_batch *batch)
{
	struct analysis *analysis = context;
	struct agg_range range;
	int rc = analysis->failed;

	if (rc == 0)
		rc = agg_sites_changes(&analysis->sites, batch, analysis->callstacks->site_count,
				       &range);
	if (rc != 0)
		return rc;
	agg_timeline_changes(&analysis->timeline, batch, &range, analysis->sites.live_bytes,
			     analysis->sites.live_blocks);
	return agg_maps_changes(&analysis->maps, batch);
}

static uint64_t next_boundary(const struct analysis *analysis)
{
	uint64_t interval = agg_timeline_boundary(&analysis->timeline);
	uint64_t part = agg_leaks_boundary(&analysis->leaks);

	return interval < part ? interval : part;
}

static uint64_t take_boundary(void *context, uint64_t at)
{
	struct analysis *analysis = context;

	while (agg_timeline_boundary(&analysis->timeline) <= at)
		agg_timeline_pass(&analysis->timeline);
	while (agg_leaks_boundary(&analysis->leaks) <= at) {
		analysis->failed = agg_leaks_pass(&analysis->leaks, &analysis->sites);
		if (analysis->failed != 0)
			return REPLAY_NEVER;
	}
	return next_boundary(analysis);
}

static int first_pass(struct analysis *analysis)
{
	struct replay_consumer consumer = {
	    .context = analysis, .changes = take_changes, .boundary = take_boundary};
	uint64_t last_tick = replay_last_tick(analysis->reader);
	size_t points = analysis->options->points;
	int rc;

	if (analysis->reader->last_tick > last_tick)
		last_tick = analysis->reader->last_tick;
	trace_time_init(&analysis->time, analysis->reader, last_tick);
	analysis->end_tick = analysis->time.end_tick >> analysis->reader->tick_shift;
	if (points > analysis->end_tick)
		points = analysis->end_tick == 0 ? 1 : (size_t)analysis->end_tick;
	if (analysis->options->points == 0)
		points = 0;
	agg_sites_init(&analysis->sites);
	agg_maps_init(&analysis->maps, analysis->reader->header.page_size);
	agg_leaks_init(&analysis->leaks, analysis->end_tick);
	rc = agg_timeline_init(&analysis->timeline, points, analysis->end_tick);
	if (rc == 0)
		rc = callstack_init(analysis->callstacks, analysis->reader);
	if (rc != 0)
		return rc;
	consumer.first_boundary = next_boundary(analysis);
	rc = replay_run(analysis->reader, analysis->callstacks, &consumer, &analysis->figures);
	if (rc == 0)
		rc = agg_leaks_finish(&analysis->leaks, &analysis->sites);
	if (rc != 0)
		return rc;
	rc = agg_sites_finish(&analysis->sites, &analysis->totals);
	if (rc != 0)
		return rc;
	agg_maps_finish(&analysis->maps);
	agg_timeline_finish(&analysis->timeline);
	return 0;
}

/* All but the trend, which is there. */
static void fill_site(const struct analysis *analysis, const struct profile *profile, size_t number,
		      struct profile_site *site)
{
	const struct agg_site *from = &analysis->sites.sites[number];
	const struct agg_site_more *more = &analysis->sites.more[number];

	site->allocations = from->allocations;
	site->bytes = from->bytes;
	site->frees = from->allocations - from->live_blocks;
	site->peak_bytes = from->peak_bytes;
	site->peak_blocks = from->peak_blocks;
	site->live_bytes = from->live_bytes;
	site->live_blocks = from->live_blocks;
	site->temporary = more->temporary;
	site->failed = more->failed;
	if (from->allocations != 0) {
		site->first_s = seconds(analysis, more->first_tick);
		site->last_s = seconds(analysis, from->last_tick);
	}
	site->verdict =
	    agg_leaks_verdict(site, profile_trend(profile, site), profile->totals.duration_s);
}

/* Numbers the sites that had anything by how their stacks look. */
static int number_sites(struct analysis *analysis, struct site_stacks *stacks)
{
	size_t count = analysis->sites.count;

	analysis->raw_sites = count;
	analysis->number_of_site = malloc(count * sizeof(uint32_t) + 1);
	if (analysis->number_of_site == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		analysis->number_of_site[i] =
		    analysis->sites.sites[i].allocations == 0 && analysis->sites.more[i].failed == 0
			? SITE_STACKS_NONE
			: 0;
	return site_stacks_add(stacks, analysis->number_of_site, count);
}

/*
 * Makes the sites of the profile. What they were made of is given back as they are: there may be a
 * hundred thousand, and the two forms of all of them are the most memory that a report ever takes.
 */
static int make_sites(struct analysis *analysis, struct loaded *loaded)
{
	struct profile *profile = &loaded->profile;
	size_t count = profile->site_count;

	profile->sites = huge_resize(NULL, 0, (count + 1) * sizeof(*profile->sites));
	if (profile->sites == NULL ||
	    agg_leaks_trends(&analysis->leaks, analysis->number_of_site, profile) != 0)
		return -ENOMEM;
	agg_leaks_fini(&analysis->leaks);
	for (size_t i = count; i-- > 0;) {
		fill_site(analysis, profile, i, &profile->sites[i]);
		site_stacks_get(loaded->stacks, (uint32_t)i, &profile->sites[i].stack);
		if (i % SITES_AT_ONCE == 0)
			agg_sites_drop(&analysis->sites, i);
	}
	agg_sites_fini(&analysis->sites);
	return 0;
}

static int build_sites(struct analysis *analysis, struct loaded *loaded)
{
	struct profile *profile = &loaded->profile;
	int rc;

	loaded->stacks = site_stacks_new(analysis->reader, analysis->callstacks, analysis->options);
	if (loaded->stacks == NULL)
		return -ENOMEM;
	rc = number_sites(analysis, loaded->stacks);
	if (rc != 0)
		return rc;
	/* Those of the mappings are numbered behind and are no sites of the heap. */
	profile->site_count = site_stacks_count(loaded->stacks);
	rc = profile_maps_init(profile, &analysis->maps, loaded->stacks);
	if (rc != 0)
		return rc;
	agg_maps_fini(&analysis->maps);
	rc = site_stacks_finish(loaded->stacks);
	if (rc != 0)
		return rc;
	agg_sites_merge(&analysis->sites, analysis->number_of_site);
	rc = make_sites(analysis, loaded);
	if (rc != 0)
		return rc;
	return wrappers_skip(profile);
}

static void build_totals(const struct analysis *analysis, struct profile *profile)
{
	const struct agg_totals *from = &analysis->totals;
	const struct replay_figures *figures = &analysis->figures;
	uint64_t lost = profile->damage.lost_events + analysis->reader->unrecorded_events;
	uint64_t rss = analysis->reader->header.peak_rss_bytes;

	profile->totals = (struct profile_totals){
	    .allocations = from->allocations,
	    .frees = from->frees,
	    .reallocs = from->reallocs,
	    .bytes_allocated = from->bytes,
	    .peak_bytes = from->peak_bytes,
	    .peak_blocks = from->peak_blocks,
	    .peak_time_s = seconds(analysis, from->peak_tick),
	    .live_bytes_end = from->live_bytes,
	    .live_blocks_end = from->live_blocks,
	    .temporary = from->temporary,
	    .foreign_frees = figures->foreign_frees,
	    .failed = from->failed,
	    .duration_s = trace_time_seconds(&analysis->time, analysis->time.end_tick),
	    .events = figures->events,
	    /* A free that is missing may be among the lost that are known, or be one more. */
	    .lost_events = figures->replaced > lost ? figures->replaced : lost,
	    .peak_rss_bytes =
		analysis->timeline.peak_rss_bytes > rss ? analysis->timeline.peak_rss_bytes : rss,
	    .mismatched_frees = from->mismatched,
	    .maps = analysis->maps.maps,
	    .map_bytes = analysis->maps.bytes,
	    .map_peak_bytes = analysis->maps.peak_bytes,
	    .map_live_bytes_end = analysis->maps.live_bytes,
	};
	profile->unwind = (struct profile_unwind){
	    .checked = analysis->reader->header.unwind_checked,
	    .mismatches = analysis->reader->header.unwind_mismatches,
	    .fallbacks = analysis->reader->header.unwind_fallbacks,
	    .truncated = analysis->reader->header.unwind_truncated,
	};
}

/* The index found some of it, the replay the rest. */
static void build_damage(const struct analysis *analysis, struct profile_damage *damage)
{
	struct trace_damage all = analysis->reader->damage;
	const struct replay_figures *figures = &analysis->figures;

	if (figures->unreadable_segments != 0) {
		trace_damage_add(&all, 0, "unsound events in %llu segments",
				 (unsigned long long)figures->unreadable_segments);
		all.bad_segments += figures->unreadable_segments - 1;
		all.lost_events += figures->unreadable_events;
	}
	if (figures->absurd != 0) {
		trace_damage_add(&all, 0, "%llu blocks larger than an address space",
				 (unsigned long long)figures->absurd);
		all.lost_events += figures->absurd;
	}
	if (figures->unreadable_ring)
		trace_damage_add(&all, 0, "unsound words in a ring");
	if (analysis->callstacks->unresolved != 0)
		trace_damage_add(&all, 0, "%llu stacks are not whole in the file",
				 (unsigned long long)analysis->callstacks->unresolved);
	*damage = (struct profile_damage){.bad_segments = all.bad_segments,
					  .bad_bytes = all.bad_bytes,
					  .lost_events = all.lost_events,
					  .cut = all.cut};
	memcpy(damage->first, all.first, sizeof(damage->first));
}

static int build_points(const struct analysis *analysis, struct profile *profile)
{
	const struct agg_timeline *timeline = &analysis->timeline;

	if (timeline->count == 0)
		return 0;
	profile->points = calloc(timeline->count, sizeof(*profile->points));
	if (profile->points == NULL)
		return -ENOMEM;
	profile->point_count = timeline->count;
	for (size_t i = 0; i < timeline->count; i++) {
		const struct agg_interval *from = &timeline->intervals[i];

		profile->points[i] = (struct profile_point){
		    .time_s = seconds(analysis, from->end_tick),
		    .live_bytes = from->live_bytes,
		    .live_blocks = from->live_blocks,
		    .high_time_s = seconds(analysis, from->high_tick),
		    .high_bytes = from->high_bytes,
		    .low_bytes = from->low_bytes,
		    .rss_bytes = from->rss_bytes,
		};
	}
	return 0;
}

/* Chooses the top, and notes which of them each of the trace's own sites is part of. */
static int rank_sites(struct analysis *analysis, struct profile *profile)
{
	size_t count = analysis->raw_sites;
	uint32_t *ranks;
	int rc = profile_top_choose(profile, analysis->options, &ranks);

	if (rc == 0)
		analysis->rank_of_site = malloc(count * sizeof(uint32_t) + 1);
	if (rc == 0 && analysis->rank_of_site == NULL)
		rc = -ENOMEM;
	for (size_t i = 0; rc == 0 && i < count; i++) {
		uint32_t number = analysis->number_of_site[i];

		analysis->rank_of_site[i] = number == UINT32_MAX ? UINT32_MAX : ranks[number];
	}
	free(ranks);
	return rc;
}

static int take_curve_changes(void *context, const struct replay_batch *batch)
{
	struct analysis *analysis = context;

	return agg_curves_changes(&analysis->curves, batch);
}

static uint64_t curve_boundary(const struct analysis *analysis)
{
	size_t current = analysis->curves.current;

	if (current + 1 >= analysis->timeline.count)
		return REPLAY_NEVER;
	return analysis->timeline.intervals[current].end_tick;
}

static uint64_t take_curve_boundary(void *context, uint64_t at)
{
	struct analysis *analysis = context;

	while (curve_boundary(analysis) <= at)
		agg_curves_pass(&analysis->curves);
	return curve_boundary(analysis);
}

static int second_pass(struct analysis *analysis, struct profile *profile)
{
	struct replay_consumer consumer = {
	    .context = analysis, .changes = take_curve_changes, .boundary = take_curve_boundary};
	struct replay_figures again;
	int rc = 0;

	if (analysis->options->top_count != 0)
		rc = rank_sites(analysis, profile);
	if (rc != 0 || profile->top_count == 0 || profile->point_count == 0)
		return rc;
	rc = agg_curves_init(&analysis->curves, profile->point_count, profile->top_count,
			     analysis->rank_of_site, analysis->raw_sites);
	if (rc != 0)
		return rc;
	consumer.first_boundary = curve_boundary(analysis);
	rc = replay_run(analysis->reader, analysis->callstacks, &consumer, &again);
	if (rc != 0)
		return rc;
	agg_curves_finish(&analysis->curves);
	profile->top_bytes = agg_curves_take(&analysis->curves);
	return 0;
}

static int build(struct analysis *analysis, struct loaded *loaded)
{
	struct profile *profile = &loaded->profile;
	int rc = profile_process_init(&profile->process, analysis->reader);

	if (rc == 0)
		rc = first_pass(analysis);
	if (rc != 0)
		return rc;
	build_damage(analysis, &profile->damage);
	build_totals(analysis, profile);
	rc = build_points(analysis, profile);
	if (rc == 0)
		rc = build_sites(analysis, loaded);
	if (rc == 0)
		rc = second_pass(analysis, profile);
	return rc;
}

static void analysis_fini(struct analysis *analysis)
{
	agg_sites_fini(&analysis->sites);
	agg_maps_fini(&analysis->maps);
	agg_timeline_fini(&analysis->timeline);
	agg_leaks_fini(&analysis->leaks);
	agg_curves_fini(&analysis->curves);
	free(analysis->number_of_site);
	free(analysis->rank_of_site);
	trace_reader_free(analysis->reader);
}

int profile_load(const char *path, const struct profile_options *options, struct profile **out,
		 char *error, size_t error_bytes)
{
	static const struct profile_options defaults = {.symbols = true};
	struct analysis analysis = {.options = options != NULL ? options : &defaults};
	struct loaded *loaded;
	int rc = trace_reader_open(path, &analysis.reader, error, error_bytes);

	if (rc != 0)
		return rc;
	loaded = calloc(1, sizeof(*loaded));
	rc = -ENOMEM;
	if (loaded != NULL) {
		analysis.callstacks = &loaded->callstacks;
		rc = build(&analysis, loaded);
	}
	analysis_fini(&analysis);
	if (rc != 0) {
		if (loaded != NULL)
			profile_free(&loaded->profile);
		snprintf(error, error_bytes, "cannot be analysed: %s",
			 rc == -ENOMEM ? "not enough memory: use a machine with more"
				       : strerror(-rc));
		return rc;
	}
	*out = &loaded->profile;
	return 0;
}

void profile_free(struct profile *profile)
{
	struct loaded *loaded = (struct loaded *)profile;

	if (profile == NULL)
		return;
	profile_process_fini(&profile->process);
	huge_free(profile->sites, (profile->site_count + 1) * sizeof(*profile->sites));
	free(profile->trends);
	free(profile->map_sites);
	free(profile->points);
	free(profile->top);
	free(profile->top_bytes);
	site_stacks_free(loaded->stacks);
	callstack_fini(&loaded->callstacks);
	free(loaded);
}
