/*
 * Writes synthetic traces for tests, from include/memprof/trace.h alone and not with the
 * recorder's code, so that reader and recorder are checked against the format and not against one
 * another.
 *
 * Events are first put into a ring as words. A flush makes an EVENTS segment of what the ring
 * holds; what is never flushed stays in the ring, as after a SIGKILL. Everything aborts on lack of
 * memory: it is for tests.
 */
#ifndef TRACE_BUILDER_H
#define TRACE_BUILDER_H

#include "trace_image.h"

#include <memprof/trace.h>

#include <stddef.h>
#include <stdint.h>

struct trace_builder;

/* A trace with a sound header: pid 1, ticks in ns, ended by exit with status 0 at the last tick. */
struct trace_builder *trace_builder_new(void);
void trace_builder_free(struct trace_builder *builder);

/* The header, to be changed at will before trace_builder_finish(), which hashes it. */
struct trace_header *trace_builder_header(struct trace_builder *builder);

/* Strings may be NULL: empty. `cmdline` has `cmdline_bytes`. */
void trace_builder_process(struct trace_builder *builder, const char *exe, const char *cmdline,
			   size_t cmdline_bytes, const char *host, const char *cwd);

/* Returns the module's number. */
uint32_t trace_builder_module(struct trace_builder *builder, const char *path, uint64_t start,
			      uint64_t end, uint64_t bias, uint32_t epoch);

/* A new stack node, even where an equal one exists; returns its id. Epoch 0. */
uint32_t trace_builder_node(struct trace_builder *builder, uint32_t parent, uint64_t pc);
uint32_t trace_builder_node_at(struct trace_builder *builder, uint32_t parent, uint64_t pc,
			       uint32_t epoch);

/* A ring with room for `words`, owned by the thread with that serial number; returns its index. */
uint32_t trace_builder_ring(struct trace_builder *builder, uint32_t thread, size_t words);
/* The same with room for a stage of so many bytes. */
uint32_t trace_builder_ring_staged(struct trace_builder *builder, uint32_t thread, size_t words,
				   size_t stage_bytes);
void trace_builder_ring_thread(struct trace_builder *builder, uint32_t ring, uint32_t thread);

/* Puts words into a ring; flushes (compressed) first when it is full. */
void trace_builder_words(struct trace_builder *builder, uint32_t ring, const uint64_t *words,
			 size_t count);

void trace_builder_acquire(struct trace_builder *builder, uint32_t ring, uint64_t tick,
			   enum trace_event_kind kind, uint64_t address, uint64_t bytes,
			   uint32_t stack);
void trace_builder_release(struct trace_builder *builder, uint32_t ring, uint64_t tick,
			   enum trace_event_kind kind, uint64_t address);
void trace_builder_realloc(struct trace_builder *builder, uint32_t ring, uint64_t released,
			   uint64_t acquired, uint64_t old, uint64_t address, uint64_t bytes,
			   uint32_t stack);
void trace_builder_failed(struct trace_builder *builder, uint32_t ring, uint64_t tick,
			  enum trace_event_kind function, uint64_t bytes, uint32_t stack);
void trace_builder_sample(struct trace_builder *builder, uint32_t ring, uint64_t tick,
			  uint64_t value);

enum trace_builder_flush {
	TRACE_BUILDER_FREE = 0,	      /* as it should be: segment written, then space given free */
	TRACE_BUILDER_KEEP = 1,	      /* killed before the space was given free */
	TRACE_BUILDER_GARBLE = 2,     /* killed within writing: the segment's hash is wrong */
	TRACE_BUILDER_RESERVED = 4,   /* killed before writing: a hole of zeros */
	TRACE_BUILDER_UNSTAGED = 8,   /* killed when the stage was free and the words were not */
	TRACE_BUILDER_RUNS = 16,      /* times are coded as runs of equal ones */
	TRACE_BUILDER_CONTINUES = 32, /* the segment goes on with the group of the one before */
};

/*
 * Moves the ring's words into its stage as a part. `how`: TRACE_BUILDER_RUNS and _CONTINUES, of
 * the segment to be, so of the first part; with TRACE_BUILDER_KEEP it was killed before the part
 * counted. Aborts when the stage is full.
 */
void trace_builder_stage(struct trace_builder *builder, uint32_t ring, unsigned tick_shift,
			 int how);

/*
 * Makes a segment of what the stage and the ring hold. `how` is an or of enum trace_builder_flush;
 * how what is staged was coded stays.
 */
void trace_builder_flush(struct trace_builder *builder, uint32_t ring,
			 enum trace_compression compression, unsigned tick_shift, int how);

/* An appended segment of any content, for what is not covered above. */
void trace_builder_segment(struct trace_builder *builder, uint32_t type, uint32_t index,
			   const void *payload, size_t bytes);

/* Completes the image, which stays the builder's. Nothing may be added afterwards. */
const uint8_t *trace_builder_finish(struct trace_builder *builder, size_t *bytes);

#endif
