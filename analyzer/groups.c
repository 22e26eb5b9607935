/*
 * One pass puts each site into the group of its name, by a hash table, and keeps the best member's
 * stack; only the sums, a few hundred of them, are then sorted by rank.
 */
#include "groups.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

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

/* Whether two sites are of one group: the same name and, for leaks, as sure. */
static bool same_group(const struct profile_site *a, const struct profile_site *b,
		       enum ranking_metric metric)
{
	return compare_frames(name_frame(&a->stack), name_frame(&b->stack)) == 0 &&
	       (metric != RANKING_LEAK || ranking_suspicion(a) == ranking_suspicion(b));
}

/* Hashes of names by the address of the name: sites are many and their functions few. */
#define HASHES_ROOM 4096

struct hash {
	const char *text;
	uint64_t hash;
};

static uint64_t hash_text(struct hash *hashes, const char *text)
{
	struct hash *hash = &hashes[((uintptr_t)text >> 3 ^ (uintptr_t)text >> 15) % HASHES_ROOM];

	if (text && hash->text != text)
		*hash = (struct hash){text, XXH3_64bits(text, strlen(text))};
	return text ? hash->hash : 0;
}

static uint64_t hash_group(struct hash *hashes, const struct profile_site *site,
			   enum ranking_metric metric)
{
	const struct profile_frame *frame = name_frame(&site->stack);
	uint64_t seed = metric == RANKING_LEAK ? ranking_suspicion(site) : 0;

	if (!frame)
		return seed;
	seed = seed << 32 | frame->line;
	if (!frame->function)
		seed ^= frame->offset;
	seed *= 0x9e3779b97f4a7c15ULL;
	return hash_text(hashes, frame->function) ^ seed ^ seed >> 32;
}

static int compare_groups(const void *left, const void *right, void *data)
{
	const struct group *a = left, *b = right;
	const enum ranking_metric *metric = data;
	int order = ranking_compare(&a->sum, &b->sum, *metric);

	return order ? order : compare_numbers(b->members, a->members);
}

static void add(struct group *group, const struct profile_site *site, enum ranking_metric metric)
{
	struct profile_site *sum = &group->sum;

	if (group->members++ == 0) {
		*sum = *site;
		group->best = site;
		return;
	}
	if (ranking_compare(site, group->best, metric) < 0) {
		group->best = site;
		sum->stack = site->stack;
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

/* Where groups are found by name. */
struct index {
	uint32_t *slots; /* open addressing: number of the group + 1 */
	size_t mask;
	struct hash *hashes;
	enum ranking_metric metric;
};

static struct group *begin(struct groups *groups)
{
	struct group *group = &groups->groups[groups->count];

	group->members = 0;
	group->order = (uint32_t)groups->count++;
	return group;
}

/* The site's group, made when it is the first of its name. */
static struct group *find(struct groups *groups, const struct index *index,
			  const struct profile_site *site)
{
	size_t at = hash_group(index->hashes, site, index->metric) & index->mask;

	while (index->slots[at]) {
		struct group *group = &groups->groups[index->slots[at] - 1];

		if (same_group(&group->sum, site, index->metric))
			return group;
		at = (at + 1) & index->mask;
	}
	index->slots[at] = (uint32_t)groups->count + 1;
	return begin(groups);
}

static void gather(struct groups *groups, const struct index *index, const struct profile *profile,
		   bool by_stack)
{
	for (size_t i = 0; i < profile->site_count; i++) {
		const struct profile_site *site = &profile->sites[i];
		struct group *group = by_stack ? begin(groups) : find(groups, index, site);

		groups->of_site[i] = group->order;
		add(group, site, index->metric);
	}
}

/* Sorts the groups, and makes of_site[], so far in their first order, follow. */
static int sort(struct groups *groups, size_t site_count, enum ranking_metric metric)
{
	uint32_t *place = malloc(groups->count * sizeof(*place) + 1);

	if (!place)
		return -ENOMEM;
	qsort_r(groups->groups, groups->count, sizeof(*groups->groups), compare_groups, &metric);
	for (size_t i = 0; i < groups->count; i++)
		place[groups->groups[i].order] = (uint32_t)i;
	for (size_t i = 0; i < site_count; i++)
		groups->of_site[i] = place[groups->of_site[i]];
	free(place);
	return 0;
}

int groups_init(struct groups *groups, const struct profile *profile, enum ranking_metric metric,
		bool by_stack)
{
	size_t count = profile->site_count, slot_count = 16;
	struct index index = {.metric = metric};
	int rc = -ENOMEM;

	while (slot_count < count * 2)
		slot_count *= 2;
	index.mask = slot_count - 1;
	index.slots = calloc(slot_count, sizeof(*index.slots));
	index.hashes = calloc(HASHES_ROOM, sizeof(*index.hashes));
	groups->count = 0;
	groups->groups = malloc((count + 1) * sizeof(*groups->groups));
	groups->of_site = malloc((count + 1) * sizeof(*groups->of_site));
	if (index.slots && index.hashes && groups->groups && groups->of_site) {
		gather(groups, &index, profile, by_stack);
		rc = sort(groups, count, metric);
	}
	if (rc)
		groups_fini(groups);
	free(index.slots);
	free(index.hashes);
	return rc;
}

void groups_fini(struct groups *groups)
{
	free(groups->groups);
	free(groups->of_site);
	groups->groups = NULL;
	groups->of_site = NULL;
	groups->count = 0;
}
