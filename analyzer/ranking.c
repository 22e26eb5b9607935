#include "ranking.h"

#include <stdlib.h>
#include <string.h>

#include "profile.h"

static const size_t metric_offsets[RANKING_METRICS] = {
    [RANKING_PEAK] = offsetof(struct profile_site, peak_bytes),
    [RANKING_LEAK] = offsetof(struct profile_site, live_bytes),
    [RANKING_ALLOCATIONS] = offsetof(struct profile_site, allocations),
    [RANKING_BYTES] = offsetof(struct profile_site, bytes),
    [RANKING_TEMPORARY] = offsetof(struct profile_site, temporary),
};

uint64_t ranking_value(const struct profile_site *site, enum ranking_metric metric)
{
	uint64_t value;

	memcpy(&value, (const char *)site + metric_offsets[metric], sizeof(value));
	return value;
}

unsigned ranking_suspicion(const struct profile_site *site)
{
	if (site->live_blocks == 0)
		return 0;
	switch (site->verdict) {
	case VERDICT_GROWING:
		return 4;
	case VERDICT_NEVER_FREED:
		return 3;
	case VERDICT_REMNANT:
		return 2;
	default:
		return 1;
	}
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int compare_strings(const char *a, const char *b)
{
	return a == b ? 0 : !a ? -1 : !b ? 1 : strcmp(a, b);
}

static int compare_frames(const struct profile_frame *a, const struct profile_frame *b)
{
	int order = compare_strings(a->function, b->function);

	if (!order)
		order = compare_strings(a->module, b->module);
	if (!order)
		order = compare_numbers(a->offset, b->offset);
	if (!order)
		order = compare_strings(a->file, b->file);
	if (!order)
		order = compare_numbers(a->line, b->line);
	return order ? order : (int)a->inlined - (int)b->inlined;
}

static int compare_frames_of(const struct profile_frame *const *a,
			     const struct profile_frame *const *b, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int order = a[i] == b[i] ? 0 : compare_frames(a[i], b[i]);

		if (order)
			return order;
	}
	return 0;
}

/* What is at hand of both decides nearly always. */
static int compare_stacks(const struct profile_stack *a, const struct profile_stack *b)
{
	size_t least = a->count < b->count ? a->count : b->count;
	size_t at_hand = a->count - a->later;
	int order;

	if (at_hand > b->count - b->later)
		at_hand = b->count - b->later;
	order = compare_frames_of(a->frames, b->frames, at_hand);
	if (order)
		return order;
	order = compare_frames_of(profile_stack_frames(a), profile_stack_frames(b), least);
	return order ? order : compare_numbers(a->count, b->count);
}

int ranking_compare(const struct profile_site *a, const struct profile_site *b,
		    enum ranking_metric metric)
{
	/* The figure asked for comes first, then these in turn, all descending. */
	const enum ranking_metric ties[] = {metric, RANKING_PEAK, RANKING_BYTES,
					    RANKING_ALLOCATIONS, RANKING_LEAK};
	int order = 0;

	if (metric == RANKING_LEAK)
		order = compare_numbers(ranking_suspicion(b), ranking_suspicion(a));
	for (size_t i = 0; !order && i < sizeof(ties) / sizeof(ties[0]); i++)
		order = compare_numbers(ranking_value(b, ties[i]), ranking_value(a, ties[i]));
	return order ? order : compare_stacks(&a->stack, &b->stack);
}

struct ranking {
	const struct profile_site *sites;
	enum ranking_metric metric;
};

static int compare_indices(const void *left, const void *right, void *data)
{
	const struct ranking *ranking = data;
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
	int order = ranking_compare(&ranking->sites[a], &ranking->sites[b], ranking->metric);

	return order ? order : compare_numbers(a, b);
}

uint32_t *ranking_sort(const struct profile *profile, enum ranking_metric metric)
{
	struct ranking ranking = {.sites = profile->sites, .metric = metric};
	uint32_t *order = malloc((profile->site_count + 1) * sizeof(*order));

	if (!order)
		return NULL;
	for (size_t i = 0; i < profile->site_count; i++)
		order[i] = (uint32_t)i;
	qsort_r(order, profile->site_count, sizeof(*order), compare_indices, &ranking);
	return order;
}
