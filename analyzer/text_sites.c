/*
 * Lists of sites. Each metric has a way to print the figures of one; the rest is alike.
 */
#include <errno.h>
#include <stdio.h>

#include "groups.h"
#include "out.h"
#include "profile.h"
#include "text.h"
#include "writer.h"

#define STACK_INDENT 8
#define FIRST_DEPTH  8 /* lines of the stacks of the first sites... */
#define FIRST_SITES  3
#define LATER_DEPTH  5	 /* ...and of the others: what comes later matters less */
#define ALWAYS_SHOWN 3	 /* sites of a section; more only when they are at least */
#define LEAST_PART   100 /* one of so many parts of the whole, unless -n asks for them */

typedef void (*figures_function)(struct text *text, const struct profile_site *site,
				 uint64_t whole);

static void peak_figures(struct text *text, const struct profile_site *site, uint64_t whole)
{
	out_printf(text->out, "%7s %11s  in %s block%s", OUT_PERCENT(site->peak_bytes, whole),
		   OUT_BYTES(site->peak_bytes), OUT_COUNT(site->peak_blocks),
		   site->peak_blocks == 1 ? "" : "s");
}

static void leak_figures(struct text *text, const struct profile_site *site, uint64_t whole)
{
	unsigned suspicion = ranking_suspicion(site);

	(void)whole;
	text_style(text, suspicion >= 3 ? TEXT_BAD : suspicion == 2 ? TEXT_PLAIN : TEXT_DIM);
	out_printf(text->out, "%11s", text_suspicion(suspicion));
	text_style(text, TEXT_PLAIN);
	out_printf(text->out, " %11s  ", OUT_BYTES(site->live_bytes));
	text_evidence(text, site);
}

static void allocation_figures(struct text *text, const struct profile_site *site, uint64_t whole)
{
	out_printf(text->out, "%7s %13s  %s, %s on average", OUT_PERCENT(site->allocations, whole),
		   OUT_COUNT(site->allocations), OUT_BYTES(site->bytes),
		   OUT_BYTES(site->allocations ? site->bytes / site->allocations : 0));
}

static void byte_figures(struct text *text, const struct profile_site *site, uint64_t whole)
{
	out_printf(text->out, "%7s %11s  in %s allocation%s", OUT_PERCENT(site->bytes, whole),
		   OUT_BYTES(site->bytes), OUT_COUNT(site->allocations),
		   site->allocations == 1 ? "" : "s");
}

static void temporary_figures(struct text *text, const struct profile_site *site, uint64_t whole)
{
	out_printf(text->out, "%7s %13s  of %s here", OUT_PERCENT(site->temporary, whole),
		   OUT_COUNT(site->temporary), OUT_COUNT(site->allocations));
}

static const figures_function figures[RANKING_METRICS] = {
    [RANKING_PEAK] = peak_figures,
    [RANKING_LEAK] = leak_figures,
    [RANKING_ALLOCATIONS] = allocation_figures,
    [RANKING_BYTES] = byte_figures,
    [RANKING_TEMPORARY] = temporary_figures,
};

static uint64_t whole_of(const struct profile *profile, enum ranking_metric metric)
{
	switch (metric) {
	case RANKING_PEAK:
		return profile->totals.peak_bytes;
	case RANKING_LEAK:
		return profile->totals.live_bytes_end;
	case RANKING_ALLOCATIONS:
		return profile->totals.allocations;
	case RANKING_BYTES:
		return profile->totals.bytes_allocated;
	default:
		return profile->totals.temporary;
	}
}

/* A block of 0 bytes may be leaked too, so candidates are told by their blocks. */
static bool has_any(const struct profile_site *site, enum ranking_metric metric)
{
	return metric == RANKING_LEAK ? site->live_blocks > 0 : ranking_value(site, metric) > 0;
}

static bool worth_showing(const struct text *text, const struct profile_site *site, size_t shown,
			  enum ranking_metric metric, uint64_t whole)
{
	if (!has_any(site, metric))
		return false;
	if (shown < ALWAYS_SHOWN || text->options->top != WRITER_TOP_DEFAULT)
		return true;
	if (metric == RANKING_LEAK && ranking_suspicion(site) >= 2)
		return true;
	return metric != RANKING_LEAK && ranking_value(site, metric) >= whole / LEAST_PART;
}

static size_t depth_of(const struct text *text, size_t rank)
{
	if (text->options->depth == WRITER_DEPTH_DEFAULT)
		return rank <= FIRST_SITES ? FIRST_DEPTH : LATER_DEPTH;
	return text->options->depth ? text->options->depth : SIZE_MAX;
}

static void print_group(struct text *text, const struct group *group, size_t rank,
			enum ranking_metric metric, uint64_t whole)
{
	out_printf(text->out, "\n%3zu. ", rank);
	figures[metric](text, &group->sum, whole);
	if (group->members > 1) {
		text_style(text, TEXT_DIM);
		out_printf(text->out, "; 1 of %s stacks:", OUT_COUNT(group->members));
		text_style(text, TEXT_PLAIN);
	}
	out_char(text->out, '\n');
	text_stack(text, &group->sum.stack, depth_of(text, rank), STACK_INDENT);
}

int text_group(struct text *text)
{
	text->grouping = grouping_new(text->profile);
	return text->grouping ? 0 : -ENOMEM;
}

void text_ungroup(struct text *text)
{
	grouping_free(text->grouping);
	text->grouping = NULL;
}

/* What the sites that are not shown amount to. */
static void print_rest(struct text *text, const struct groups *groups, size_t from,
		       enum ranking_metric metric, uint64_t whole)
{
	uint64_t rest = 0;
	size_t count = 0;

	for (size_t i = from; i < groups->count; i++) {
		if (has_any(&groups->groups[i].sum, metric)) {
			rest += ranking_value(&groups->groups[i].sum, metric);
			count++;
		}
	}
	if (!count)
		return;
	text_style(text, TEXT_DIM);
	out_printf(text->out, "\n     ... and %s more with %s (-n 0 shows all)\n", OUT_COUNT(count),
		   OUT_PERCENT(rest, whole));
	text_style(text, TEXT_PLAIN);
}

int text_sites(struct text *text, enum ranking_metric metric)
{
	uint64_t whole = whole_of(text->profile, metric);
	const struct grouping *grouping = text->options->by_stack ? NULL : text->grouping;
	struct groups groups;
	size_t shown = 0;
	int result = groups_init(&groups, text->profile, grouping, metric);

	if (result)
		return result;
	while (shown < groups.count && shown < text->top &&
	       worth_showing(text, &groups.groups[shown].sum, shown, metric, whole) &&
	       !out_error(text->out)) {
		print_group(text, &groups.groups[shown], shown + 1, metric, whole);
		shown++;
	}
	print_rest(text, &groups, shown, metric, whole);
	groups_fini(&groups);
	return 0;
}

struct profile text_map_profile(const struct profile *profile)
{
	return (struct profile){
	    .process = profile->process,
	    .totals = {.allocations = profile->totals.maps,
		       .bytes_allocated = profile->totals.map_bytes,
		       .peak_bytes = profile->totals.map_peak_bytes,
		       .live_bytes_end = profile->totals.map_live_bytes_end},
	    .sites = profile->map_sites,
	    .site_count = profile->map_site_count,
	};
}

int text_map_sites(struct text *text)
{
	struct profile maps = text_map_profile(text->profile);
	struct text of_maps = *text;
	int result = -ENOMEM;

	of_maps.profile = &maps;
	of_maps.grouping = grouping_new(&maps);
	if (of_maps.grouping)
		result = text_sites(&of_maps, RANKING_PEAK);
	grouping_free(of_maps.grouping);
	return result;
}
