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
	struct profile_site sum; /* figures of all members; stack of the one with most to show */
	size_t members;
	const struct profile_site *best; /* whose stack that is */
	uint32_t order;			 /* of its first member among all groups */
};

struct groups {
	struct group *groups; /* best first */
	size_t count;
	uint32_t *of_site; /* index into groups by index into profile->sites */
};

/*
 * Groups the sites of a profile, each site by itself when `by_stack`. With RANKING_LEAK sites of
 * different suspicion are never of one group. The member whose stack is shown is the best by
 * `metric`. Returns 0 or -ENOMEM; groups_fini() frees what is inside.
 */
int groups_init(struct groups *groups, const struct profile *profile, enum ranking_metric metric,
		bool by_stack);
void groups_fini(struct groups *groups);

#endif
