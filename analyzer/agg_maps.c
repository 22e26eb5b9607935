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
	agg->live = NULL;
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

static int insert(struct agg_maps *agg, size_t at, uint64_t start, uint64_t end)
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
	agg->live[at] = (struct agg_map){.start = start, .end = end};
	agg->count++;
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
		uint64_t old_end = agg->live[first].end;

		agg->live[first].end = start;
		if (old_end > end) {
			agg->live_bytes -= end - start;
			return insert(agg, first + 1, end, old_end);
		}
		agg->live_bytes -= old_end - start;
		first++;
	}
	for (last = first; last < agg->count && agg->live[last].end <= end; last++)
		agg->live_bytes -= agg->live[last].end - agg->live[last].start;
	if (last < agg->count && agg->live[last].start < end) {
		agg->live_bytes -= end - agg->live[last].start;
		agg->live[last].start = end;
	}
	memmove(&agg->live[first], &agg->live[last], (agg->count - last) * sizeof(*agg->live));
	agg->count -= last - first;
	return 0;
}

static int map(struct agg_maps *agg, uint64_t start, uint64_t bytes)
{
	uint64_t end = end_of(start, bytes);
	int rc;

	if (start == end)
		return 0;
	/* MAP_FIXED takes the place of what was there. */
	rc = cut(agg, start, end);
	if (rc == 0)
		rc = insert(agg, find(agg, start), start, end);
	if (rc != 0)
		return rc;
	agg->maps++;
	agg->bytes += end - start;
	agg->live_bytes += end - start;
	if (agg->live_bytes > agg->peak_bytes)
		agg->peak_bytes = agg->live_bytes;
	return 0;
}

int agg_maps_changes(struct agg_maps *agg, const struct replay_batch *batch)
{
	if (!batch->others)
		return 0;
	for (size_t i = 0; i < batch->count; i++) {
		const struct replay_change *change = &batch->changes[i];
		uint64_t end;
		int rc = 0;

		if (change->op == REPLAY_MAP) {
			rc = map(agg, change->address, change->bytes);
		} else if (change->op == REPLAY_UNMAP) {
			end = end_of(change->address, change->bytes);
			if (end <= UINT64_MAX - agg->page_size)
				end = (end + agg->page_size - 1) & ~(agg->page_size - 1);
			rc = cut(agg, change->address, end);
		}
		if (rc != 0)
			return rc;
	}
	return 0;
}
