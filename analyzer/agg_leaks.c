/*
 * The verdicts are rules of thumb, ordered from the surest; their thresholds stand below with the
 * reason for each. Only what is live at the end is judged.
 */
#include "agg_leaks.h"

#include "huge.h"

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
	huge_free(agg->held, agg->room * sizeof(*agg->held));
	agg->held = NULL;
	agg->room = 0;
}

uint64_t agg_leaks_boundary(const struct agg_leaks *agg)
{
	if (agg->part + 1 >= PROFILE_TREND_POINTS)
		return REPLAY_NEVER;
	return (uint64_t)((unsigned __int128)agg->end_tick * (agg->part + 1) /
			  PROFILE_TREND_POINTS);
}

/* Where those of a part begin. */
static size_t begin_of(const struct agg_leaks *agg, size_t part)
{
	return part == 0 ? 0 : agg->ends[part - 1];
}

static int reserve(struct agg_leaks *agg, size_t count)
{
	size_t room = count < agg->room * 2 ? agg->room * 2 : count;
	struct agg_held *held;

	if (count <= agg->room)
		return 0;
	held = huge_resize(agg->held, agg->room * sizeof(*held), room * sizeof(*held));
	if (held == NULL)
		return -ENOMEM;
	agg->held = held;
	agg->room = room;
	return 0;
}

int agg_leaks_pass(struct agg_leaks *agg, const struct agg_sites *sites)
{
	size_t begin = begin_of(agg, agg->part);
	int rc = reserve(agg, begin + agg_sites_held_most(sites));

	if (rc == 0)
		agg->ends[agg->part++] = begin + agg_sites_held(sites, agg->held + begin);
	return rc;
}

int agg_leaks_finish(struct agg_leaks *agg, const struct agg_sites *sites)
{
	int rc = 0;

	while (rc == 0 && agg->part < PROFILE_TREND_POINTS)
		rc = agg_leaks_pass(agg, sites);
	return rc;
}

/*
 * Gives a trend of its own to each site that ever held something, and has it in place of the site,
 * or 0. Returns how many that are.
 */
static uint32_t number_trends(struct agg_leaks *agg, const uint32_t *numbers,
			      struct profile_site *sites)
{
	uint32_t count = 0;

	for (size_t i = 0; i < agg->ends[PROFILE_TREND_POINTS - 1]; i++) {
		uint32_t number = numbers[agg->held[i].site];

		agg->held[i].site = 0;
		if (number == UINT32_MAX)
			continue;
		if (sites[number].trend == 0)
			sites[number].trend = ++count;
		agg->held[i].site = sites[number].trend;
	}
	return count;
}

int agg_leaks_trends(struct agg_leaks *agg, const uint32_t *numbers, struct profile *profile)
{
	uint32_t count = number_trends(agg, numbers, profile->sites);

	profile->trends = calloc(count + 1u, PROFILE_TREND_POINTS * sizeof(*profile->trends));
	if (profile->trends == NULL)
		return -ENOMEM;
	for (size_t part = 0; part < PROFILE_TREND_POINTS; part++) {
		for (size_t i = begin_of(agg, part); i < agg->ends[part]; i++) {
			const struct agg_held *held = &agg->held[i];

			/* The trend 0 is nobody's. */
			if (held->site != 0)
				profile->trends[held->site * PROFILE_TREND_POINTS + part] +=
				    held->bytes;
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
