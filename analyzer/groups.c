/*
 * Sites are sorted by name and then by rank, so members of a group are neighbours and the first is
 * its best; the sums are then sorted by rank.
 */
#include "groups.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct by_name {
	const struct profile *profile;
	enum ranking_metric metric;
};

static int compare_strings(const char *a, const char *b)
{
	return a == b ? 0 : !a ? -1 : !b ? 1 : strcmp(a, b);
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static const struct profile_frame *name_frame(const struct profile_stack *stack)
{
	if (stack->count == 0)
		return NULL;
	return stack->frames[stack->site_frame < stack->count ? stack->site_frame : 0];
}

static int compare_frames(const struct profile_frame *a, const struct profile_frame *b)
{
	int order;

	if (a == b || !a || !b)
		return compare_numbers(a != NULL, b != NULL);
	order = compare_strings(a->function, b->function);
	if (!order)
		order = compare_strings(a->file, b->file);
	if (!order)
		order = compare_numbers(a->line, b->line);
	if (!order)
		order = compare_strings(a->module, b->module);
	if (!order && !a->function)
		order = compare_numbers(a->offset, b->offset);
	return order;
}

static int compare_names(const struct profile_site *a, const struct profile_site *b,
			 const struct by_name *how)
{
	int order = compare_frames(name_frame(&a->stack), name_frame(&b->stack));

	if (!order && how->metric == RANKING_LEAK)
		order = (int)ranking_suspicion(b) - (int)ranking_suspicion(a);
	return order;
}

static int compare_indices(const void *left, const void *right, void *data)
{
	const struct by_name *how = data;
	uint32_t at_a = *(const uint32_t *)left, at_b = *(const uint32_t *)right;
	const struct profile_site *a = &how->profile->sites[at_a], *b = &how->profile->sites[at_b];
	int order = compare_names(a, b, how);

	if (!order)
		order = ranking_compare(a, b, how->metric);
	return order ? order : compare_numbers(at_a, at_b);
}

static int compare_groups(const void *left, const void *right, void *data)
{
	const struct group *a = left, *b = right;
	const enum ranking_metric *metric = data;
	int order = ranking_compare(&a->sum, &b->sum, *metric);

	return order ? order : compare_numbers(b->members, a->members);
}

static void add(struct group *group, const struct profile_site *site)
{
	struct profile_site *sum = &group->sum;

	if (group->members++ == 0) {
		*sum = *site;
		return;
	}
	sum->allocations += site->allocations;
	sum->bytes += site->bytes;
	sum->frees += site->frees;
	sum->peak_bytes += site->peak_bytes;
	sum->peak_blocks += site->peak_blocks;
	sum->live_bytes += site->live_bytes;
	sum->live_blocks += site->live_blocks;
	sum->temporary += site->temporary;
	sum->failed += site->failed;
	if (site->first_s < sum->first_s)
		sum->first_s = site->first_s;
	if (site->last_s > sum->last_s)
		sum->last_s = site->last_s;
	for (size_t i = 0; i < PROFILE_TREND_POINTS; i++)
		sum->trend_bytes[i] += site->trend_bytes[i];
	if (ranking_suspicion(site) > ranking_suspicion(sum))
		sum->verdict = site->verdict;
}

int groups_init(struct groups *groups, const struct profile *profile, enum ranking_metric metric,
		bool by_stack)
{
	struct by_name how = {.profile = profile, .metric = metric};
	size_t count = profile->site_count;
	uint32_t *order = malloc((count + 1) * sizeof(*order));

	groups->count = 0;
	groups->groups = malloc((count + 1) * sizeof(*groups->groups));
	if (!order || !groups->groups) {
		free(order);
		groups_fini(groups);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++)
		order[i] = (uint32_t)i;
	qsort_r(order, count, sizeof(*order), compare_indices, &how);
	for (size_t i = 0; i < count; i++) {
		const struct profile_site *site = &profile->sites[order[i]];

		if (i == 0 || by_stack ||
		    compare_names(&profile->sites[order[i - 1]], site, &how) != 0)
			groups->groups[groups->count++].members = 0;
		add(&groups->groups[groups->count - 1], site);
	}
	free(order);
	qsort_r(groups->groups, groups->count, sizeof(*groups->groups), compare_groups, &metric);
	return 0;
}

void groups_fini(struct groups *groups)
{
	free(groups->groups);
	groups->groups = NULL;
	groups->count = 0;
}
