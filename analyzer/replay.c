/*
 * The merge takes from one stream for as long as its next event is not later than the head of the
 * runner-up; only then the heap is touched. With few threads that is nearly always, so the cost is
 * that of the table of live blocks, whose slots are prefetched from the decoded chunk.
 *
 * Ties: at equal (shifted) ticks releases go first, so an address's next owner finds it free. When
 * instead a block was handed over and released within one such tick, its release comes up too
 * early; it waits until the tick is over before it is called foreign.
 */
#include "replay.h"

#include "callstack.h"
#include "live_table.h"
#include "origin_table.h"
#include "replay_stream.h"
#include "trace_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

#define BATCH		 1024
#define PREFETCH_AHEAD	 12
#define EARLY_RELEASES	 64
#define OWNER(thread, f) ((uint32_t)(thread) << 3 | (f))
#define BYTES_LARGE	 UINT32_MAX	     /* the origin tells how many */
#define BLOCK_BYTES_MAX	 (UINT64_C(1) << 48) /* what a program can address; sums must not wrap */
#define ADDRESS_ZERO	 UINT64_MAX	     /* stands for a block at 0, which no release means */

struct early_release {
	uint64_t tick;
	uint64_t address;
	uint32_t thread;
	uint8_t kind;
};

struct replay {
	const struct trace_reader *reader;
	struct callstack_table *callstacks;
	const struct replay_consumer *consumer;
	struct replay_figures *figures;
	struct live_table live;
	struct origin_table origins;
	struct event_shared shared;
	uint64_t *last_address; /* by thread: what it allocated last */
	struct replay_stream *streams;
	size_t stream_count;
	struct replay_stream **heap;
	size_t heap_count;
	uint64_t boundary; /* order before which nothing but the boundary comes */
	struct early_release early[EARLY_RELEASES];
	size_t early_count;
	struct replay_change batch[BATCH];
	size_t batch_count;
	bool batch_others; /* has changes that are not of the heap */
};

static int flush(struct replay *replay)
{
	struct replay_batch batch = {
	    .changes = replay->batch, .count = replay->batch_count, .others = replay->batch_others};

	replay->batch_count = 0;
	replay->batch_others = false;
	if (batch.count == 0)
		return 0;
	return replay->consumer->changes(replay->consumer->context, &batch);
}

/* Where the next change goes; the caller knows that there is room. */
static inline struct replay_change *emit(struct replay *replay)
{
	return &replay->batch[replay->batch_count++];
}

static inline uint64_t bytes_of(const struct live_block *block, const struct origin *origin)
{
	return block->bytes == BYTES_LARGE ? origin->large_bytes : block->bytes;
}

static inline uint8_t release_flags(const struct origin *origin, bool temporary, uint8_t kind)
{
	uint8_t mismatched = (origin->owner & 7) != event_family[kind];

	return (temporary ? REPLAY_TEMPORARY : 0) | (mismatched ? REPLAY_MISMATCHED : 0);
}

/* Takes the block at a place out of the table and tells of it. */
static inline void free_block(struct replay *replay, const struct live_place *place,
			      struct live_block *block, uint64_t address, uint64_t tick,
			      uint32_t thread, uint8_t kind)
{
	const struct origin *origin = &replay->origins.origins[block->origin];
	bool temporary = origin->owner >> 3 == thread && replay->last_address[thread] == address;

	*emit(replay) = (struct replay_change){.tick = tick,
					       .bytes = bytes_of(block, origin),
					       .site = origin->site,
					       .op = REPLAY_FREE,
					       .kind = kind,
					       .flags = release_flags(origin, temporary, kind)};
	live_table_remove(&replay->live, place, block);
}

static void keep_early(struct replay *replay, const struct event *event, uint32_t thread)
{
	uint64_t tick = event->order >> 1;

	/* Those of ticks gone by have had their chance. */
	if (replay->early_count != 0 && replay->early[0].tick != tick) {
		replay->figures->foreign_frees += replay->early_count;
		replay->early_count = 0;
	}
	if (replay->early_count == EARLY_RELEASES || replay->heap_count < 2) {
		replay->figures->foreign_frees++;
		return;
	}
	replay->early[replay->early_count++] = (struct early_release){
	    .tick = tick, .address = event->address, .thread = thread, .kind = event->kind};
}

/* A block was just allocated: was its release seen already, within this tick? */
static void match_early(struct replay *replay, uint64_t address, uint64_t tick)
{
	for (size_t i = 0; i < replay->early_count; i++) {
		struct early_release *early = &replay->early[i];
		struct live_place place;

		if (early->tick != tick || early->address != address)
			continue;
		place = live_table_place(&replay->live, address);
		free_block(replay, &place, live_table_block(&replay->live, &place), address, tick,
			   early->thread, early->kind);
		*early = replay->early[--replay->early_count];
		return;
	}
}

/* The block where `address` is, made if there is none; tells of the one that was there. */
static inline int place_block(struct replay *replay, uint64_t address, uint64_t tick,
			      struct live_block **block)
{
	struct live_place place = live_table_place(&replay->live, address);
	const struct origin *origin;

	*block = live_table_block(&replay->live, &place);
	if (__builtin_expect(*block == NULL, 1))
		return live_table_enter(&replay->live, &place, address, block);
	/* Its release was lost. Whoever lost it, it was none of the other family. */
	origin = &replay->origins.origins[(*block)->origin];
	*emit(replay) = (struct replay_change){.tick = tick,
					       .bytes = bytes_of(*block, origin),
					       .site = origin->site,
					       .op = REPLAY_FREE};
	replay->figures->replaced++;
	return 0;
}

/* A stack that is new, or was last seen with another owner. */
static __attribute__((noinline)) int origin_new(struct replay *replay, uint32_t stack,
						uint32_t owner, uint64_t large_bytes,
						uint32_t *number)
{
	struct origin origin = {.owner = owner, .large_bytes = large_bytes};
	int rc = callstack_site(replay->callstacks, stack, &origin.site);
	uint32_t *hint;

	if (rc == 0)
		rc = origin_table_find(&replay->origins, &origin, number);
	if (rc != 0)
		return rc;
	hint = callstack_hint(replay->callstacks, stack);
	if (hint != NULL)
		*hint = *number + 1;
	return 0;
}

/* The origin of an event, which is mostly that of the last one with its stack. */
static inline int origin_of(struct replay *replay, const struct event *event, uint32_t owner,
			    uint32_t *number)
{
	uint64_t large_bytes = event->bytes >= BYTES_LARGE ? event->bytes : 0;
	const uint32_t *hint = callstack_hint(replay->callstacks, event->stack);

	if (__builtin_expect(hint != NULL && *hint != 0, 1)) {
		const struct origin *origin = &replay->origins.origins[*hint - 1];

		*number = *hint - 1;
		if (origin->owner == owner && origin->large_bytes == large_bytes)
			return 0;
	}
	return origin_new(replay, event->stack, owner, large_bytes, number);
}

/* Whether the event after `event`, which is not later than `limit`, releases what it acquires. */
static inline bool is_temporary(const struct event *event, const struct event *end, uint64_t limit)
{
	const struct event *next = event + 1;

	return next < end && next->address == event->address && next->op == EVENT_RELEASE &&
	       next->order <= limit && event->address != 0;
}

/* A block that is released at once never gets into the table. */
static inline void pass_temporary(struct replay *replay, const struct event *event, uint32_t thread,
				  const struct origin *origin)
{
	const struct event *release = event + 1;

	replay->last_address[thread] = event->address;
	*emit(replay) = (struct replay_change){.tick = event->order >> 1,
					       .bytes = event->bytes,
					       .site = origin->site,
					       .op = REPLAY_ALLOCATE,
					       .kind = event->kind};
	*emit(replay) = (struct replay_change){.tick = release->order >> 1,
					       .bytes = event->bytes,
					       .site = origin->site,
					       .op = REPLAY_FREE,
					       .kind = release->kind,
					       .flags = release_flags(origin, true, release->kind)};
}

static inline int apply_acquire(struct replay *replay, const struct event *event, uint32_t thread,
				uint32_t number)
{
	uint64_t address = event->address == 0 ? ADDRESS_ZERO : event->address;
	uint64_t tick = event->order >> 1;
	struct live_block *block;
	int rc = place_block(replay, address, tick, &block);

	if (rc != 0)
		return rc;
	block->bytes = event->bytes >= BYTES_LARGE ? BYTES_LARGE : (uint32_t)event->bytes;
	block->origin = number;
	replay->last_address[thread] = address;
	*emit(replay) = (struct replay_change){.tick = tick,
					       .bytes = event->bytes,
					       .site = replay->origins.origins[number].site,
					       .op = REPLAY_ALLOCATE,
					       .kind = event->kind};
	if (__builtin_expect(replay->early_count != 0, 0))
		match_early(replay, address, tick);
	return 0;
}

/* An acquisition, and its release with it where that comes next. Returns how many, or -ENOMEM. */
static inline int acquire(struct replay *replay, const struct event *event, const struct event *end,
			  uint64_t limit, uint32_t thread)
{
	uint32_t number;
	int rc;

	if (__builtin_expect(event->bytes > BLOCK_BYTES_MAX, 0)) {
		replay->figures->absurd++;
		return 1;
	}
	rc = origin_of(replay, event, OWNER(thread, event_family[event->kind]), &number);
	if (__builtin_expect(rc != 0, 0))
		return rc;
	if (is_temporary(event, end, limit) && replay->early_count == 0 &&
	    !live_table_has(&replay->live, event->address)) {
		pass_temporary(replay, event, thread, &replay->origins.origins[number]);
		return 2;
	}
	rc = apply_acquire(replay, event, thread, number);
	return rc != 0 ? rc : 1;
}

static inline void apply_release(struct replay *replay, const struct event *event, uint32_t thread)
{
	struct live_place place = live_table_place(&replay->live, event->address);
	struct live_block *block = live_table_block(&replay->live, &place);

	if (__builtin_expect(block == NULL, 0))
		keep_early(replay, event, thread);
	else
		free_block(replay, &place, block, event->address, event->order >> 1, thread,
			   event->kind);
}

/* Kinds that are no part of the heap. Returns 1, or -ENOMEM. */
static int apply_other(struct replay *replay, const struct event *event)
{
	static const uint8_t ops[] = {[EVENT_MAP] = REPLAY_MAP,
				      [EVENT_UNMAP] = REPLAY_UNMAP,
				      [EVENT_FAILED] = REPLAY_FAILED,
				      [EVENT_SAMPLE] = REPLAY_SAMPLE};
	uint32_t site = 0;

	if (event->op == EVENT_MAP && event->bytes > BLOCK_BYTES_MAX) {
		replay->figures->absurd++;
		return 1;
	}
	replay->batch_others = true;
	if (event->op == EVENT_MAP || event->op == EVENT_FAILED) {
		int rc = callstack_site(replay->callstacks, event->stack, &site);

		if (rc != 0)
			return rc;
	}
	*emit(replay) = (struct replay_change){.tick = event->order >> 1,
					       .bytes = event->bytes,
					       .address = event->address,
					       .site = site,
					       .op = ops[event->op],
					       .kind = event->kind};
	return 1;
}

/* One event makes three changes at most: the replaced block, the new one, its early release. */
#define CHANGES_PER_EVENT 3

/* Applies events up to `end` that are not later than `limit`; *next is the first that is not. */
static int apply(struct replay *replay, const struct event *event, const struct event *end,
		 uint64_t limit, uint32_t thread, const struct event **next)
{
	bool prefetch = live_table_large(&replay->live);
	int rc = 0;

	while (event < end && event->order <= limit) {
		if (prefetch && end - event > PREFETCH_AHEAD)
			live_table_prefetch(&replay->live, event[PREFETCH_AHEAD].address);
		if (event->op == EVENT_ACQUIRE) {
			rc = acquire(replay, event, end, limit, thread);
		} else if (event->op == EVENT_RELEASE) {
			apply_release(replay, event, thread);
			rc = 1;
		} else {
			rc = apply_other(replay, event);
		}
		if (__builtin_expect(rc < 0, 0))
			break;
		event += rc;
	}
	*next = event;
	return rc < 0 ? rc : 0;
}

/* Applies what the stream has at hand and is not later than `limit`. */
static int consume(struct replay *replay, struct replay_stream *stream, uint64_t limit)
{
	const struct event *event = stream->events + stream->next;
	const struct event *end = stream->events + stream->count;
	int rc = 0;

	while (rc == 0 && event < end && event->order <= limit) {
		size_t room = (BATCH - replay->batch_count) / CHANGES_PER_EVENT;

		if (room == 0) {
			rc = flush(replay);
			continue;
		}
		rc = apply(replay, event, (size_t)(end - event) > room ? event + room : end, limit,
			   stream->thread, &event);
	}
	stream->next = (size_t)(event - stream->events);
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
		int rc = flush(replay);
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
	return flush(replay);
}

static int start(struct replay *replay)
{
	int rc = live_table_init(&replay->live);

	if (rc == 0)
		rc = origin_table_init(&replay->origins);
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
	replay->last_address = calloc((size_t)replay->reader->threads + 1, sizeof(uint64_t));
	replay->heap = calloc(replay->stream_count + 1, sizeof(struct replay_stream *));
	if (replay->last_address == NULL || replay->heap == NULL)
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
	replay->callstacks = callstacks;
	replay->consumer = consumer;
	replay->figures = figures;
	callstack_clear_hints(callstacks);
	replay->boundary = consumer->first_boundary > REPLAY_NEVER >> 1
			       ? UINT64_MAX
			       : consumer->first_boundary << 1;
	rc = start(replay);
	if (rc == 0)
		rc = merge(replay);
	figures->foreign_frees += replay->early_count;
	replay_streams_free(replay->streams, replay->stream_count);
	ZSTD_freeDCtx(replay->shared.zstd);
	live_table_fini(&replay->live);
	origin_table_fini(&replay->origins);
	free(replay->last_address);
	free(replay->heap);
	free(replay);
	return rc;
}
