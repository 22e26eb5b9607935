#include "write_svg_sites.h"

#include "profile.h"
#include "write_svg.h"
#include "writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HAIR 1000 /* parts of the peak */

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
	return profile_stack_frame(stack, stack->site_frame + above);
}

static void count_others(struct svg_sites *sites, const struct profile *profile)
{
	uint64_t bytes = 0, blocks = 0, stacks = 0, shown = 0;

	for (size_t i = 0; i < sites->count; i++) {
		bytes += sites->sites[i].peak_bytes;
		blocks += sites->sites[i].peak_blocks;
		shown += sites->sites[i].holding;
	}
	for (size_t i = 0; i < profile->site_count; i++)
		stacks += profile->sites[i].peak_bytes > 0;
	sites->other_stacks = stacks > shown ? stacks - shown : 0;
	if (profile->totals.peak_bytes > bytes)
		sites->other_bytes = profile->totals.peak_bytes - bytes;
	if (profile->totals.peak_blocks > blocks)
		sites->other_blocks = profile->totals.peak_blocks - blocks;
}

size_t svg_sites_wanted(const struct writer_options *options)
{
	if (options->top == WRITER_TOP_DEFAULT)
		return SVG_TOP;
	return options->top == 0 || options->top > SVG_TOP_MAX ? SVG_TOP_MAX : options->top;
}

int svg_sites_init(struct svg_sites *sites, const struct profile *profile,
		   const struct writer_options *options)
{
	size_t most = svg_sites_wanted(options);
	/* Unasked, none that would be less than a hair's breadth. */
	uint64_t least = options->top == WRITER_TOP_DEFAULT ? profile->totals.peak_bytes / HAIR : 0;

	if (most > profile->top_count)
		most = profile->top_count;
	*sites = (struct svg_sites){.sites = profile->top};
	sites->peak = calloc(most + 1, sizeof(*sites->peak));
	if (!sites->peak)
		return -ENOMEM;
	while (sites->count < most && profile->top[sites->count].peak_bytes >= least) {
		sites->peak[sites->count] = profile->top[sites->count].peak_bytes;
		sites->count++;
	}
	count_others(sites, profile);
	return 0;
}

void svg_sites_fini(struct svg_sites *sites)
{
	free(sites->peak);
	*sites = (struct svg_sites){0};
}
