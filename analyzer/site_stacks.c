/*
 * Three tables of different things: code addresses (numbered by callstack.h, each resolved once),
 * frames as people tell them apart, stacks as sequences of such frames.
 *
 * Stacks are many and never freed one by one: they are cut from large pieces of memory.
 */
#include "site_stacks.h"

#include "callstack.h"
#include "frame_rules.h"
#include "id_table.h"
#include "module_map.h"
#include "symbolizer.h"
#include "trace_reader.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* The frames of one code address: entries [first, first + count) of `frames` and `looks`. */
struct code {
	uint32_t first;
	uint32_t count; /* 0: not resolved yet */
	bool hidden;	/* of the recorder, which is no part of the program */
};

/* Memory that is freed all at once, the newest piece first in the list. */
struct piece {
	struct piece *next;
	size_t left; /* bytes at its end */
	size_t bytes;
	_Alignas(max_align_t) char data[];
};
#define PIECE_BYTES (256 * 1024)

/* The return address in a stack that is not known; in no module, whatever a trace says. */
#define NOWHERE 1

struct site_stacks {
	struct module_map *modules;
	uint32_t max_depth;
	bool symbols;
	struct symbolizer *symbolizer;
	struct symbolizer_module **symbolizer_modules; /* by index in the map; NULL: not yet */
	/* code addresses by their number; the last is that of stacks that are not known */
	struct code *codes;
	size_t code_count;
	const struct profile_frame **frames;
	uint32_t *looks; /* number of the first frame that looks the same */
	size_t frame_count;
	/* frames as people tell them apart */
	struct id_table look_index;
	/* stacks */
	struct id_table stack_index;
	struct profile_stack *stacks;
	size_t stack_count;
	struct piece *frame_pieces;
	/* the stack at hand */
	uint32_t *site_codes;
	size_t site_codes_capacity;
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

static void free_pieces(struct piece **pieces)
{
	while (*pieces != NULL) {
		struct piece *piece = *pieces;

		*pieces = piece->next;
		free(piece);
	}
}

/* Memory from the list's newest piece; NULL when there is none. */
static void *cut(struct piece **pieces, size_t bytes)
{
	struct piece *piece = *pieces;

	bytes = (bytes + sizeof(void *) - 1) & ~(sizeof(void *) - 1);
	if (piece == NULL || piece->left < bytes) {
		size_t size = bytes > PIECE_BYTES ? bytes : PIECE_BYTES;

		piece = malloc(sizeof(*piece) + size);
		if (piece == NULL)
			return NULL;
		*piece = (struct piece){.next = *pieces, .left = size, .bytes = size};
		*pieces = piece;
	}
	piece->left -= bytes;
	return piece->data + (piece->bytes - piece->left - bytes);
}

void site_stacks_finish(struct site_stacks *stacks)
{
	id_table_fini(&stacks->look_index);
	id_table_fini(&stacks->stack_index);
	free(stacks->codes);
	free(stacks->frames);
	free(stacks->looks);
	free(stacks->site_codes);
	free(stacks->work);
	free(stacks->work_looks);
	stacks->codes = NULL;
	stacks->frames = NULL;
	stacks->looks = NULL;
	stacks->site_codes = NULL;
	stacks->work = NULL;
	stacks->work_looks = NULL;
}

void site_stacks_free(struct site_stacks *stacks)
{
	if (stacks == NULL)
		return;
	site_stacks_finish(stacks);
	free_pieces(&stacks->frame_pieces);
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
static bool same_look(const struct profile_frame *a, const struct profile_frame *b)
{
	return a->line == b->line && a->inlined == b->inlined &&
	       (a->line != 0 || a->offset == b->offset) && same_text(a->function, b->function) &&
	       same_text(a->file, b->file) && same_text(a->module, b->module);
}

static bool frame_looks(const void *context, uint32_t id)
{
	const struct site_stacks *stacks = context;

	return same_look(stacks->frames[stacks->frame_count], stacks->frames[id]);
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

/* Its hooks stand in the middle of a stack too: dlclose, and under what a signal interrupted. */
static bool is_recorder(const char *path)
{
	static const char name[] = "libmemprof.so";
	const char *slash = strrchr(path, '/');
	const char *base = slash != NULL ? slash + 1 : path;

	return strncmp(base, name, sizeof(name) - 1) == 0 &&
	       (base[sizeof(name) - 1] == '\0' || base[sizeof(name) - 1] == '.');
}

static int resolve(struct site_stacks *stacks, const struct callstack_pc *pc, struct code *code)
{
	const struct trace_module_info *info;
	const struct profile_frame *frame;
	/* A return address is one past the call, and perhaps past the function. */
	uint64_t call = pc->pc - 1;
	size_t module =
	    pc->pc == NOWHERE ? MODULE_MAP_NONE : module_map_find(stacks->modules, call, pc->epoch);
	int rc;

	code->first = (uint32_t)stacks->frame_count;
	if (module == MODULE_MAP_NONE) {
		frame = make_frame(stacks, NULL, call);
	} else {
		info = module_map_get(stacks->modules, module);
		if (is_recorder(info->path)) {
			code->hidden = true;
			return 0;
		}
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

/* Makes room for the code addresses that `callstacks` has. */
static int reserve_codes(struct site_stacks *stacks, const struct callstack_table *callstacks)
{
	size_t count = callstacks->code_count + 1;
	struct code *codes;

	if (count <= stacks->code_count)
		return 0;
	codes = reallocarray(stacks->codes, count, sizeof(*codes));
	if (codes == NULL)
		return -ENOMEM;
	stacks->codes = codes;
	/* What was last is a code address like others now. */
	memset(codes + (stacks->code_count ? stacks->code_count - 1 : 0), 0,
	       (count - (stacks->code_count ? stacks->code_count - 1 : 0)) * sizeof(*codes));
	stacks->code_count = count;
	return 0;
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

/* Appends the frames of a code address, which are resolved when it is met first. */
static int append_code(struct site_stacks *stacks, const struct callstack_pc *pc, uint32_t number)
{
	struct code *code = &stacks->codes[number];
	int rc = code->count == 0 && !code->hidden ? resolve(stacks, pc, code) : 0;

	return rc == 0 && !code->hidden ? append(stacks, code) : rc;
}

/* Puts all frames of the site into `work`. */
static int gather(struct site_stacks *stacks, const struct callstack_table *callstacks,
		  uint32_t site, size_t depth)
{
	/* A stack that is not known has one frame that is not known. */
	static const struct callstack_pc nowhere = {.pc = NOWHERE};
	int rc = reserve_codes(stacks, callstacks);

	if (rc != 0)
		return rc;
	if (depth > stacks->site_codes_capacity) {
		uint32_t *larger = reallocarray(stacks->site_codes, depth, sizeof(*larger));

		if (larger == NULL)
			return -ENOMEM;
		stacks->site_codes = larger;
		stacks->site_codes_capacity = depth;
	}
	callstack_codes(callstacks, site, stacks->site_codes);
	stacks->work_count = 0;
	for (size_t i = 0; rc == 0 && i < depth; i++) {
		uint32_t code = stacks->site_codes[i];

		rc = append_code(stacks, &callstacks->codes[code], code);
	}
	if (rc == 0 && stacks->work_count == 0)
		rc = append_code(stacks, &nowhere, (uint32_t)stacks->code_count - 1);
	return rc;
}

/* Nearly always their frames are the very same. */
static bool stack_same(const void *context, uint32_t id)
{
	const struct site_stacks *stacks = context;
	const struct profile_stack *a = &stacks->stacks[stacks->stack_count];
	const struct profile_stack *b = &stacks->stacks[id];

	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (a->frames[i] != b->frames[i] && !same_look(a->frames[i], b->frames[i]))
			return false;
	return true;
}

/* Makes the stack in `work` the owner of its frames. */
static int keep(struct site_stacks *stacks, struct profile_stack *stack)
{
	size_t bytes = stack->count * sizeof(*stack->frames);
	const struct profile_frame **frames = cut(&stacks->frame_pieces, bytes);

	if (frames == NULL)
		return -ENOMEM;
	memcpy(frames, stack->frames, bytes);
	stack->frames = frames;
	stacks->stack_count++;
	return 0;
}

/*
 * Whether a stack that was `depth` deep is cut. Deeper ones than max_depth are cut somewhere in
 * their outermost quarter, so one that ends there is, unless it ends where programs begin.
 */
static bool is_cut(const struct site_stacks *stacks, const struct profile_stack *stack,
		   size_t depth)
{
	static const char *const outermost[] = {"_start", "clone",    "__clone",
						"clone3", "__clone3", "thread_start"};
	size_t most = stacks->max_depth;
	size_t least = most < TRACE_CUT_DEPTH ? most : most - most / 4;
	const char *function;

	if (most == 0 || depth < least || stack->count == 0)
		return false;
	function = stack->frames[stack->count - 1]->function;
	for (size_t i = 0; depth < most && i < sizeof(outermost) / sizeof(outermost[0]); i++)
		if (function != NULL && strcmp(function, outermost[i]) == 0)
			return false;
	return true;
}

int site_stacks_add(struct site_stacks *stacks, const struct callstack_table *callstacks,
		    uint32_t site, uint32_t *number)
{
	size_t depth = callstack_depth(callstacks, site);
	size_t trim = 0;
	struct profile_stack *stack;
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
	*stack = (struct profile_stack){.frames = stacks->work + trim,
					.count = stacks->work_count - trim};
	stack->truncated = is_cut(stacks, stack, depth);
	rc =
	    id_table_intern(&stacks->stack_index,
			    XXH3_64bits(stacks->work_looks + trim, stack->count * sizeof(uint32_t)),
			    stack_same, stacks, (uint32_t)stacks->stack_count, number);
	if (rc != 0 || *number != stacks->stack_count)
		return rc;
	if (stacks->symbols)
		stack->site_frame = frame_rules_site(stack->frames, stack->count);
	return keep(stacks, stack);
}

size_t site_stacks_count(const struct site_stacks *stacks)
{
	return stacks->stack_count;
}

const struct profile_stack *site_stacks_get(const struct site_stacks *stacks, uint32_t number)
{
	return &stacks->stacks[number];
}
