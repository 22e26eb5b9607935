/* A recorder at work on the trace file that is open: what tests of events and rings share. */
#ifndef PRELOAD_RECORDER_H
#define PRELOAD_RECORDER_H

#include "flush.h"
#include "preload_support.h"
#include "record.h"
#include "resident.h"
#include "sole.h"

/* The caller's frame address, as hooks give it to thread_enter(). */
#define FRAME ((uintptr_t)__builtin_frame_address(0))

/* thread_generation points to it. */
static volatile uint64_t recorder_generation = 1ULL << 32 | GENERATION_BIASED;

static const struct unwind_origin recorder_origin = {1234, 0, 0};

/* The pc for a stack's id. */
static inline uint32_t recorder_stack(void *state, const struct unwind_origin *origin,
				      unsigned max_depth, struct unwind_counts *counts)
{
	(void)state;
	(void)max_depth;
	(void)counts;
	return (uint32_t)origin->pc;
}

/* From now on threads record what they enter; no resident sizes. */
static inline void recorder_start(void)
{
	static const struct unwind_backend backend = {.name = "test", .stack = recorder_stack};

	thread_use(&backend);
	thread_init();
	flush_init(true);
	record_init(&(struct record_settings){.backend = &backend, .max_depth = 64});
	thread_generation = &recorder_generation;
	resident_next = UINT64_MAX;
}

#endif
