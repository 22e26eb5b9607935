/* The order that events of several threads come out in, and what belongs to what. */
#include "replay.h"

#include "callstack.h"
#include "check_load.h"
#include "check_support.h"
#include "trace_builder.h"
#include "trace_reader.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define CHANGES_MAX 100000

/* A change, and what its origin says. */
struct seen_change {
	uint64_t tick, bytes;
	bool freed, temporary;
};

struct seen {
	struct seen_change changes[CHANGES_MAX];
	size_t count;
	uint64_t boundaries[100]; /* count when the boundary was passed */
	size_t boundary_count;
	uint64_t step; /* between boundaries; 0: none */
};

static struct seen seen;

static int take(void *context, const struct replay_batch *batch)
{
	static uint64_t bytes[CHANGES_MAX];
	struct seen *into = context;

	ck_assert_uint_le(into->count + batch->count, CHANGES_MAX);
	for (size_t i = 0; i < batch->origin_count; i++) {
		ck_assert_uint_gt(batch->origins[i].number, 0);
		ck_assert_uint_lt(batch->origins[i].number, CHANGES_MAX);
		bytes[batch->origins[i].number] = batch->origins[i].bytes;
	}
	for (size_t i = 0; i < batch->count; i++) {
		const struct replay_change *change = &batch->changes[i];

		into->changes[into->count++] = (struct seen_change){
		    .tick = change->tick,
		    .bytes = bytes[change->origin],
		    .freed = (change->flags & REPLAY_FREE) != 0,
		    .temporary = (change->flags & REPLAY_TEMPORARY) != 0,
		};
	}
	return 0;
}

static uint64_t pass(void *context, uint64_t at)
{
	struct seen *into = context;

	into->boundaries[into->boundary_count++] = into->count;
	return into->boundary_count == 100 ? REPLAY_NEVER : at + into->step;
}

static struct replay_figures run(struct trace_builder *builder, uint64_t step)
{
	struct replay_consumer consumer = {.context = &seen, .changes = take, .boundary = pass};
	struct replay_figures figures;
	struct callstack_table table;
	struct trace_reader *reader = load_reader(builder);

	seen.count = 0;
	seen.boundary_count = 0;
	seen.step = step;
	consumer.first_boundary = step == 0 ? REPLAY_NEVER : step;
	ck_assert_int_eq(callstack_init(&table, reader), 0);
	ck_assert_int_eq(replay_run(reader, &table, &consumer, &figures), 0);
	callstack_fini(&table);
	trace_reader_free(reader);
	return figures;
}

/* One address goes from thread to thread, its release and next allocation at one tick. */
START_TEST(releases_go_first)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t rings[3];
	struct replay_figures figures;

	for (uint32_t i = 0; i < 3; i++)
		rings[i] = trace_builder_ring(builder, i, 512);
	for (uint64_t i = 1; i <= 60; i++) {
		/* The ring with the lower number is not always the one that releases. */
		trace_builder_acquire(builder, rings[i * 2 % 3], i * 10, TRACE_EVENT_MALLOC, 0x40,
				      i, 0);
		trace_builder_release(builder, rings[i * 2 % 3], i * 10 + 10, TRACE_EVENT_FREE,
				      0x40);
	}
	figures = run(builder, 0);
	ck_assert_uint_eq(figures.foreign_frees, 0);
	ck_assert_uint_eq(figures.replaced, 0);
	ck_assert_uint_eq(figures.events, 120);
	ck_assert_uint_eq(seen.count, 120);
	for (size_t i = 0; i < 120; i++) {
		ck_assert(seen.changes[i].freed == (i % 2 != 0));
		ck_assert_uint_eq(seen.changes[i].bytes, i / 2 + 1);
	}
}
END_TEST

/* Handed over and released within one coarse tick: the release finds its block all the same. */
START_TEST(handed_over_within_a_tick)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t a = trace_builder_ring(builder, 0, 512);
	uint32_t b = trace_builder_ring(builder, 1, 512);
	struct replay_figures figures;

	trace_builder_acquire(builder, a, 0x100, TRACE_EVENT_MALLOC, 0x40, 1, 0);
	trace_builder_release(builder, b, 0x105, TRACE_EVENT_FREE, 0x40);
	trace_builder_release(builder, b, 0x106, TRACE_EVENT_FREE, 0x990); /* truly foreign */
	trace_builder_acquire(builder, a, 0x107, TRACE_EVENT_MALLOC, 0x50, 2, 0);
	trace_builder_acquire(builder, a, 0x200, TRACE_EVENT_MALLOC, 0x990, 3, 0);
	trace_builder_flush(builder, a, TRACE_COMPRESSION_ZSTD, 4, 0);
	trace_builder_flush(builder, b, TRACE_COMPRESSION_ZSTD, 4, 0);
	figures = run(builder, 0);
	ck_assert_uint_eq(figures.foreign_frees, 1);
	ck_assert_uint_eq(figures.replaced, 0);
	ck_assert_uint_eq(seen.count, 4);
	ck_assert(seen.changes[1].freed);
	ck_assert_uint_eq(seen.changes[1].bytes, 1);
}
END_TEST

/* Between the halves of a realloc another thread gets the old address. */
START_TEST(halves_are_merged_apart)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t a = trace_builder_ring(builder, 0, 512);
	uint32_t b = trace_builder_ring(builder, 1, 512);
	struct replay_figures figures;

	trace_builder_acquire(builder, a, 10, TRACE_EVENT_MALLOC, 0x40, 1, 0);
	trace_builder_realloc(builder, a, 20, 40, 0x40, 0x80, 2, 0);
	trace_builder_acquire(builder, b, 30, TRACE_EVENT_MALLOC, 0x40, 3, 0);
	trace_builder_release(builder, b, 35, TRACE_EVENT_FREE, 0x40);
	trace_builder_release(builder, b, 50, TRACE_EVENT_FREE, 0x80);
	if (_i)
		trace_builder_flush(builder, a, TRACE_COMPRESSION_ZSTD, 0, 0);
	figures = run(builder, 0);
	ck_assert_uint_eq(figures.foreign_frees, 0);
	ck_assert_uint_eq(figures.replaced, 0);
	ck_assert_uint_eq(figures.events, 5);
	ck_assert_uint_eq(seen.count, 6);
	for (size_t i = 0; i < 6; i++) {
		static const uint64_t bytes[] = {1, 1, 3, 3, 2, 2};

		ck_assert_uint_eq(seen.changes[i].bytes, bytes[i]);
		ck_assert(seen.changes[i].freed == (i % 2 != 0));
	}
}
END_TEST

/* A ring that one thread left and another took over: each event is its own thread's. */
START_TEST(ring_with_two_owners)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring(builder, 0, 512);
	uint32_t other = trace_builder_ring(builder, 1, 512);

	trace_builder_acquire(builder, ring, 10, TRACE_EVENT_MALLOC, 0x40, 1, 0);
	trace_builder_flush(builder, ring, TRACE_COMPRESSION_ZSTD, 0, 0);
	trace_builder_ring_thread(builder, ring, 2);
	trace_builder_release(builder, ring, 20, TRACE_EVENT_FREE, 0x40);
	trace_builder_acquire(builder, ring, 30, TRACE_EVENT_MALLOC, 0x50, 1, 0);
	trace_builder_acquire(builder, other, 40, TRACE_EVENT_MALLOC, 0x60, 1, 0);
	trace_builder_release(builder, ring, 50, TRACE_EVENT_FREE, 0x50);
	run(builder, 0);
	ck_assert_uint_eq(seen.count, 5);
	ck_assert(!seen.changes[1].temporary);
	ck_assert(seen.changes[4].temporary);
}
END_TEST

/* No batch reaches over a boundary, and none is forgotten. */
START_TEST(boundaries_part_the_changes)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t rings[4];

	srand(3);
	for (uint32_t i = 0; i < 4; i++)
		rings[i] = trace_builder_ring(builder, i, 64);
	for (uint64_t tick = 0; tick < 20000; tick += (uint64_t)rand() % 3)
		trace_builder_acquire(builder, rings[rand() % 4], tick, TRACE_EVENT_MALLOC,
				      (tick << 12) + 64 * (uint64_t)(rand() % 60), 1, 0);
	run(builder, 700);
	ck_assert_uint_eq(seen.boundary_count, 28);
	for (size_t i = 0, at = 0; i < 28; i++)
		for (; at < seen.boundaries[i]; at++) {
			ck_assert_uint_lt(seen.changes[at].tick, 700 * (i + 1));
			ck_assert_uint_ge(seen.changes[at].tick, 700 * i);
		}
	ck_assert_uint_ge(seen.changes[seen.boundaries[27]].tick, 700 * 28);
}
END_TEST

/*
 * Events of several rings come out as plain sorting by time has them, with rings that have a few or
 * many at a time, some of them long ended and some in segments of several chunks.
 */
START_TEST(many_rings_are_sorted)
{
	enum { EVENTS = 30000 };
	struct trace_builder *builder = trace_builder_new();
	uint32_t rings[6], ring = 0, count = (uint32_t)_i + 1;
	struct replay_figures figures;

	srand((unsigned)_i);
	for (uint32_t i = 0; i < count; i++)
		rings[i] = trace_builder_ring(builder, i, i % 2 == 0 ? 256 : 8192);
	for (uint64_t i = 0; i < EVENTS; i++) {
		uint64_t block = i / 2 * 64 + 64;
		/* Runs of one ring, of two, of all. */
		uint32_t among = i % 5000 < 100 ? 1 : i % 5000 < 3000 ? 2 : 6;

		if (rand() % 3 != 0)
			ring = (uint32_t)rand() % among % count;
		if (i % 2 == 0)
			trace_builder_acquire(builder, rings[ring], i, TRACE_EVENT_MALLOC, block,
					      i + 1, 0);
		else
			trace_builder_release(builder, rings[ring], i, TRACE_EVENT_FREE, block);
	}
	figures = run(builder, _i % 2 == 0 ? 0 : 500);
	ck_assert_uint_eq(figures.foreign_frees, 0);
	ck_assert_uint_eq(figures.replaced, 0);
	ck_assert_uint_eq(seen.count, EVENTS);
	for (uint64_t i = 0; i < EVENTS; i++) {
		ck_assert_uint_eq(seen.changes[i].tick, i);
		ck_assert_uint_eq(seen.changes[i].bytes, i / 2 * 2 + 1);
		ck_assert(seen.changes[i].freed == (i % 2 != 0));
	}
}
END_TEST

/* Of equal times that ring goes on which had the last event, until its releases are late. */
START_TEST(ties_stay_with_a_ring)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t rings[3];

	for (uint32_t i = 0; i < 3; i++)
		rings[i] = trace_builder_ring(builder, i, 512);
	/* The second ring begins; then all have events of one tick. */
	trace_builder_acquire(builder, rings[1], 5, TRACE_EVENT_MALLOC, 0x40, 1, 0);
	for (uint32_t i = 0; i < 3; i++)
		for (uint32_t n = 0; n < 3; n++)
			trace_builder_acquire(builder, rings[i], 10, TRACE_EVENT_MALLOC,
					      0x1000 + i * 0x100 + n * 0x20, 10 * (i + 1) + n, 0);
	run(builder, 0);
	ck_assert_uint_eq(seen.count, 10);
	for (size_t i = 0; i < 10; i++) {
		static const uint64_t bytes[] = {1, 20, 21, 22, 10, 11, 12, 30, 31, 32};

		ck_assert_uint_eq(seen.changes[i].bytes, bytes[i]);
	}
}
END_TEST

/*
 * A block is temporary whose thread acquired nothing after it: also when others did, and not when
 * one of those got its address, was it of the two at hand or one of long ago.
 */
START_TEST(temporary_is_a_threads_own)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t a = trace_builder_ring(builder, 0, 512);
	uint32_t b = trace_builder_ring(builder, 1, 512);
	uint32_t c = trace_builder_ring(builder, 2, 512);
	static const bool temporary[] = {true, false, false, true};

	trace_builder_acquire(builder, a, 10, TRACE_EVENT_MALLOC, 0x40, 1, 0);
	trace_builder_acquire(builder, b, 20, TRACE_EVENT_MALLOC, 0x80, 1, 0);
	trace_builder_release(builder, a, 30, TRACE_EVENT_FREE, 0x40); /* true */
	trace_builder_acquire(builder, a, 40, TRACE_EVENT_MALLOC, 0x40, 1, 0);
	trace_builder_release(builder, b, 50, TRACE_EVENT_FREE, 0x40); /* false */
	if (_i == 0)
		trace_builder_acquire(builder, b, 60, TRACE_EVENT_MALLOC, 0x40, 1, 0);
	else
		trace_builder_acquire(builder, c, 60, TRACE_EVENT_MALLOC, 0x40, 1, 0);
	trace_builder_release(builder, a, 70, TRACE_EVENT_FREE, 0x40); /* false */
	trace_builder_acquire(builder, c, 80, TRACE_EVENT_MALLOC, 0x40, 1, 0);
	trace_builder_acquire(builder, b, 90, TRACE_EVENT_MALLOC, 0xc0, 1, 0);
	trace_builder_release(builder, c, 100, TRACE_EVENT_FREE, 0x40); /* true */
	run(builder, 0);
	for (size_t i = 0, freed = 0; i < seen.count; i++)
		if (seen.changes[i].freed)
			ck_assert(seen.changes[i].temporary == temporary[freed++]);
}
END_TEST

/* A thread whose events are in two rings has one last block all the same. */
START_TEST(one_thread_in_two_rings)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t a = trace_builder_ring(builder, 0, 512);
	uint32_t b = trace_builder_ring(builder, 0, 512);
	uint32_t c = trace_builder_ring(builder, 1, 512);

	for (uint64_t i = 0; i < 200; i++)
		trace_builder_acquire(builder,
				      i % 3 == 0   ? c
				      : i % 2 == 0 ? a
						   : b,
				      i * 10, TRACE_EVENT_MALLOC, 0x1000 + i * 64, 1, 0);
	trace_builder_release(builder, a, 3000, TRACE_EVENT_FREE, 0x1000 + 199 * 64);
	trace_builder_release(builder, a, 3010, TRACE_EVENT_FREE, 0x1000 + 197 * 64);
	run(builder, 0);
	ck_assert_uint_eq(seen.count, 202);
	ck_assert(seen.changes[200].temporary);
	ck_assert(!seen.changes[201].temporary);
}
END_TEST

/* Time that runs backwards to the end of its range must not keep the merge from ending. */
START_TEST(absurd_ticks)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t a = trace_builder_ring(builder, 0, 512);
	uint32_t b = trace_builder_ring(builder, 1, 512);
	struct replay_figures figures;

	trace_builder_acquire(builder, a, UINT64_MAX >> 8, TRACE_EVENT_MALLOC, 0x40, 1, 0);
	trace_builder_acquire(builder, a, 3, TRACE_EVENT_MALLOC, 0x50, 1, 0);
	trace_builder_acquire(builder, b, 5, TRACE_EVENT_MALLOC, 0x60, 1, 0);
	trace_builder_acquire(builder, b, UINT64_MAX >> 8, TRACE_EVENT_MALLOC, 0x70, 1, 0);
	figures = run(builder, UINT64_MAX >> 16);
	ck_assert_uint_eq(figures.events, 4);
	ck_assert_uint_eq(seen.count, 4);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("replay");
	TCase *tcase = tcase_create("replay");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, releases_go_first);
	tcase_add_test(tcase, handed_over_within_a_tick);
	tcase_add_loop_test(tcase, halves_are_merged_apart, 0, 2);
	tcase_add_test(tcase, ring_with_two_owners);
	tcase_add_test(tcase, boundaries_part_the_changes);
	tcase_add_loop_test(tcase, many_rings_are_sorted, 0, 6);
	tcase_add_test(tcase, ties_stay_with_a_ring);
	tcase_add_loop_test(tcase, temporary_is_a_threads_own, 0, 2);
	tcase_add_test(tcase, one_thread_in_two_rings);
	tcase_add_test(tcase, absurd_ticks);
	suite_add_tcase(suite, tcase);
	return support_run(suite);
}
