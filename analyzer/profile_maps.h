/* The sites of the program's own mappings, for the profile. */
#ifndef PROFILE_MAPS_H
#define PROFILE_MAPS_H

struct agg_maps;
struct callstack_table;
struct profile;
struct site_stacks;

/*
 * Fills in profile->map_sites, which the caller frees, from finished aggregates. Their stacks are
 * added to `stacks` behind what is there, and remain its own. Returns 0 or -ENOMEM.
 */
int profile_maps_init(struct profile *profile, const struct agg_maps *maps,
		      struct site_stacks *stacks);

#endif
