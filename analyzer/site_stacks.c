/*
 * Three tables of different things: code addresses (each resolved once), frames as people tell
 * them apart, stacks as sequences of such frames.
 */
#include "site_stacks.h"

#include "callstack.h"
#include "frame_rules.h"
#include "id_table.h"
#include "module_map.h"
#include "symbolizer.h"
#include "trace_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* The frames of one code address: entries [first, first + count) of `frames` and `looks`. */
struct code {
	struct callstack_pc pc;
	uint32_t first;
	uint32_t count;
};

/* A stack and how it looks: `count` numbers of frames. */
struct stack {
	struct profile_stack stack;
	const uint32_t *looks;
};

struct site_stacks {
	struct module_map *modules;
	uint32_t max_depth;
	bool symbols;
	struct symbolizer *symbolizer;
	struct symbolizer_module **symbolizer_modules; /* by index in the map; NULL: not yet */
	/* code addresses */
	struct id_table code_index;
	struct code *codes;
	size_t code_count;
	const struct profile_frame **frames;
	uint32_t *looks; /* number of the first frame that looks the same */
	size_t frame_count;
	/* frames as people tell them apart */
	struct id_table look_index;
	/* stacks */
	struct id_table stack_index;
	struct stack *stacks;
	size_t stack_count;
	/* the stack at hand */
	struct callstack_pc *pcs;
	size_t pcs_capacity;
	const struct profile_frame **work;
	uint32_t *work_looks;
	size_t work_count, work_capacity;
	/* frames made here, where there is no symbolizer to own them */
	struct profile_frame **made;
	size_t made_count;
};

/* Room for one more: doubles whenever `count` is a power of two. */
static void *room_for_one(void *array, size_t count, size_t bytes)
{
	if (count != 0 && (count & (count - 1)) != 0)
		return array;
	return reallocarray(array, count == 0 ? 1 : count * 2, bytes);
}

struct site_stacks *site_stacks_new(struct trace_reader *reader,
				    const struct profile_options *options)
{
	struct site_stacks *stacks = calloc(1, sizeof(*stacks));
	size_t module_count = reader->module_count;
	struct symbolizer_options wanted = {.sysroot = options->sysroot,
					    .debuginfod = options->debuginfod};

	if (stacks == NULL)
		return NULL;
	stacks->max_depth = reader->header.max_depth;
	stacks->symbols = options->symbols;
	stacks->modules = module_map_new(reader);
	stacks->symbolizer_modules = calloc(module_count + 1, sizeof(*stacks->symbolizer_modules));
	if (stacks->symbols)
		stacks->symbolizer = symbolizer_new(&wanted);
	if (stacks->modules == NULL || stacks->symbolizer_modules == NULL ||
	    (stacks->symbols && stacks->symbolizer == NULL)) {
		site_stacks_free(stacks);
		errno = ENOMEM;
		return NULL;
	}
	return stacks;
}

void site_stacks_finish(struct site_stacks *stacks)
{
	id_table_fini(&stacks->code_index);
	id_table_fini(&stacks->look_index);
	id_table_fini(&stacks->stack_index);
	for (size_t i = 0; i < stacks->stack_count; i++) {
		free((void *)stacks->stacks[i].looks);
		stacks->stacks[i].looks = NULL;
	}
	free(stacks->codes);
	free(stacks->frames);
	free(stacks->looks);
	free(stacks->pcs);
	free(stacks->work);
	free(stacks->work_looks);
	stacks->codes = NULL;
	stacks->frames = NULL;
	stacks->looks = NULL;
	stacks->pcs = NULL;
	stacks->work = NULL;
	stacks->work_looks = NULL;
}

void site_stacks_free(struct site_stacks *stacks)
{
	if (stacks == NULL)
		return;
	site_stacks_finish(stacks);
	for (size_t i = 0; i < stacks->stack_count; i++)
		free((void *)stacks->stacks[i].stack.frames);
	for (size_t i = 0; i < stacks->made_count; i++)
		free(stacks->made[i]);
	free(stacks->made);
	free(stacks->stacks);
	free(stacks->symbolizer_modules);
	symbolizer_free(stacks->symbolizer);
	module_map_free(stacks->modules);
	free(stacks);
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* What people see of a frame; its offset only where there is no line. */
static bool frame_looks(const void *context, uint32_t id)
{
	const struct site_stacks *stacks = context;
	const struct profile_frame *a = stacks->frames[stacks->frame_count];
	const struct profile_frame *b = stacks->frames[id];

	return a->line == b->line && a->inlined == b->inlined &&
	       (a->line != 0 || a->offset == b->offset) && same_text(a->function, b->function) &&
	       same_text(a->file, b->file) && same_text(a->module, b->module);
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

static int add_frame(struct site_stacks *stacks, const struct profile_frame *frame)
{
	size_t count = stacks->frame_count;
	void *larger;
	int rc;

	larger = room_for_one(stacks->frames, count, sizeof(*stacks->frames));
	if (larger == NULL)
		return -ENOMEM;
	stacks->frames = larger;
	larger = room_for_one(stacks->looks, count, sizeof(*stacks->looks));
	if (larger == NULL)
		return -ENOMEM;
	stacks->looks = larger;
	stacks->frames[count] = frame;
	rc = id_table_intern(&stacks->look_index, hash_look(frame), frame_looks, stacks,
			     (uint32_t)count, &stacks->looks[count]);
	if (rc == 0)
		stacks->frame_count++;
	return rc;
}

/* A frame that no symbolizer knows. */
static const struct profile_frame *make_frame(struct site_stacks *stacks, const char *module,
					      uint64_t offset)
{
	struct profile_frame *frame = calloc(1, sizeof(*frame));
	void *larger = room_for_one(stacks->made, stacks->made_count, sizeof(*stacks->made));

	if (larger != NULL)
		stacks->made = larger;
	if (frame == NULL || larger == NULL) {
		free(frame);
		return NULL;
	}
	frame->module = module;
	frame->offset = offset;
	stacks->made[stacks->made_count++] = frame;
	return frame;
}

static int add_symbols(struct site_stacks *stacks, size_t module, uint64_t offset)
{
	const struct profile_frame *frames[SYMBOL_FRAMES_MAX];
	const struct trace_module_info *info = module_map_get(stacks->modules, module);
	struct symbolizer_module **known = &stacks->symbolizer_modules[module];
	size_t count;
	int rc = 0;

	if (*known == NULL)
		*known = symbolizer_add_module(stacks->symbolizer, info->path, info->build_id,
					       info->head.build_id_bytes);
	if (*known == NULL)
		return -ENOMEM;
	count = symbolizer_resolve(stacks->symbolizer, *known, offset, frames, SYMBOL_FRAMES_MAX);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = add_frame(stacks, frames[i]);
	return rc;
}

static int resolve(struct site_stacks *stacks, struct code *code)
{
	const struct trace_module_info *info;
	const struct profile_frame *frame;
	/* A return address is one past the call, and perhaps past the function. */
	uint64_t call = code->pc.pc - 1;
	size_t module = module_map_find(stacks->modules, call, code->pc.epoch);
	int rc;

	code->first = (uint32_t)stacks->frame_count;
	if (module == MODULE_MAP_NONE) {
		frame = make_frame(stacks, NULL, call);
	} else {
		info = module_map_get(stacks->modules, module);
		if (stacks->symbols) {
			rc = add_symbols(stacks, module, call - info->head.bias);
			code->count = (uint32_t)(stacks->frame_count - code->first);
			return rc;
		}
		frame = make_frame(stacks, info->path, call - info->head.bias);
	}
	if (frame == NULL)
		return -ENOMEM;
	code->count = 1;
	return add_frame(stacks, frame);
}

static bool code_same(const void *context, uint32_t id)
{
	const struct site_stacks *stacks = context;
	const struct callstack_pc *a = &stacks->codes[stacks->code_count].pc;
	const struct callstack_pc *b = &stacks->codes[id].pc;

	return a->pc == b->pc && a->epoch == b->epoch;
}

/* The code address' frames, resolved when it is met first. */
static int find_code(struct site_stacks *stacks, const struct callstack_pc *pc,
		     const struct code **out)
{
	size_t count = stacks->code_count;
	void *larger = room_for_one(stacks->codes, count, sizeof(*stacks->codes));
	uint32_t id;
	int rc;

	if (larger == NULL)
		return -ENOMEM;
	stacks->codes = larger;
	stacks->codes[count] = (struct code){.pc = *pc};
	rc = id_table_intern(&stacks->code_index, XXH3_64bits_withSeed(&pc->pc, 8, pc->epoch),
			     code_same, stacks, (uint32_t)count, &id);
	if (rc == 0 && id == count) {
		rc = resolve(stacks, &stacks->codes[id]);
		stacks->code_count++;
	}
	*out = &stacks->codes[id];
	return rc;
}

static int append(struct site_stacks *stacks, const struct code *code)
{
	size_t wanted = stacks->work_count + code->count;

	if (wanted > stacks->work_capacity) {
		size_t capacity = wanted * 2;
		void *larger = reallocarray(stacks->work, capacity, sizeof(*stacks->work));

		if (larger == NULL)
			return -ENOMEM;
		stacks->work = larger;
		larger = reallocarray(stacks->work_looks, capacity, sizeof(*stacks->work_looks));
		if (larger == NULL)
			return -ENOMEM;
		stacks->work_looks = larger;
		stacks->work_capacity = capacity;
	}
	memcpy(stacks->work + stacks->work_count, stacks->frames + code->first,
	       code->count * sizeof(*stacks->work));
	memcpy(stacks->work_looks + stacks->work_count, stacks->looks + code->first,
	       code->count * sizeof(*stacks->work_looks));
	stacks->work_count = wanted;
	return 0;
}

/* Puts all frames of the site into `work`. */
static int gather(struct site_stacks *stacks, const struct callstack_table *callstacks,
		  uint32_t site, size_t depth)
{
	/* A stack that is not known has one frame that is not known. */
	const struct callstack_pc nowhere = {.pc = 1};
	const struct code *code;
	int rc = 0;

	if (depth > stacks->pcs_capacity) {
		struct callstack_pc *larger = reallocarray(stacks->pcs, depth, sizeof(*larger));

		if (larger == NULL)
			return -ENOMEM;
		stacks->pcs = larger;
		stacks->pcs_capacity = depth;
	}
	callstack_pcs(callstacks, site, stacks->pcs);
	stacks->work_count = 0;
	for (size_t i = 0; rc == 0 && i < (depth == 0 ? 1 : depth); i++) {
		rc = find_code(stacks, depth == 0 ? &nowhere : &stacks->pcs[i], &code);
		if (rc == 0)
			rc = append(stacks, code);
	}
	return rc;
}

static bool stack_same(const void *context, uint32_t id)
{
	const struct site_stacks *stacks = context;
	const struct stack *a = &stacks->stacks[stacks->stack_count];
	const struct stack *b = &stacks->stacks[id];

	return a->stack.count == b->stack.count &&
	       memcmp(a->looks, b->looks, a->stack.count * sizeof(*a->looks)) == 0;
}

/* Makes the stack in `work` the owner of its frames. */
static int keep(struct site_stacks *stacks, struct stack *stack)
{
	size_t count = stack->stack.count;
	const struct profile_frame **frames = malloc(count * sizeof(*frames) + 1);
	uint32_t *looks = malloc(count * sizeof(*looks) + 1);

	if (frames == NULL || looks == NULL) {
		free(frames);
		free(looks);
		return -ENOMEM;
	}
	memcpy(frames, stack->stack.frames, count * sizeof(*frames));
	memcpy(looks, stack->looks, count * sizeof(*looks));
	stack->stack.frames = frames;
	stack->looks = looks;
	stacks->stack_count++;
	return 0;
}

int site_stacks_add(struct site_stacks *stacks, const struct callstack_table *callstacks,
		    uint32_t site, uint32_t *number)
{
	size_t depth = callstack_depth(callstacks, site);
	size_t trim = 0;
	struct stack *stack;
	void *larger;
	int rc = gather(stacks, callstacks, site, depth);

	if (rc != 0)
		return rc;
	larger = room_for_one(stacks->stacks, stacks->stack_count, sizeof(*stacks->stacks));
	if (larger == NULL)
		return -ENOMEM;
	stacks->stacks = larger;
	if (stacks->symbols)
		trim = frame_rules_trim(stacks->work, stacks->work_count);
	stack = &stacks->stacks[stacks->stack_count];
	*stack = (struct stack){
	    .stack = {.frames = stacks->work + trim,
		      .count = stacks->work_count - trim,
		      .truncated = stacks->max_depth != 0 && depth >= stacks->max_depth},
	    .looks = stacks->work_looks + trim};
	rc = id_table_intern(&stacks->stack_index,
			     XXH3_64bits(stack->looks, stack->stack.count * sizeof(uint32_t)),
			     stack_same, stacks, (uint32_t)stacks->stack_count, number);
	if (rc != 0 || *number != stacks->stack_count)
		return rc;
	if (stacks->symbols)
		stack->stack.site_frame = frame_rules_site(stack->stack.frames, stack->stack.count);
	return keep(stacks, stack);
}

size_t site_stacks_count(const struct site_stacks *stacks)
{
	return stacks->stack_count;
}

const struct profile_stack *site_stacks_get(const struct site_stacks *stacks, uint32_t number)
{
	return &stacks->stacks[number].stack;
}
