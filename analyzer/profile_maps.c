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

/* The numbers of the stacks of all sites that mapped; UINT32_MAX for those that did not. */
static int number(const struct agg_maps *maps, struct site_stacks *stacks, uint32_t *numbers)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < maps->place_count; i++) {
		numbers[i] = UINT32_MAX;
		if (maps->places[i] != 0 && maps->sites[maps->places[i] - 1].maps != 0)
			rc = site_stacks_add(stacks, (uint32_t)i, &numbers[i]);
	}
	return rc;
}

static int collect(struct profile *profile, const struct agg_maps *maps,
		   const struct site_stacks *stacks, const uint32_t *numbers)
{
	size_t count = site_stacks_count(stacks);
	uint32_t *places = malloc(count * sizeof(*places) + 1);

	profile->map_sites = calloc(maps->site_count + 1, sizeof(*profile->map_sites));
	if (places == NULL || profile->map_sites == NULL) {
		free(places);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++)
		places[i] = UINT32_MAX;
	for (size_t i = 0; i < maps->place_count; i++) {
		uint32_t *place;

		if (numbers[i] == UINT32_MAX)
			continue;
		place = &places[numbers[i]];
		if (*place == UINT32_MAX) {
			*place = (uint32_t)profile->map_site_count++;
			profile->map_sites[*place].stack = *site_stacks_get(stacks, numbers[i]);
		}
		add(&profile->map_sites[*place], &maps->sites[maps->places[i] - 1]);
	}
	free(places);
	return 0;
}

int profile_maps_init(struct profile *profile, const struct agg_maps *maps,
		      struct site_stacks *stacks)
{
	uint32_t *numbers = malloc(maps->place_count * sizeof(*numbers) + 1);
	int rc = numbers == NULL ? -ENOMEM : number(maps, stacks, numbers);

	if (rc == 0)
		rc = collect(profile, maps, stacks, numbers);
	free(numbers);
	return rc;
}
