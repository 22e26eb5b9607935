/*
 * Sites that a person would call by one name: those whose stacks have the same site frame
 * (function, file and line), whoever called it. A big program reaches one line by thousands of
 * stacks, none of which says much alone.
 */
#ifndef GROUPS_H
#define GROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "profile.h"
#include "ranking.h"

struct group {
	struct profile_site
	    sum; /* figures of all members but trends; stack of the one with most to show */
	size_t members;
	const struct profile_site *best; /* whose stack that is */
	uint32_t order;			 /* of its first member among all groups */
};

struct groups {
	struct group *groups; /* best first */
	size_t count;
};

/*
 * What groups by any metric are made of: all sites of a profile, gathered once, for sites may be
 * many. The profile must outlive it. NULL without memory.
 */
struct grouping *grouping_new(const struct profile *profile);
void grouping_free(struct grouping *grouping);

/*
 * Parts of the grouping, 0 .. grouping_parts() - 1: sites of one name, in order of their first
 * sites; several parts may be of one name. Returns its frame, NULL for stacks without any.
 */
size_t grouping_parts(const struct grouping *grouping);
const struct profile_frame *grouping_part(const struct grouping *grouping, size_t part,
					  uint64_t *peak_bytes);

/*
 * The groups of a profile by `metric`; with a NULL grouping each site is one by itself. With
 * RANKING_LEAK sites of different suspicion are never of one group. The member whose stack is
 * shown is the best by `metric`. Returns 0 or -ENOMEM; groups_fini() frees what is inside.
 */
int groups_init(struct groups *groups, const struct profile *profile,
		const struct grouping *grouping, enum ranking_metric metric);
void groups_fini(struct groups *groups);

/*
 * The group of each site, as an index into groups->groups, by index into profile->sites; of groups
 * that were made with this profile, grouping and metric. The caller frees; NULL without memory.
 */
uint32_t *groups_of_sites(const struct groups *groups, const struct profile *profile,
			  const struct grouping *grouping, enum ranking_metric metric);

#endif
