/* Sites whose stacks look the same are one: each finds its place by the number of its stack. */
#include "profile_maps.h"

#include "agg_maps.h"
#include "profile.h"
#include "site_stacks.h"

#include <errno.h>
#include <stdlib.h>

static void add(struct profile_site *site, const struct agg_map_site *from)
{
	site->allocations += from->maps;
	site->bytes += from->bytes;
	site->peak_bytes += from->peak_bytes;
	site->peak_blocks += from->peak_pieces;
	site->live_bytes += from->live_bytes;
	site->live_blocks += from->live_pieces;
}

/* The numbers of the stacks of all sites that mapped; SITE_STACKS_NONE for those that did not. */
static int number(const struct agg_maps *maps, struct site_stacks *stacks, uint32_t *numbers)
{
	for (size_t i = 0; i < maps->place_count; i++)
		numbers[i] = maps->places[i] != 0 && maps->sites[maps->places[i] - 1].maps != 0
				 ? 0
				 : SITE_STACKS_NONE;
	return site_stacks_add(stacks, numbers, maps->place_count);
}

/* Their stacks are those from number `first` on. */
static int collect(struct profile *profile, const struct agg_maps *maps, struct site_stacks *stacks,
		   size_t first, const uint32_t *numbers)
{
	profile->map_site_count = site_stacks_count(stacks) - first;
	profile->map_sites = calloc(profile->map_site_count + 1, sizeof(*profile->map_sites));
	if (profile->map_sites == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < profile->map_site_count; i++)
		site_stacks_get(stacks, (uint32_t)(first + i), &profile->map_sites[i].stack);
	for (size_t i = 0; i < maps->place_count; i++)
		if (numbers[i] != SITE_STACKS_NONE)
			add(&profile->map_sites[numbers[i] - first],
			    &maps->sites[maps->places[i] - 1]);
	return 0;
}

int profile_maps_init(struct profile *profile, const struct agg_maps *maps,
		      struct site_stacks *stacks)
{
	size_t first = site_stacks_count(stacks);
	uint32_t *numbers = malloc(maps->place_count * sizeof(*numbers) + 1);
	int rc = numbers == NULL ? -ENOMEM : number(maps, stacks, numbers);

	if (rc == 0)
		rc = collect(profile, maps, stacks, first, numbers);
	free(numbers);
	return rc;
}
