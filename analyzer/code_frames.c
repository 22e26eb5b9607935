/* Each code address is resolved once, when it is met first. */
#include "code_frames.h"

#include "callstack.h"
#include "frame_rules.h"
#include "module_map.h"
#include "profile.h"
#include "symbolizer.h"
#include "trace_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Room for one more: doubles whenever `count` is a power of two. */
static void *room_for_one(void *array, size_t count, size_t bytes)
{
	if (count != 0 && (count & (count - 1)) != 0)
		return array;
	return reallocarray(array, count == 0 ? 1 : count * 2, bytes);
}

int code_frames_init(struct code_frames *table, struct trace_reader *reader,
		     const struct profile_options *options)
{
	size_t module_count = reader->module_count; /* before the map takes them */
	struct symbolizer_options wanted = {.sysroot = options->sysroot,
					    .debuginfod = options->debuginfod};

	*table = (struct code_frames){.symbols = options->symbols};
	table->modules = module_map_new(reader);
	table->symbolizer_modules = calloc(module_count + 1, sizeof(*table->symbolizer_modules));
	if (table->symbols)
		table->symbolizer = symbolizer_new(&wanted);
	if (table->modules == NULL || table->symbolizer_modules == NULL ||
	    (table->symbols && table->symbolizer == NULL))
		return -ENOMEM;
	return 0;
}

void code_frames_finish(struct code_frames *table)
{
	id_table_fini(&table->look_index);
	free(table->looks);
	free(table->roles);
	table->looks = NULL;
	table->roles = NULL;
	if (table->symbolizer != NULL)
		symbolizer_close(table->symbolizer);
}

void code_frames_fini(struct code_frames *table)
{
	code_frames_finish(table);
	for (size_t i = 0; i < table->made_count; i++)
		free(table->made[i]);
	free(table->made);
	free(table->codes);
	free(table->frames);
	free(table->symbolizer_modules);
	symbolizer_free(table->symbolizer);
	module_map_free(table->modules);
	*table = (struct code_frames){0};
}

/* ---- looks ---- */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* What people see of a frame; its offset only where there is no line. */
static bool same_look(const struct profile_frame *a, const struct profile_frame *b)
{
	return a->line == b->line && a->inlined == b->inlined &&
	       (a->line != 0 || a->offset == b->offset) && same_text(a->function, b->function) &&
	       same_text(a->file, b->file) && same_text(a->module, b->module);
}

static bool frame_looks(const void *context, uint32_t id)
{
	const struct code_frames *table = context;

	return same_look(table->frames[table->frame_count], table->frames[id]);
}

static uint64_t hash_text(const char *text, uint64_t seed)
{
	return text == NULL ? seed + 1 : XXH3_64bits_withSeed(text, strlen(text), seed);
}

static uint64_t hash_look(const struct profile_frame *frame)
{
	uint64_t seed = frame->line != 0 ? frame->line : ~frame->offset;

	seed = hash_text(frame->function, seed * 0x9e3779b97f4a7c15ULL + frame->inlined);
	seed = hash_text(frame->file, seed);
	return hash_text(frame->module, seed);
}

static int add_frame(struct code_frames *table, const struct profile_frame *frame)
{
	size_t count = table->frame_count;
	void *larger;
	int rc;

	larger = room_for_one(table->frames, count, sizeof(*table->frames));
	if (larger == NULL)
		return -ENOMEM;
	table->frames = larger;
	larger = room_for_one(table->looks, count, sizeof(*table->looks));
	if (larger == NULL)
		return -ENOMEM;
	table->looks = larger;
	larger = room_for_one(table->roles, count, sizeof(*table->roles));
	if (larger == NULL)
		return -ENOMEM;
	table->roles = larger;
	table->frames[count] = frame;
	table->roles[count] = (uint8_t)frame_rules_known_role(frame);
	rc = id_table_intern(&table->look_index, hash_look(frame), frame_looks, table,
			     (uint32_t)count, &table->looks[count]);
	if (rc == 0)
		table->frame_count++;
	return rc;
}

/* ---- frames ---- */

/* A frame that no symbolizer knows. */
static const struct profile_frame *make_frame(struct code_frames *table, const char *module,
					      uint64_t offset)
{
	struct profile_frame *frame = calloc(1, sizeof(*frame));
	void *larger = room_for_one(table->made, table->made_count, sizeof(*table->made));

	if (larger != NULL)
		table->made = larger;
	if (frame == NULL || larger == NULL) {
		free(frame);
		return NULL;
	}
	frame->module = module;
	frame->offset = offset;
	frame->role = (uint8_t)frame_rules_role(frame);
	table->made[table->made_count++] = frame;
	return frame;
}

static int add_symbols(struct code_frames *table, size_t module, uint64_t offset)
{
	const struct profile_frame *frames[SYMBOL_FRAMES_MAX];
	const struct trace_module_info *info = module_map_get(table->modules, module);
	struct symbolizer_module **known = &table->symbolizer_modules[module];
	size_t count;
	int rc = 0;

	if (*known == NULL)
		*known = symbolizer_add_module(table->symbolizer, info->path, info->build_id,
					       info->head.build_id_bytes);
	if (*known == NULL)
		return -ENOMEM;
	count = symbolizer_resolve(table->symbolizer, *known, offset, frames, SYMBOL_FRAMES_MAX);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = add_frame(table, frames[i]);
	return rc;
}

/* Its hooks stand in the middle of a stack too: dlclose, and under what a signal interrupted. */
static bool is_recorder(const char *path)
{
	static const char name[] = "libmemprof.so";
	const char *slash = strrchr(path, '/');
	const char *base = slash != NULL ? slash + 1 : path;

	return strncmp(base, name, sizeof(name) - 1) == 0 &&
	       (base[sizeof(name) - 1] == '\0' || base[sizeof(name) - 1] == '.');
}

int code_frames_find(struct code_frames *table, const struct callstack_pc *pc, struct code *code)
{
	const struct trace_module_info *info;
	const struct profile_frame *frame;
	/* A return address is one past the call, and perhaps past the function. */
	uint64_t call = pc->pc - 1;
	size_t module = module_map_find(table->modules, call, pc->epoch);
	int rc;

	code->first = (uint32_t)table->frame_count;
	if (module == MODULE_MAP_NONE) {
		frame = make_frame(table, NULL, call);
	} else {
		info = module_map_get(table->modules, module);
		if (is_recorder(info->path)) {
			code->hidden = true;
			return 0;
		}
		if (table->symbols) {
			rc = add_symbols(table, module, call - info->head.bias);
			code->count = (uint32_t)(table->frame_count - code->first);
			return rc;
		}
		frame = make_frame(table, info->path, call - info->head.bias);
	}
	if (frame == NULL)
		return -ENOMEM;
	code->count = 1;
	return add_frame(table, frame);
}

int code_frames_reserve(struct code_frames *table, size_t count)
{
	struct code *codes;

	if (count <= table->code_count)
		return 0;
	codes = reallocarray(table->codes, count, sizeof(*codes));
	if (codes == NULL)
		return -ENOMEM;
	memset(codes + table->code_count, 0, (count - table->code_count) * sizeof(*codes));
	table->codes = codes;
	table->code_count = count;
	return 0;
}

int code_frames_nowhere(struct code_frames *table)
{
	const struct profile_frame *frame;

	if (table->nowhere.count != 0)
		return 0;
	frame = make_frame(table, NULL, 0);
	if (frame == NULL)
		return -ENOMEM;
	table->nowhere = (struct code){.first = (uint32_t)table->frame_count, .count = 1};
	return add_frame(table, frame);
}
