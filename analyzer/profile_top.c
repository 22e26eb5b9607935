/* The reports' own grouping, so that a picture and a report say the same of a site. */
#include "profile_top.h"

#include "groups.h"

#include <errno.h>
#include <stdlib.h>

/* Fills the top, and makes ranks[] of the groups' places: UINT32_MAX for those below it. */
static void take_groups(struct profile *profile, const struct groups *groups, uint32_t *ranks)
{
	for (size_t rank = 0; rank < profile->top_count; rank++) {
		const struct group *group = &groups->groups[rank];

		profile->top[rank] = (struct profile_top){
		    .stack = &group->best->stack,
		    .stacks = group->members,
		    .peak_bytes = group->sum.peak_bytes,
		    .peak_blocks = group->sum.peak_blocks,
		};
	}
	for (size_t i = 0; i < profile->site_count; i++) {
		if (ranks[i] >= profile->top_count)
			ranks[i] = UINT32_MAX;
		else
			profile->top[ranks[i]].holding += profile->sites[i].peak_bytes > 0;
	}
}

static int choose(struct profile *profile, const struct profile_options *options,
		  const struct grouping *grouping, uint32_t **ranks)
{
	struct groups groups;
	size_t count = 0;
	int rc = groups_init(&groups, profile, grouping, RANKING_PEAK);

	if (rc != 0)
		return rc;
	while (count < groups.count && count < options->top_count &&
	       groups.groups[count].sum.peak_bytes > 0)
		count++;
	profile->top = calloc(count + 1, sizeof(*profile->top));
	*ranks = groups_of_sites(&groups, profile, grouping, RANKING_PEAK);
	if (profile->top != NULL && *ranks != NULL) {
		profile->top_count = count;
		take_groups(profile, &groups, *ranks);
	} else {
		rc = -ENOMEM;
	}
	groups_fini(&groups);
	return rc;
}

int profile_top_choose(struct profile *profile, const struct profile_options *options,
		       uint32_t **ranks)
{
	struct grouping *grouping = options->top_by_stack ? NULL : grouping_new(profile);
	int rc = -ENOMEM;

	*ranks = NULL;
	if (grouping != NULL || options->top_by_stack)
		rc = choose(profile, options, grouping, ranks);
	grouping_free(grouping);
	return rc;
}
