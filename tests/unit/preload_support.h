/*
 * What tests of the recorder's modules share: a folder of their own, a trace file in it, and a
 * reader of it made of include/memprof/trace.h alone. Fails the test on all it cannot do.
 */
#ifndef PRELOAD_SUPPORT_H
#define PRELOAD_SUPPORT_H

#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "clock.h"
#include "trace_file.h"

#define SUPPORT __attribute__((unused)) static

static char support_folder[PATH_MAX];

/* A new empty folder, which becomes the working directory. */
SUPPORT void support_enter(void)
{
	const char *parent = getenv("TMPDIR");

	snprintf(support_folder, sizeof(support_folder), "%s/memprof-test-XXXXXX",
		 parent ? parent : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(support_folder));
	ck_assert_int_eq(chdir(support_folder), 0);
}

SUPPORT void support_leave(void)
{
	char command[PATH_MAX + 32];

	snprintf(command, sizeof(command), "rm -rf '%s'", support_folder);
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(system(command), 0);
}

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

/* A whole file; the caller frees it. */
SUPPORT uint8_t *support_read(const char *path, size_t *bytes)
{
	int fd = open(path, O_RDONLY);
	struct stat status;
	uint8_t *content;

	ck_assert_msg(fd >= 0, "%s cannot be opened", path);
	ck_assert_int_eq(fstat(fd, &status), 0);
	*bytes = (size_t)status.st_size;
	content = malloc(*bytes + 1);
	ck_assert_ptr_nonnull(content);
	ck_assert_int_eq(pread(fd, content, *bytes, 0), status.st_size);
	content[*bytes] = 0;
	close(fd);
	return content;
}

SUPPORT void support_write(const char *path, const void *content, size_t bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, content, bytes), (ssize_t)bytes);
	close(fd);
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

/* Runs `run` in `count` threads at once, each with its number. */
struct support_thread {
	pthread_t id;
	pthread_barrier_t *start;
	void (*run)(unsigned number);
	unsigned number;
};

static inline void *support_thread_main(void *memory)
{
	struct support_thread *thread = memory;

	pthread_barrier_wait(thread->start);
	thread->run(thread->number);
	return NULL;
}

SUPPORT void support_threads(unsigned count, void (*run)(unsigned number))
{
	struct support_thread threads[64];
	pthread_barrier_t start;

	ck_assert_uint_le(count, 64);
	pthread_barrier_init(&start, NULL, count);
	for (unsigned i = 0; i < count; i++) {
		threads[i] = (struct support_thread){.start = &start, .run = run, .number = i};
		ck_assert_int_eq(
		    pthread_create(&threads[i].id, NULL, support_thread_main, &threads[i]), 0);
	}
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i].id, NULL);
	pthread_barrier_destroy(&start);
}

static inline uint64_t support_random(uint64_t *state)
{
	/* splitmix64 (Steele et al., OOPSLA 2014): any seed is good. */
	uint64_t z = *state += 0x9e3779b97f4a7c15U;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
	z = (z ^ z >> 27) * 0x94d049bb133111ebU;
	return z ^ z >> 31;
}

SUPPORT int support_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
