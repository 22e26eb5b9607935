/*
 * Which module an address was in, at which code epoch. Owns copies of what it needs of the
 * modules, so it outlives the reader.
 */
#ifndef MODULE_MAP_H
#define MODULE_MAP_H

#include <stddef.h>
#include <stdint.h>

struct module_map;
struct trace_module_info;
struct trace_reader;

#define MODULE_MAP_NONE SIZE_MAX

/* Takes the modules away from the reader. Returns NULL and errno without memory. */
struct module_map *module_map_new(struct trace_reader *reader);
void module_map_free(struct module_map *map);

/*
 * Index of the module whose range holds `address` and whose epoch is the greatest not above
 * `epoch`, or MODULE_MAP_NONE.
 */
size_t module_map_find(const struct module_map *map, uint64_t address, uint32_t epoch);

const struct trace_module_info *module_map_get(const struct module_map *map, size_t index);

#endif
