/*
 * Sorted by start, with the farthest end so far beside each: a search goes down from the last
 * module that starts at or below the address until none can reach it any more. Ranges overlap only
 * where code was unloaded and other code loaded.
 */
#include "module_map.h"

#include "trace_reader.h"

#include <stdlib.h>

struct module_map {
	struct trace_module_info *modules;
	uint64_t *farthest; /* greatest end of modules [0 .. i] */
	size_t count;
};

static int compare_start(const void *a, const void *b)
{
	const struct trace_module *x = &((const struct trace_module_info *)a)->head;
	const struct trace_module *y = &((const struct trace_module_info *)b)->head;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->epoch < y->epoch ? -1 : x->epoch > y->epoch;
}

struct module_map *module_map_new(struct trace_reader *reader)
{
	struct module_map *map = calloc(1, sizeof(*map));
	uint64_t farthest = 0;

	if (map == NULL)
		return NULL;
	map->farthest = malloc(reader->module_count * sizeof(*map->farthest) + 1);
	if (map->farthest == NULL) {
		free(map);
		return NULL;
	}
	map->modules = reader->modules;
	map->count = reader->module_count;
	reader->modules = NULL;
	reader->module_count = 0;
	if (map->count != 0)
		qsort(map->modules, map->count, sizeof(*map->modules), compare_start);
	for (size_t i = 0; i < map->count; i++) {
		if (map->modules[i].head.end > farthest)
			farthest = map->modules[i].head.end;
		map->farthest[i] = farthest;
	}
	return map;
}

void module_map_free(struct module_map *map)
{
	if (map == NULL)
		return;
	for (size_t i = 0; i < map->count; i++) {
		free(map->modules[i].build_id);
		free(map->modules[i].path);
	}
	free(map->modules);
	free(map->farthest);
	free(map);
}

size_t module_map_find(const struct module_map *map, uint64_t address, uint32_t epoch)
{
	size_t low = 0, high = map->count;
	size_t found = MODULE_MAP_NONE;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (map->modules[middle].head.start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	for (size_t i = low; i-- > 0 && map->farthest[i] > address;) {
		const struct trace_module *module = &map->modules[i].head;

		if (address < module->end && module->epoch <= epoch &&
		    (found == MODULE_MAP_NONE || module->epoch > map->modules[found].head.epoch))
			found = i;
	}
	return found;
}

const struct trace_module_info *module_map_get(const struct module_map *map, size_t index)
{
	return &map->modules[index];
}
