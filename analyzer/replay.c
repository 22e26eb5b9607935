/*
 * The merge takes from the two streams that are earliest for as long as their next events are
 * earlier than the head of the third, or from one for as long as it has many before the next; only
 * then the heap is touched. However many threads there are, in a thousandth of a second there are
 * mostly not more of them than processors.
 *
 * Of streams with equal orders that goes on which had the last event, else the lowest ring's.
 */
#include "replay.h"

#include "replay_blocks.h"
#include "replay_stream.h"
#include "trace_reader.h"

#include "callstack.h"

#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

#define FEW_EVENTS 16 /* to merge two streams is worth it when there are no more between */

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

static inline uint64_t head_order(const struct replay *replay, size_t at)
{
	const struct replay_stream *stream;

	if (at >= replay->heap_count)
		return UINT64_MAX;
	stream = replay->heap[at];
	return stream->events[stream->next].order;
}

/* Where in the heap the stream is that comes after the first. */
static size_t runner_up(const struct replay *replay)
{
	return replay->heap_count > 2 && heap_before(replay->heap[2], replay->heap[1]) ? 2 : 1;
}

/* The earliest order of all streams but the first and that at `second`. */
static uint64_t third_order(const struct replay *replay, size_t second)
{
	uint64_t order = head_order(replay, 3 - second);

	for (size_t child = second * 2 + 1; child <= second * 2 + 2; child++)
		if (head_order(replay, child) < order)
			order = head_order(replay, child);
	return order;
}

static struct replay_span span_of(const struct replay_stream *stream)
{
	return (struct replay_span){.next = stream->events + stream->next,
				    .end = stream->events + stream->count,
				    .thread = stream->thread};
}

/*
 * Applies what the first stream and that at `second` have at hand and is earlier than `limit`. The
 * one that had the last event is the first then.
 */
static int consume_two(struct replay *replay, size_t second, uint64_t limit)
{
	struct replay_stream **heap = replay->heap;
	struct replay_stream *streams[2] = {heap[0], heap[second]};
	struct replay_span spans[2] = {span_of(streams[0]), span_of(streams[1])};
	unsigned last = 0;
	int rc = replay_blocks_apply_two(&replay->blocks, spans, limit, &last);

	for (size_t i = 0; i < 2; i++)
		streams[i]->next = (size_t)(spans[i].next - streams[i]->events);
	heap[0] = streams[last];
	heap[second] = streams[!last];
	return rc;
}

/* Applies what the first stream has at hand and is not later than `limit`. */
static int consume(struct replay *replay, uint64_t limit)
{
	struct replay_stream *stream = replay->heap[0];
	struct replay_span span = span_of(stream);
	int rc = replay_blocks_apply(&replay->blocks, &span, limit);

	stream->next = (size_t)(span.next - stream->events);
	return rc;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Whether the first stream has only a few events, of those at hand, that are earlier than `limit`.
 */
static bool is_soon(const struct replay *replay, uint64_t limit)
{
	const struct replay_stream *stream = replay->heap[0];
	size_t far = stream->next + FEW_EVENTS;

	return stream->events[far < stream->count ? far : stream->count - 1].order >= limit;
}

/* Applies what comes before `boundary`, until the first stream is at its end or another is first.
 */
static int consume_first(struct replay *replay, uint64_t boundary)
{
	size_t second = runner_up(replay);
	uint64_t next = head_order(replay, second);
	int rc = 0;

	replay->blocks.merging = replay->heap_count > 1;
	if (is_soon(replay, next) && replay->heap[second]->thread != replay->heap[0]->thread) {
		uint64_t third = third_order(replay, second);

		rc = consume_two(replay, second, earlier(third, boundary));
		next = earlier(head_order(replay, second), third);
		sift_down(replay, second);
	}
	if (rc == 0 && replay->heap[0]->next < replay->heap[0]->count)
		rc = consume(replay,
			     earlier(next, boundary == UINT64_MAX ? boundary : boundary - 1));
	return rc;
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
		struct replay_stream *stream;
		int rc = 0;

		if (head_order(replay, 0) >= replay->boundary)
			rc = pass_boundaries(replay, head_order(replay, 0));
		if (rc == 0)
			rc = consume_first(replay, replay->boundary);
		if (rc != 0)
			return rc;
		stream = replay->heap[0];
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
