/*
 * Judgements in words. The figures behind them are the profile's; only the wording, and what is
 * said first, is decided here.
 */
#include <errno.h>
#include <string.h>

#include "groups.h"
#include "out.h"
#include "profile.h"
#include "text.h"
#include "writer.h"

/* When leaks or churn come before the peak in the one line that says what to look at. */
#define LEAK_LEAST_BYTES   (64 * 1024)
#define LEAK_LEAST_PERCENT 5		      /* of the peak, however few bytes */
#define UNSEEN_LEAST_BYTES (32 * 1024 * 1024) /* resident; libraries' pages are in it */
#define UNSEEN_CALLS_MAX   1000		 /* libc's own, for a program with a hidden allocator */
#define MAPS_LEAST_BYTES   (1024 * 1024) /* less, as of a thread's stack, is nobody's question */
#define CHURN_LEAST	   100000
#define CHURN_PERCENT	   50

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

const char *text_suspicion(unsigned suspicion)
{
	static const char *const words[] = {"none", "not likely", "perhaps", "likely",
					    "very likely"};

	return words[suspicion < 5 ? suspicion : 0];
}

void text_evidence(struct text *text, const struct profile_site *site)
{
	struct out *out = text->out;
	double span = site->last_s - site->first_s;

	if (site->allocations == 1) {
		out_printf(out, "one block, allocated at %s s", OUT_SECONDS(site->first_s));
		return;
	}
	switch (site->verdict) {
	case VERDICT_GROWING:
	case VERDICT_NEVER_FREED:
		if (site->frees == 0)
			out_printf(out, "never freed, %s block%s", OUT_COUNT(site->live_blocks),
				   plural(site->live_blocks));
		else
			out_printf(out, "%s of %s blocks not freed", OUT_COUNT(site->live_blocks),
				   OUT_COUNT(site->allocations));
		if (span >= 0.0005)
			out_printf(out, " over %s s", OUT_SECONDS(span));
		if (site->verdict == VERDICT_GROWING)
			out_text(out, ", growing");
		break;
	case VERDICT_REMNANT:
		out_printf(out, "%s of %s blocks stayed", OUT_COUNT(site->live_blocks),
			   OUT_COUNT(site->allocations));
		break;
	case VERDICT_STARTUP:
		out_printf(out, "set up by %s s and kept, %s block%s", OUT_SECONDS(site->last_s),
			   OUT_COUNT(site->live_blocks), plural(site->live_blocks));
		break;
	default:
		out_printf(out, "%s of %s blocks alive at the end", OUT_COUNT(site->live_blocks),
			   OUT_COUNT(site->allocations));
		break;
	}
}

static bool nothing_lost(const struct profile *profile)
{
	return profile->totals.lost_events == 0 && profile->damage.lost_events == 0 &&
	       profile->damage.bad_bytes == 0 && profile->damage.bad_segments == 0 &&
	       !profile->damage.cut;
}

void text_end(struct text *text)
{
	const struct profile_process *process = &text->profile->process;
	const char *end = process->end ? process->end : "", *kept = "", *name;
	struct out *out = text->out;

	if (nothing_lost(text->profile))
		kept = " (nothing was lost)";
	if (!strcmp(end, "exit")) {
		out_text(out, "exited");
		if (process->end_status >= 0)
			out_printf(out, " with %d", process->end_status);
	} else if (!strcmp(end, "signal")) {
		name = process->end_status > 0 ? sigabbrev_np(process->end_status) : NULL;
		out_text(out, "ended by ");
		if (name)
			out_printf(out, "SIG%s%s", name, kept);
		else
			out_printf(out, "signal %d%s", process->end_status, kept);
	} else if (!strcmp(end, "exec")) {
		out_text(out, "replaced itself by another program");
	} else if (!strcmp(end, "killed")) {
		out_printf(out, "killed%s", kept);
	} else if (!strcmp(end, "running")) {
		out_text(out, "still running");
	} else {
		out_text(out, "end unknown");
	}
}

/* What is live at the end, by how likely it is leaked. */
struct leaks {
	uint64_t bytes[5];
	uint64_t sites[5];
	uint64_t startup_bytes;
};

static void count_leaks(const struct groups *groups, struct leaks *leaks)
{
	memset(leaks, 0, sizeof(*leaks));
	for (size_t i = 0; i < groups->count; i++) {
		unsigned suspicion = ranking_suspicion(&groups->groups[i].sum);

		leaks->bytes[suspicion] += groups->groups[i].sum.live_bytes;
		leaks->sites[suspicion]++;
		if (groups->groups[i].sum.verdict == VERDICT_STARTUP)
			leaks->startup_bytes += groups->groups[i].sum.live_bytes;
	}
}

static bool leaks_matter(const struct text *text, const struct leaks *leaks)
{
	uint64_t bytes = leaks->bytes[4] + leaks->bytes[3], peak = text->profile->totals.peak_bytes;

	return bytes >= LEAK_LEAST_BYTES ||
	       (bytes > 0 && (double)bytes * 100 >= (double)peak * LEAK_LEAST_PERCENT);
}

static void say_leaks(struct text *text, const struct leaks *leaks)
{
	const char *separator = "Leaks: ";
	struct out *out = text->out;

	for (unsigned suspicion = 4; suspicion >= 3; suspicion--) {
		if (!leaks->sites[suspicion])
			continue;
		out_printf(out, "%s%s site%s %s, %s", separator, OUT_COUNT(leaks->sites[suspicion]),
			   plural(leaks->sites[suspicion]), text_suspicion(suspicion),
			   OUT_BYTES(leaks->bytes[suspicion]));
		separator = "; ";
	}
	if (leaks->startup_bytes)
		out_printf(out, "; %s set up at start and kept", OUT_BYTES(leaks->startup_bytes));
}

/* Says "TITLE: N % WHAT LINK NAME" of the best group of a profile by a metric. */
static int say_best(struct text *text, const struct profile *profile,
		    const struct grouping *grouping, enum ranking_metric metric, uint64_t whole)
{
	struct groups groups;
	int result = groups_init(&groups, profile, grouping, metric);

	if (result)
		return result;
	if (groups.count > 0) {
		const struct profile_site *best = &groups.groups[0].sum;
		uint64_t value = ranking_value(best, metric);

		if (metric == RANKING_TEMPORARY)
			out_printf(text->out, "; %s of them in ", OUT_PERCENT(value, whole));
		else if (profile != text->profile)
			out_printf(text->out, ": %s in ", OUT_PERCENT(value, whole));
		else
			out_printf(text->out, "Peak: %s in ", OUT_PERCENT(value, whole));
		text_site_name(text, &best->stack, text->columns - 20);
	}
	groups_fini(&groups);
	return 0;
}

/*
 * Memory that the program maps itself is no part of the heap; where it is more, the heap is not
 * what to look at.
 */
static int say_maps(struct text *text)
{
	struct profile maps = text_map_profile(text->profile);
	struct grouping *grouping = grouping_new(&maps);
	uint64_t resident = text->profile->totals.peak_rss_bytes;
	int result;

	if (!grouping)
		return -ENOMEM;
	out_printf(text->out, "Own mappings: %s at most, ", OUT_BYTES(maps.totals.peak_bytes));
	/* What is mapped need not be there: virtual machines reserve address space. */
	if (resident && maps.totals.peak_bytes > resident)
		out_printf(text->out, "part of it only reserved (%s resident in all)",
			   OUT_BYTES(resident));
	else
		out_text(text->out, "more than the heap");
	result = say_best(text, &maps, grouping, RANKING_PEAK, maps.totals.peak_bytes);
	grouping_free(grouping);
	return result;
}

/* Few calls and little memory of what is resident: most of it did not come from malloc. */
static bool is_mostly_unseen(const struct profile *profile)
{
	const struct profile_totals *totals = &profile->totals;

	return totals->allocations > 0 && totals->allocations < UNSEEN_CALLS_MAX &&
	       nothing_lost(profile) && totals->peak_rss_bytes >= UNSEEN_LEAST_BYTES &&
	       (totals->peak_bytes + totals->map_peak_bytes) < totals->peak_rss_bytes / 16;
}

int text_verdict(struct text *text)
{
	const struct profile_totals *totals = &text->profile->totals;
	struct groups groups;
	struct leaks leaks;
	int result = groups_init(&groups, text->profile, text->grouping, RANKING_LEAK);

	if (result)
		return result;
	count_leaks(&groups, &leaks);
	groups_fini(&groups);
	text_style(text, TEXT_BOLD);
	if (totals->map_peak_bytes > totals->peak_bytes &&
	    totals->map_peak_bytes >= MAPS_LEAST_BYTES && !leaks_matter(text, &leaks)) {
		result = say_maps(text);
	} else if (totals->allocations == 0) {
		out_text(text->out, !nothing_lost(text->profile)
					? "Nothing that could be read tells of an allocation"
					: "No allocation was seen: the program may be static or "
					  "bring an allocator of its own");
	} else if (leaks_matter(text, &leaks)) {
		say_leaks(text, &leaks);
	} else if (is_mostly_unseen(text->profile)) {
		out_printf(text->out,
			   "Seen: %s of %s resident: the rest is static data, a "
			   "parent's, or of an allocator of its own",
			   OUT_BYTES(totals->peak_bytes), OUT_BYTES(totals->peak_rss_bytes));
	} else if (totals->allocations >= CHURN_LEAST &&
		   totals->temporary / CHURN_PERCENT >= totals->allocations / 100) {
		out_printf(text->out, "Churn: %s of all allocations were temporary",
			   OUT_PERCENT(totals->temporary, totals->allocations));
		result = say_best(text, text->profile, text->grouping, RANKING_TEMPORARY,
				  totals->temporary);
	} else {
		result =
		    say_best(text, text->profile, text->grouping, RANKING_PEAK, totals->peak_bytes);
	}
	text_style(text, TEXT_PLAIN);
	out_char(text->out, '\n');
	return result;
}
