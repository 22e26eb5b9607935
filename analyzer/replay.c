/*
 * The merge takes from one stream for as long as its next event is not later than the head of the
 * runner-up; only then the heap is touched. With few threads that is nearly always.
 */
#include "replay.h"

#include "replay_blocks.h"
#include "replay_stream.h"
#include "trace_reader.h"

#include "callstack.h"

#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

struct replay {
	const struct trace_reader *reader;
	const struct replay_consumer *consumer;
	struct replay_figures *figures;
	struct replay_blocks blocks;
	struct event_shared shared;
	struct replay_stream *streams;
	size_t stream_count;
	struct replay_stream **heap;
	size_t heap_count;
	uint64_t boundary; /* order before which nothing but the boundary comes */
};

/* Applies what the stream has at hand and is not later than `limit`. */
static int consume(struct replay *replay, struct replay_stream *stream, uint64_t limit)
{
	struct replay_span span = {.next = stream->events + stream->next,
				   .end = stream->events + stream->count,
				   .limit = limit,
				   .thread = stream->thread};
	int rc = replay_blocks_apply(&replay->blocks, &span);

	stream->next = (size_t)(span.next - stream->events);
	return rc;
}

static inline bool heap_before(const struct replay_stream *a, const struct replay_stream *b)
{
	uint64_t x = a->events[a->next].order, y = b->events[b->next].order;

	return x != y ? x < y : a->ring < b->ring;
}

static void sift_down(struct replay *replay, size_t at)
{
	struct replay_stream **heap = replay->heap;
	struct replay_stream *moving = heap[at];

	for (;;) {
		size_t child = at * 2 + 1;

		if (child >= replay->heap_count)
			break;
		if (child + 1 < replay->heap_count && heap_before(heap[child + 1], heap[child]))
			child++;
		if (!heap_before(heap[child], moving))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = moving;
}

static uint64_t runner_up(const struct replay *replay)
{
	uint64_t limit = UINT64_MAX;

	for (size_t i = 1; i < 3 && i < replay->heap_count; i++) {
		const struct replay_stream *stream = replay->heap[i];

		if (stream->events[stream->next].order < limit)
			limit = stream->events[stream->next].order;
	}
	return limit;
}

/* Tells the consumer of every boundary up to that of the next event. */
static int pass_boundaries(struct replay *replay, uint64_t order)
{
	const struct replay_consumer *consumer = replay->consumer;

	while (order >= replay->boundary) {
		int rc = replay_blocks_flush(&replay->blocks);
		uint64_t next;

		if (rc != 0)
			return rc;
		next = consumer->boundary(consumer->context, replay->boundary >> 1);
		replay->boundary = next > REPLAY_NEVER >> 1 ? UINT64_MAX : next << 1;
		if (replay->boundary == UINT64_MAX)
			break;
	}
	return 0;
}

static int merge(struct replay *replay)
{
	while (replay->heap_count != 0) {
		struct replay_stream *stream = replay->heap[0];
		uint64_t limit = runner_up(replay);
		int rc = 0;

		if (replay->boundary != UINT64_MAX &&
		    stream->events[stream->next].order >= replay->boundary) {
			rc = pass_boundaries(replay, stream->events[stream->next].order);
			if (rc != 0)
				return rc;
		}
		if (replay->boundary != UINT64_MAX && limit >= replay->boundary)
			limit = replay->boundary - 1;
		replay->blocks.merging = replay->heap_count > 1;
		rc = consume(replay, stream, limit);
		if (rc != 0)
			return rc;
		if (stream->next == stream->count) {
			rc = replay_stream_refill(stream, replay->reader, replay->figures);
			if (rc < 0)
				return rc;
			if (rc == 0)
				replay->heap[0] = replay->heap[--replay->heap_count];
		}
		if (replay->heap_count > 1)
			sift_down(replay, 0);
	}
	return replay_blocks_finish(&replay->blocks);
}

static int start(struct replay *replay, struct callstack_table *callstacks)
{
	int rc = replay_blocks_init(&replay->blocks, callstacks, replay->consumer, replay->figures,
				    replay->reader->threads);

	if (rc != 0)
		return rc;
	replay->shared.room = EVENT_SHARED_ROOM;
	replay->shared.zstd = ZSTD_createDCtx();
	if (replay->shared.zstd == NULL)
		return -ENOMEM;
	rc = replay_streams_new(replay->reader, &replay->shared, &replay->streams,
				&replay->stream_count);
	if (rc != 0)
		return rc;
	replay->heap = calloc(replay->stream_count + 1, sizeof(struct replay_stream *));
	if (replay->heap == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < replay->stream_count; i++) {
		rc = replay_stream_refill(&replay->streams[i], replay->reader, replay->figures);
		if (rc < 0)
			return rc;
		if (rc == 1)
			replay->heap[replay->heap_count++] = &replay->streams[i];
	}
	for (size_t i = replay->heap_count / 2; i-- > 0;)
		sift_down(replay, i);
	return 0;
}

int replay_run(const struct trace_reader *reader, struct callstack_table *callstacks,
	       const struct replay_consumer *consumer, struct replay_figures *figures)
{
	struct replay *replay = calloc(1, sizeof(*replay));
	int rc;

	if (replay == NULL)
		return -ENOMEM;
	*figures = (struct replay_figures){0};
	replay->reader = reader;
	replay->consumer = consumer;
	replay->figures = figures;
	replay->boundary = consumer->first_boundary > REPLAY_NEVER >> 1
			       ? UINT64_MAX
			       : consumer->first_boundary << 1;
	rc = start(replay, callstacks);
	if (rc == 0)
		rc = merge(replay);
	replay_streams_free(replay->streams, replay->stream_count);
	ZSTD_freeDCtx(replay->shared.zstd);
	replay_blocks_fini(&replay->blocks);
	free(replay->heap);
	free(replay);
	return rc;
}
