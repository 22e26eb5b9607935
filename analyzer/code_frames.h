/*
 * From code addresses (numbered by callstack.h) to frames, and which frames are one to a reader: a
 * *look* is what people see of a frame: function, file and line; where no line is known, module and
 * offset.
 */
#ifndef CODE_FRAMES_H
#define CODE_FRAMES_H

#include "id_table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct callstack_pc;
struct module_map;
struct profile_frame;
struct profile_options;
struct symbolizer;
struct symbolizer_module;
struct trace_reader;

/* The frames of one code address: entries [first, first + count) of `frames` and `looks`. */
struct code {
	uint32_t first;
	uint32_t count; /* 0: not resolved yet */
	bool hidden;	/* of the recorder, which is no part of the program */
};

struct code_frames {
	struct module_map *modules;
	bool symbols;
	struct symbolizer *symbolizer;
	struct symbolizer_module **symbolizer_modules; /* by index in the map; NULL: not yet */
	struct code *codes;			       /* by number of the code address */
	size_t code_count;
	struct code nowhere; /* what a stack that is not known has */
	const struct profile_frame **frames;
	uint32_t *looks; /* number of the first frame that looks the same */
	uint8_t *roles;	 /* enum frame_role */
	size_t frame_count;
	struct id_table look_index;
	/* frames made here, where there is no symbolizer to own them */
	struct profile_frame **made;
	size_t made_count;
};

/*
 * `reader` must outlive code_frames_resolve(), not the frames. Returns 0 or -ENOMEM; in both cases
 * code_frames_fini() frees, and ends all frames.
 */
int code_frames_init(struct code_frames *table, struct trace_reader *reader,
		     const struct profile_options *options);
void code_frames_fini(struct code_frames *table);

/* Makes room for so many code addresses. Returns 0 or -ENOMEM. */
int code_frames_reserve(struct code_frames *table, size_t count);

/* Finds the frames of a code address that is not known yet. Returns 0 or -ENOMEM. */
int code_frames_find(struct code_frames *table, const struct callstack_pc *pc, struct code *code);

/* Finds the frames of a code address, unless they are known. Returns 0 or -ENOMEM. */
static inline int code_frames_resolve(struct code_frames *table, const struct callstack_pc *pc,
				      uint32_t number)
{
	struct code *code = &table->codes[number];

	return code->count != 0 || code->hidden ? 0 : code_frames_find(table, pc, code);
}

/* Makes `nowhere`: one frame that nothing is known of. Returns 0 or -ENOMEM. */
int code_frames_nowhere(struct code_frames *table);

/* Frees what only resolving needs, the looks and the roles. */
void code_frames_finish(struct code_frames *table);

#endif
