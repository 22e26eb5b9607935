/*
 * The verdicts are rules of thumb, ordered from the surest; their thresholds stand below with the
 * reason for each. Only what is live at the end is judged.
 */
#include "agg_leaks.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Allocated only within this part of the run and never freed: set up once. A twentieth is short
 * against any steady growth (which would go on in the other nineteen) and long enough for a
 * program that reads its configuration before it works.
 */
#define STARTUP_PART 0.05

/* In a program that is over so soon all is start-up; only a repeated deed tells a leak there. */
#define STARTUP_S 0.05

/* As often as this from one call stack, none freed, is a habit; less may be a handful of globals.
 */
#define NEVER_FREED_BLOCKS 10

/*
 * Of the seven steps between the trend's points so many must go up. A leak in a loop gives seven;
 * two may be missing, for a program that starts late or idles.
 */
#define GROWING_STEPS_UP 5

/*
 * No step may lose more than an eighth of what was live: caches and pools that are emptied do,
 * leaks that sit beside some freed blocks do not.
 */
#define GROWING_LOSS 8

/* The second half must add a quarter: what fills up and then stays is a cache. */
#define GROWING_SECOND_HALF 4

/*
 * When at least nine of ten were freed, freeing is the rule and the rest is what was in use at the
 * end. Fewer, and some path forgets, or keeps.
 */
#define IN_USE_FREED 0.9

/*
 * Growth over less than this is no trend: a compiler or a script that runs for half a second fills
 * its tables all that time and never frees them, as it should. Verdicts then are one step less
 * sure.
 */
#define SURE_S 1.0

void agg_leaks_init(struct agg_leaks *agg, uint64_t end_tick)
{
	*agg = (struct agg_leaks){.end_tick = end_tick};
}

void agg_leaks_fini(struct agg_leaks *agg)
{
	for (size_t i = 0; i < PROFILE_TREND_POINTS; i++) {
		free(agg->held[i]);
		agg->held[i] = NULL;
		agg->counts[i] = 0;
	}
}

uint64_t agg_leaks_boundary(const struct agg_leaks *agg)
{
	if (agg->part + 1 >= PROFILE_TREND_POINTS)
		return REPLAY_NEVER;
	return (uint64_t)((unsigned __int128)agg->end_tick * (agg->part + 1) /
			  PROFILE_TREND_POINTS);
}

int agg_leaks_pass(struct agg_leaks *agg, const struct agg_sites *sites)
{
	int rc = agg_sites_held(sites, &agg->held[agg->part], &agg->counts[agg->part]);

	if (rc == 0)
		agg->part++;
	return rc;
}

int agg_leaks_finish(struct agg_leaks *agg, const struct agg_sites *sites)
{
	int rc = 0;

	while (rc == 0 && agg->part < PROFILE_TREND_POINTS)
		rc = agg_leaks_pass(agg, sites);
	return rc;
}

/* Gives a trend of its own to each site that ever held something. Returns how many that are. */
static uint32_t number_trends(const struct agg_leaks *agg, const uint32_t *numbers,
			      struct profile_site *sites)
{
	uint32_t count = 0;

	for (size_t part = 0; part < PROFILE_TREND_POINTS; part++) {
		for (size_t i = 0; i < agg->counts[part]; i++) {
			uint32_t number = numbers[agg->held[part][i].site];

			if (number != UINT32_MAX && sites[number].trend == 0)
				sites[number].trend = ++count;
		}
	}
	return count;
}

int agg_leaks_trends(const struct agg_leaks *agg, const uint32_t *numbers, struct profile *profile)
{
	uint32_t count = number_trends(agg, numbers, profile->sites);

	profile->trends = calloc(count + 1u, PROFILE_TREND_POINTS * sizeof(*profile->trends));
	if (profile->trends == NULL)
		return -ENOMEM;
	for (size_t part = 0; part < PROFILE_TREND_POINTS; part++) {
		for (size_t i = 0; i < agg->counts[part]; i++) {
			const struct agg_held *held = &agg->held[part][i];
			uint32_t number = numbers[held->site];
			size_t trend = number == UINT32_MAX ? 0 : profile->sites[number].trend;

			if (trend != 0)
				profile->trends[trend * PROFILE_TREND_POINTS + part] += held->bytes;
		}
	}
	return 0;
}

static bool growing(const uint64_t *trend)
{
	uint64_t half = trend[PROFILE_TREND_POINTS / 2 - 1];
	uint64_t end = trend[PROFILE_TREND_POINTS - 1];
	int up = 0;

	for (size_t i = 1; i < PROFILE_TREND_POINTS; i++) {
		if (trend[i] > trend[i - 1])
			up++;
		else if (trend[i - 1] - trend[i] > trend[i - 1] / GROWING_LOSS)
			return false;
	}
	return up >= GROWING_STEPS_UP && end > half && end - half >= half / GROWING_SECOND_HALF;
}

static enum profile_verdict never_freed(const struct profile_site *site, double duration_s)
{
	bool few = site->allocations < NEVER_FREED_BLOCKS;

	if (site->last_s <= duration_s * STARTUP_PART || (few && site->last_s <= STARTUP_S))
		return VERDICT_STARTUP;
	if (!few)
		return VERDICT_NEVER_FREED;
	/* One block, made later: no way to tell a leak from a thing in use. */
	return site->allocations > 1 ? VERDICT_REMNANT : VERDICT_IN_USE;
}

static enum profile_verdict judge(const struct profile_site *site, const uint64_t *trend,
				  double duration_s)
{
	if (growing(trend))
		return VERDICT_GROWING;
	if (site->frees == 0)
		return never_freed(site, duration_s);
	if ((double)site->frees >= (double)site->allocations * IN_USE_FREED)
		return VERDICT_IN_USE;
	return VERDICT_REMNANT;
}

enum profile_verdict agg_leaks_verdict(const struct profile_site *site, const uint64_t *trend,
				       double duration_s)
{
	enum profile_verdict verdict;

	if (site->live_blocks == 0)
		return VERDICT_NONE;
	verdict = judge(site, trend, duration_s);
	if (duration_s >= SURE_S)
		return verdict;
	if (verdict == VERDICT_GROWING)
		return VERDICT_NEVER_FREED;
	return verdict == VERDICT_NEVER_FREED ? VERDICT_REMNANT : verdict;
}
