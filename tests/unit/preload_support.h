/*
 * What tests of the recorder's modules share besides check_support.h: a trace file, and a reader of
 * it made of include/memprof/trace.h alone. Fails the test on all it cannot do.
 */
#ifndef PRELOAD_SUPPORT_H
#define PRELOAD_SUPPORT_H

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "check_support.h"
#include "clock.h"
#include "trace_file.h"

#define SUPPORT __attribute__((unused)) static

SUPPORT struct trace_header support_header(void)
{
	return (struct trace_header){
	    .magic = TRACE_MAGIC,
	    .version = TRACE_VERSION,
	    .byte_order = TRACE_BYTE_ORDER,
	    .pid = (uint32_t)getpid(),
	    .max_depth = 64,
	};
}

/* The trace file "t" of this process. */
SUPPORT void support_create(void)
{
	struct trace_header header = support_header();

	clock_init();
	ck_assert_int_eq(trace_file_create("t", &header), 0);
}

struct support_segment {
	struct trace_segment head;
	size_t offset;
	const uint8_t *payload;
};

struct support_trace {
	uint8_t *bytes;
	size_t size;
	struct support_segment *segments;
	size_t count;
	size_t holes; /* bytes in no segment */
};

static inline bool support_is_head(const uint8_t *at, size_t left, struct trace_segment *head)
{
	if (left < sizeof(*head))
		return false;
	memcpy(head, at, sizeof(*head));
	return head->magic == TRACE_SEGMENT_MAGIC &&
	       head->head_hash == XXH3_64bits(head, offsetof(struct trace_segment, head_hash));
}

/* Reads the trace: each segment is sound, all else zeros. support_trace_free() gives it back. */
SUPPORT struct support_trace support_parse(const char *path)
{
	struct support_trace trace = {0};
	size_t at = TRACE_HEADER_BYTES;
	size_t room = 0;

	trace.bytes = support_read(path, &trace.size);
	while (at + sizeof(struct trace_segment) <= trace.size) {
		struct support_segment found = {.offset = at, .payload = trace.bytes + at + 64};

		if (!support_is_head(trace.bytes + at, trace.size - at, &found.head)) {
			for (size_t i = 0; i < TRACE_SEGMENT_ALIGN; i++)
				ck_assert_msg(!trace.bytes[at + i], "no segment at %zu", at);
			at += TRACE_SEGMENT_ALIGN;
			trace.holes += TRACE_SEGMENT_ALIGN;
			continue;
		}
		ck_assert_uint_eq(found.head.bytes % TRACE_SEGMENT_ALIGN, 0);
		ck_assert_uint_le(found.head.payload_bytes + 64, found.head.bytes);
		ck_assert_uint_le(at + found.head.bytes, trace.size);
		if (found.head.payload_hash)
			ck_assert_uint_eq(found.head.payload_hash,
					  XXH3_64bits(found.payload, found.head.payload_bytes));
		if (trace.count == room) {
			room = room ? 2 * room : 64;
			trace.segments = realloc(trace.segments, room * sizeof(found));
			ck_assert_ptr_nonnull(trace.segments);
		}
		trace.segments[trace.count++] = found;
		at += found.head.bytes;
	}
	return trace;
}

SUPPORT void support_trace_free(struct support_trace *trace)
{
	free(trace->segments);
	free(trace->bytes);
}

SUPPORT size_t support_count(const struct support_trace *trace, uint32_t type)
{
	size_t count = 0;

	for (size_t i = 0; i < trace->count; i++)
		count += trace->segments[i].head.type == type;
	return count;
}

/* The `nth` segment of `type`, from 0. */
SUPPORT const struct support_segment *support_nth(const struct support_trace *trace, uint32_t type,
						  size_t nth)
{
	for (size_t i = 0; i < trace->count; i++)
		if (trace->segments[i].head.type == type && nth-- == 0)
			return &trace->segments[i];
	ck_abort_msg("no such segment");
	return NULL;
}

SUPPORT const struct trace_header *support_trace_header(const struct support_trace *trace)
{
	return (const struct trace_header *)trace->bytes;
}

#endif
