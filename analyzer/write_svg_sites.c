/*
 * A site of the picture is a list of followed ranks. There are some hundreds of them at most, so
 * each is compared with every site found so far.
 */
#include "write_svg_sites.h"

#include "profile.h"
#include "write_svg.h"
#include "writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NO_SITE SIZE_MAX
#define HAIR	1000

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool svg_same_frame(const struct profile_frame *a, const struct profile_frame *b)
{
	if (a == b)
		return true;
	if (!a || !b || a->line != b->line)
		return false;
	if (!same_text(a->function, b->function) || !same_text(a->module, b->module) ||
	    !same_text(a->file, b->file))
		return false;
	return (a->function && a->function[0]) || a->offset == b->offset;
}

const struct profile_frame *svg_frame(const struct profile_stack *stack, size_t above)
{
	if (stack->site_frame >= stack->count || above >= stack->count - stack->site_frame)
		return NULL;
	return stack->frames[stack->site_frame + above];
}

/* Puts rank `rank` to the site of its name, and returns which that is. */
static size_t join(struct svg_sites *sites, const struct profile *profile, size_t rank,
		   bool by_stack)
{
	const struct profile_site *site = &profile->sites[profile->top_sites[rank]];
	struct svg_site *into;
	size_t at = by_stack ? sites->count : 0;

	while (at < sites->count &&
	       !svg_same_frame(svg_frame(sites->sites[at].stack, 0), svg_frame(&site->stack, 0)))
		at++;
	into = &sites->sites[at];
	if (at == sites->count) {
		sites->count++;
		into->stack = &site->stack;
	}
	into->members++;
	into->peak_bytes += profile->top_peak_bytes[rank];
	into->peak_blocks += site->peak_blocks;
	return at;
}

struct order {
	uint64_t bytes;
	size_t site;
};

static int largest_first(const void *left, const void *right)
{
	const struct order *a = left, *b = right;

	if (a->bytes != b->bytes)
		return a->bytes < b->bytes ? 1 : -1;
	return (a->site > b->site) - (a->site < b->site);
}

/*
 * Sorts the sites and keeps the first `most` that hold `least` bytes; place[] of a followed rank
 * becomes its site's new place, or NO_SITE.
 */
static int keep_largest(struct svg_sites *sites, size_t *place, size_t ranks, size_t most,
			uint64_t least)
{
	struct order *order = calloc(sites->count + 1, sizeof(*order));
	size_t *new_place = calloc(sites->count + 1, sizeof(*new_place));
	struct svg_site *sorted = calloc(sites->count + 1, sizeof(*sorted));
	size_t kept = 0;

	if (!order || !new_place || !sorted) {
		free(order);
		free(new_place);
		free(sorted);
		return -ENOMEM;
	}
	for (size_t i = 0; i < sites->count; i++)
		order[i] = (struct order){sites->sites[i].peak_bytes, i};
	qsort(order, sites->count, sizeof(*order), largest_first);
	for (size_t i = 0; i < sites->count; i++) {
		bool keep = i < most && order[i].bytes >= least;

		new_place[order[i].site] = keep ? i : NO_SITE;
		sorted[i] = sites->sites[order[i].site];
		kept += keep;
	}
	for (size_t rank = 0; rank < ranks; rank++)
		place[rank] = new_place[place[rank]];
	free(order);
	free(new_place);
	free(sites->sites);
	sites->sites = sorted;
	sites->count = kept;
	return 0;
}

static int add_up(struct svg_sites *sites, const struct profile *profile, const size_t *place)
{
	size_t ranks = profile->top_count;

	sites->bytes = calloc(profile->point_count * sites->count + 1, sizeof(*sites->bytes));
	sites->peak = calloc(sites->count + 1, sizeof(*sites->peak));
	if (!sites->bytes || !sites->peak)
		return -ENOMEM;
	for (size_t rank = 0; rank < ranks; rank++) {
		if (place[rank] == NO_SITE)
			continue;
		sites->peak[place[rank]] += profile->top_peak_bytes[rank];
		for (size_t p = 0; p < profile->point_count; p++)
			sites->bytes[p * sites->count + place[rank]] +=
			    profile->top_bytes[p * ranks + rank];
	}
	return 0;
}

static void count_others(struct svg_sites *sites, const struct profile *profile)
{
	uint64_t bytes = 0, blocks = 0, stacks = 0, shown = 0;

	for (size_t i = 0; i < sites->count; i++) {
		bytes += sites->sites[i].peak_bytes;
		blocks += sites->sites[i].peak_blocks;
		shown += sites->sites[i].members;
	}
	for (size_t i = 0; i < profile->site_count; i++)
		stacks += profile->sites[i].peak_bytes > 0;
	sites->other_stacks = stacks > shown ? stacks - shown : 0;
	if (profile->totals.peak_bytes > bytes)
		sites->other_bytes = profile->totals.peak_bytes - bytes;
	if (profile->totals.peak_blocks > blocks)
		sites->other_blocks = profile->totals.peak_blocks - blocks;
}

int svg_sites_init(struct svg_sites *sites, const struct profile *profile,
		   const struct writer_options *options)
{
	bool usual = options->top == WRITER_TOP_DEFAULT;
	size_t most = usual ? SVG_TOP : options->top;
	/* Unasked, none that would be less than a hair's breadth. */
	uint64_t least = usual ? profile->totals.peak_bytes / HAIR : 0;
	size_t ranks = profile->top_count;
	size_t *place = calloc(ranks + 1, sizeof(*place));
	int error = -ENOMEM;

	*sites = (struct svg_sites){.sites = calloc(ranks + 1, sizeof(*sites->sites))};
	if (most == 0 || most > SVG_TOP_MAX)
		most = SVG_TOP_MAX;
	if (place && sites->sites) {
		for (size_t rank = 0; rank < ranks; rank++)
			place[rank] = join(sites, profile, rank, options->by_stack);
		error = keep_largest(sites, place, ranks, most, least > 0 ? least : 1);
	}
	if (!error)
		error = add_up(sites, profile, place);
	if (!error)
		count_others(sites, profile);
	free(place);
	if (error)
		svg_sites_fini(sites);
	return error;
}

void svg_sites_fini(struct svg_sites *sites)
{
	free(sites->sites);
	free(sites->bytes);
	free(sites->peak);
	*sites = (struct svg_sites){0};
}
