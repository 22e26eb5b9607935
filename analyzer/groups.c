/*
 * One pass over the sites adds them to their *part*: the sites of one name that are as suspicious,
 * with the best of them by each metric. A metric's groups are then put together from the parts, of
 * which there are hundreds, and sorted.
 */
#include "groups.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define SUSPICIONS  5 /* of ranking_suspicion() */
#define FRAMES_ROOM 4096
#define NONE	    UINT32_MAX

struct part {
	struct profile_site sum;
	const struct profile_site *best[RANKING_METRICS];
	uint64_t values[RANKING_METRICS][RANKING_METRICS]; /* all figures of each of these */
	size_t members;
	uint32_t name;
};

struct name {
	const struct profile_frame *frame;
	uint32_t parts[SUSPICIONS]; /* NONE: no site is that suspicious */
};

struct grouping {
	struct part *parts; /* in order of their first sites */
	size_t part_count;
	struct name *names; /* likewise */
	size_t name_count;
	uint32_t *part_of_site;
	/* only while sites are gathered */
	uint32_t *index; /* open addressing: number of the name + 1 */
	size_t index_size;
	struct {
		const struct profile_frame *frame;
		uint32_t name_1;
	} * known; /* names by the address of the frame: sites are many and their frames few */
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
	return profile_stack_frame(stack, stack->site_frame < stack->count ? stack->site_frame : 0);
}

static bool same_name(const struct profile_frame *a, const struct profile_frame *b)
{
	if (a == b || !a || !b)
		return a == b;
	return a->line == b->line && (a->function || a->offset == b->offset) &&
	       compare_strings(a->function, b->function) == 0 &&
	       compare_strings(a->file, b->file) == 0 && compare_strings(a->module, b->module) == 0;
}

static uint64_t hash_name(const struct profile_frame *frame)
{
	uint64_t seed;

	if (!frame)
		return 0;
	seed = ((uint64_t)frame->line << 32 ^ (frame->function ? 0 : frame->offset)) *
	       0x9e3779b97f4a7c15ULL;
	return (frame->function ? XXH3_64bits(frame->function, strlen(frame->function)) : 0) ^
	       seed ^ seed >> 32;
}

/* Room for one more: doubles whenever `count` is a power of two. */
static void *room_for_one(void *array, size_t count, size_t bytes)
{
	if (count != 0 && (count & (count - 1)) != 0)
		return array;
	return reallocarray(array, count ? count * 2 : 1, bytes);
}

static int grow_index(struct grouping *grouping)
{
	size_t size = grouping->index_size ? grouping->index_size * 2 : 1024;
	uint32_t *index = calloc(size, sizeof(*index));

	if (!index)
		return -ENOMEM;
	for (size_t i = 0; i < grouping->name_count; i++) {
		size_t at = hash_name(grouping->names[i].frame) & (size - 1);

		while (index[at])
			at = (at + 1) & (size - 1);
		index[at] = (uint32_t)i + 1;
	}
	free(grouping->index);
	grouping->index = index;
	grouping->index_size = size;
	return 0;
}

static int add_name(struct grouping *grouping, const struct profile_frame *frame, uint32_t *name)
{
	struct name *names =
	    room_for_one(grouping->names, grouping->name_count, sizeof(*grouping->names));

	if (!names)
		return -ENOMEM;
	grouping->names = names;
	*name = (uint32_t)grouping->name_count++;
	names[*name].frame = frame;
	for (size_t i = 0; i < SUSPICIONS; i++)
		names[*name].parts[i] = NONE;
	return 0;
}

/* The number of a name, which is made when it is met first. */
static int find_name(struct grouping *grouping, const struct profile_frame *frame, uint32_t *name)
{
	size_t at, mask;

	if (grouping->name_count * 2 >= grouping->index_size && grow_index(grouping))
		return -ENOMEM;
	mask = grouping->index_size - 1;
	for (at = hash_name(frame) & mask; grouping->index[at]; at = (at + 1) & mask) {
		*name = grouping->index[at] - 1;
		if (same_name(grouping->names[*name].frame, frame))
			return 0;
	}
	if (add_name(grouping, frame, name))
		return -ENOMEM;
	grouping->index[at] = *name + 1;
	return 0;
}

static int name_of(struct grouping *grouping, const struct profile_frame *frame, uint32_t *name)
{
	size_t at = ((uintptr_t)frame >> 4 ^ (uintptr_t)frame >> 16) % FRAMES_ROOM;
	int rc;

	if (grouping->known[at].name_1 && grouping->known[at].frame == frame) {
		*name = grouping->known[at].name_1 - 1;
		return 0;
	}
	rc = find_name(grouping, frame, name);
	grouping->known[at].frame = frame;
	grouping->known[at].name_1 = rc ? 0 : *name + 1;
	return rc;
}

static int part_of(struct grouping *grouping, const struct profile_site *site, uint32_t *part)
{
	uint32_t name, *known;
	struct part *parts;

	if (name_of(grouping, name_frame(&site->stack), &name))
		return -ENOMEM;
	known = &grouping->names[name].parts[ranking_suspicion(site)];
	if (*known == NONE) {
		parts = room_for_one(grouping->parts, grouping->part_count, sizeof(*parts));
		if (!parts)
			return -ENOMEM;
		grouping->parts = parts;
		parts[grouping->part_count] = (struct part){.name = name};
		*known = (uint32_t)grouping->part_count++;
	}
	*part = *known;
	return 0;
}

static void add_figures(struct profile_site *sum, const struct profile_site *site)
{
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
}

/*
 * Whether a site of these figures may be better than another by a metric: ranking_compare() without
 * what takes long. Sites of one part are as suspicious.
 */
static bool may_be_better(const uint64_t *values, const uint64_t *best, size_t metric)
{
	if (values[metric] != best[metric])
		return values[metric] > best[metric];
	if (values[RANKING_PEAK] != best[RANKING_PEAK])
		return values[RANKING_PEAK] > best[RANKING_PEAK];
	return values[RANKING_BYTES] >= best[RANKING_BYTES];
}

/* All of ranking_value(). */
static void take_values(const struct profile_site *site, uint64_t values[RANKING_METRICS])
{
	values[RANKING_PEAK] = site->peak_bytes;
	values[RANKING_LEAK] = site->live_bytes;
	values[RANKING_ALLOCATIONS] = site->allocations;
	values[RANKING_BYTES] = site->bytes;
	values[RANKING_TEMPORARY] = site->temporary;
}

static void add_site(struct part *part, const struct profile_site *site)
{
	uint64_t values[RANKING_METRICS];

	if (part->members++ == 0)
		part->sum = *site;
	else
		add_figures(&part->sum, site);
	take_values(site, values);
	for (size_t i = 0; i < RANKING_METRICS; i++) {
		if (part->best[i] != NULL &&
		    (!may_be_better(values, part->values[i], i) ||
		     ranking_compare(site, part->best[i], (enum ranking_metric)i) >= 0))
			continue;
		part->best[i] = site;
		memcpy(part->values[i], values, sizeof(values));
	}
}

static int gather(struct grouping *grouping, const struct profile *profile)
{
	grouping->part_of_site = malloc((profile->site_count + 1) * sizeof(uint32_t));
	grouping->known = calloc(FRAMES_ROOM, sizeof(*grouping->known));
	if (!grouping->part_of_site || !grouping->known)
		return -ENOMEM;
	for (size_t i = 0; i < profile->site_count; i++) {
		uint32_t part;

		if (part_of(grouping, &profile->sites[i], &part))
			return -ENOMEM;
		grouping->part_of_site[i] = part;
		add_site(&grouping->parts[part], &profile->sites[i]);
	}
	return 0;
}

struct grouping *grouping_new(const struct profile *profile)
{
	struct grouping *grouping = calloc(1, sizeof(*grouping));

	if (!grouping)
		return NULL;
	if (gather(grouping, profile)) {
		grouping_free(grouping);
		return NULL;
	}
	free(grouping->index);
	free(grouping->known);
	grouping->index = NULL;
	grouping->known = NULL;
	return grouping;
}

size_t grouping_parts(const struct grouping *grouping)
{
	return grouping->part_count;
}

const struct profile_frame *grouping_part(const struct grouping *grouping, size_t part,
					  uint64_t *peak_bytes)
{
	*peak_bytes = grouping->parts[part].sum.peak_bytes;
	return grouping->names[grouping->parts[part].name].frame;
}

void grouping_free(struct grouping *grouping)
{
	if (!grouping)
		return;
	free(grouping->parts);
	free(grouping->names);
	free(grouping->part_of_site);
	free(grouping->index);
	free(grouping->known);
	free(grouping);
}

/* ---- groups ---- */

/* A part joins a group; what was there first is kept where two are alike. */
static void add_part(struct group *group, const struct part *part, enum ranking_metric metric)
{
	struct profile_site *sum = &group->sum;

	if (group->members == 0) {
		*sum = part->sum;
		group->best = part->best[metric];
	} else {
		if (ranking_suspicion(&part->sum) > ranking_suspicion(sum))
			sum->verdict = part->sum.verdict;
		add_figures(sum, &part->sum);
		if (ranking_compare(part->best[metric], group->best, metric) < 0)
			group->best = part->best[metric];
	}
	sum->stack = group->best->stack;
	group->members += part->members;
}

/* Which group, in their first order, a site or a part is of. */
static uint32_t order_of(const struct grouping *grouping, size_t part, enum ranking_metric metric)
{
	return metric == RANKING_LEAK ? (uint32_t)part : grouping->parts[part].name;
}

static void join_parts(struct groups *groups, const struct grouping *grouping,
		       enum ranking_metric metric)
{
	for (size_t i = 0; i < grouping->part_count; i++)
		add_part(&groups->groups[order_of(grouping, i, metric)], &grouping->parts[i],
			 metric);
}

static void take_sites(struct groups *groups, const struct profile *profile)
{
	for (size_t i = 0; i < profile->site_count; i++) {
		groups->groups[i].sum = profile->sites[i];
		groups->groups[i].best = &profile->sites[i];
		groups->groups[i].members = 1;
	}
}

static int compare_groups(const void *left, const void *right, void *data)
{
	const struct group *a = left, *b = right;
	const enum ranking_metric *metric = data;
	int order = ranking_compare(&a->sum, &b->sum, *metric);

	if (!order)
		order = compare_numbers(b->members, a->members);
	return order ? order : compare_numbers(a->order, b->order);
}

int groups_init(struct groups *groups, const struct profile *profile,
		const struct grouping *grouping, enum ranking_metric metric)
{
	groups->count = !grouping		 ? profile->site_count
			: metric == RANKING_LEAK ? grouping->part_count
						 : grouping->name_count;
	groups->groups = calloc(groups->count + 1, sizeof(*groups->groups));
	if (!groups->groups) {
		groups->count = 0;
		return -ENOMEM;
	}
	if (grouping)
		join_parts(groups, grouping, metric);
	else
		take_sites(groups, profile);
	for (size_t i = 0; i < groups->count; i++)
		groups->groups[i].order = (uint32_t)i;
	qsort_r(groups->groups, groups->count, sizeof(*groups->groups), compare_groups, &metric);
	return 0;
}

void groups_fini(struct groups *groups)
{
	free(groups->groups);
	groups->groups = NULL;
	groups->count = 0;
}

uint32_t *groups_of_sites(const struct groups *groups, const struct profile *profile,
			  const struct grouping *grouping, enum ranking_metric metric)
{
	uint32_t *places = malloc((groups->count + 1) * sizeof(*places));
	uint32_t *of_site = malloc((profile->site_count + 1) * sizeof(*of_site));

	if (places && of_site) {
		for (size_t i = 0; i < groups->count; i++)
			places[groups->groups[i].order] = (uint32_t)i;
		for (size_t i = 0; i < profile->site_count; i++)
			of_site[i] =
			    places[grouping ? order_of(grouping, grouping->part_of_site[i], metric)
					    : i];
	} else {
		free(of_site);
		of_site = NULL;
	}
	free(places);
	return of_site;
}
