/* A sorted array: a process has 65,530 mappings at most by default (vm.max_map_count). */
#include "agg_maps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void agg_maps_init(struct agg_maps *agg, uint32_t page_size)
{
	*agg = (struct agg_maps){.page_size = page_size};
}

void agg_maps_fini(struct agg_maps *agg)
{
	free(agg->live);
	free(agg->places);
	free(agg->sites);
	agg->live = NULL;
	agg->places = NULL;
	agg->sites = NULL;
}

/* The figures of a site, to be changed: first those of the peak are saved. */
static struct agg_map_site *touch(struct agg_maps *agg, uint32_t number)
{
	struct agg_map_site *site = &agg->sites[agg->places[number] - 1];

	if (site->peak != agg->peaks) {
		site->peak_bytes = site->live_bytes;
		site->peak_pieces = site->live_pieces;
		site->peak = agg->peaks;
	}
	return site;
}

static int reserve_place(struct agg_maps *agg, uint32_t number)
{
	size_t count = agg->place_count;
	void *larger;

	if (number < count)
		return 0;
	count = number + (size_t)1 > count * 2 ? number + (size_t)1 : count * 2;
	larger = reallocarray(agg->places, count, sizeof(*agg->places));
	if (larger == NULL)
		return -ENOMEM;
	agg->places = larger;
	memset(agg->places + agg->place_count, 0,
	       (count - agg->place_count) * sizeof(*agg->places));
	agg->place_count = count;
	return 0;
}

/* Makes the figures of a site that maps. */
static int reserve_site(struct agg_maps *agg, uint32_t number)
{
	size_t count = agg->site_count;
	void *larger;

	if (reserve_place(agg, number) != 0)
		return -ENOMEM;
	if (agg->places[number] != 0)
		return 0;
	if ((count & (count - 1)) == 0) {
		larger = reallocarray(agg->sites, count == 0 ? 1 : count * 2, sizeof(*agg->sites));
		if (larger == NULL)
			return -ENOMEM;
		agg->sites = larger;
	}
	agg->sites[count] = (struct agg_map_site){0};
	agg->site_count++;
	agg->places[number] = (uint32_t)agg->site_count;
	return 0;
}

/* Bytes of an interval are gone, and the whole of it when `pieces` is 1. */
static void release(struct agg_maps *agg, const struct agg_map *from, uint64_t bytes,
		    uint64_t pieces)
{
	struct agg_map_site *site = touch(agg, from->site);

	site->live_bytes -= bytes;
	site->live_pieces -= pieces;
	agg->live_bytes -= bytes;
}

/* First interval that ends after `address`. */
static size_t find(const struct agg_maps *agg, uint64_t address)
{
	size_t low = 0, high = agg->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (agg->live[middle].end > address)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static int insert(struct agg_maps *agg, size_t at, uint64_t start, uint64_t end, uint32_t site)
{
	if (agg->count == agg->capacity) {
		size_t capacity = agg->capacity == 0 ? 64 : agg->capacity * 2;
		void *larger = reallocarray(agg->live, capacity, sizeof(*agg->live));

		if (larger == NULL)
			return -ENOMEM;
		agg->live = larger;
		agg->capacity = capacity;
	}
	memmove(&agg->live[at + 1], &agg->live[at], (agg->count - at) * sizeof(*agg->live));
	agg->live[at] = (struct agg_map){.start = start, .end = end, .site = site};
	agg->count++;
	touch(agg, site)->live_pieces++;
	return 0;
}

static uint64_t end_of(uint64_t start, uint64_t bytes)
{
	return bytes > UINT64_MAX - start ? UINT64_MAX : start + bytes;
}

static int cut(struct agg_maps *agg, uint64_t start, uint64_t end)
{
	size_t first = find(agg, start), last;

	if (first == agg->count || agg->live[first].start >= end)
		return 0;
	if (agg->live[first].start < start) {
		struct agg_map *map = &agg->live[first];
		uint64_t old_end = map->end;

		map->end = start;
		if (old_end > end) {
			release(agg, map, end - start, 0);
			return insert(agg, first + 1, end, old_end, map->site);
		}
		release(agg, map, old_end - start, 0);
		first++;
	}
	for (last = first; last < agg->count && agg->live[last].end <= end; last++)
		release(agg, &agg->live[last], agg->live[last].end - agg->live[last].start, 1);
	if (last < agg->count && agg->live[last].start < end) {
		release(agg, &agg->live[last], end - agg->live[last].start, 0);
		agg->live[last].start = end;
	}
	memmove(&agg->live[first], &agg->live[last], (agg->count - last) * sizeof(*agg->live));
	agg->count -= last - first;
	return 0;
}

static int map(struct agg_maps *agg, uint64_t start, uint64_t bytes, uint32_t number)
{
	uint64_t end = end_of(start, bytes);
	struct agg_map_site *site;
	int rc;

	if (start == end)
		return 0;
	rc = reserve_site(agg, number);
	/* MAP_FIXED takes the place of what was there. */
	if (rc == 0)
		rc = cut(agg, start, end);
	if (rc == 0)
		rc = insert(agg, find(agg, start), start, end, number);
	if (rc != 0)
		return rc;
	site = touch(agg, number);
	site->maps++;
	site->bytes += end - start;
	site->live_bytes += end - start;
	agg->maps++;
	agg->bytes += end - start;
	agg->live_bytes += end - start;
	if (agg->live_bytes > agg->peak_bytes) {
		agg->peak_bytes = agg->live_bytes;
		agg->peaks++;
	}
	return 0;
}

void agg_maps_finish(struct agg_maps *agg)
{
	for (size_t i = 0; i < agg->place_count; i++)
		if (agg->places[i] != 0)
			touch(agg, (uint32_t)i);
}

int agg_maps_changes(struct agg_maps *agg, const struct replay_batch *batch)
{
	for (size_t i = 0; i < batch->other_count; i++) {
		const struct replay_other *other = &batch->others[i];
		uint64_t end;
		int rc = 0;

		if (other->op == REPLAY_MAP) {
			rc = map(agg, other->address, other->bytes, other->site);
		} else if (other->op == REPLAY_UNMAP) {
			end = end_of(other->address, other->bytes);
			if (end <= UINT64_MAX - agg->page_size)
				end = (end + agg->page_size - 1) & ~(agg->page_size - 1);
			rc = cut(agg, other->address, end);
		}
		if (rc != 0)
			return rc;
	}
	return 0;
}
