/* Stages of rings: whatever a killed process leaves in them is read once, nothing else is. */
#include "trace_stage.h"

#include "check_stage.h"
#include "check_support.h"
#include "profile.h"
#include "trace_builder.h"
#include "trace_reader.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* Nothing is missing of so many events, and nothing is there twice. Frees the builder. */
static void check_all(struct trace_builder *builder, uint64_t events)
{
	struct profile *wanted = stage_reference(events), *profile;

	trace_builder_header(builder)->end = TRACE_END_NONE;
	profile = stage_load(builder);
	stage_same_totals(&profile->totals, &wanted->totals);
	ck_assert_str_eq(profile->damage.first, "");
	ck_assert_uint_eq(profile->process.threads, 1);
	profile_free(profile);
	profile_free(wanted);
	trace_builder_free(builder);
}

static const int codings[] = {0, TRACE_BUILDER_RUNS, TRACE_BUILDER_CONTINUES,
			      TRACE_BUILDER_RUNS | TRACE_BUILDER_CONTINUES};

/*
 * `before` events in a segment, then `parts` parts of STAGE_STEP, then some words. With `coding`
 * the stage goes on with the segment's group, or has runs of times.
 */
static struct trace_builder *staged(uint64_t before, unsigned parts, int coding, uint32_t *ring,
				    uint64_t *events)
{
	struct trace_builder *builder = trace_builder_new();

	*ring = trace_builder_ring_staged(builder, 0, 2048, STAGE_BYTES);
	*events = before;
	stage_put(builder, *ring, 0, before);
	trace_builder_flush(builder, *ring, TRACE_COMPRESSION_ZSTD, 0, 0);
	if (before == 0)
		coding &= ~TRACE_BUILDER_CONTINUES;
	for (; parts > 0; parts--, *events += STAGE_STEP) {
		stage_put(builder, *ring, *events, *events + STAGE_STEP);
		trace_builder_stage(builder, *ring, 0, coding);
	}
	stage_put(builder, *ring, *events, *events + 10);
	*events += 10;
	return builder;
}

START_TEST(whole)
{
	uint64_t events;
	uint32_t ring;

	for (unsigned parts = 0; parts < 5; parts++) {
		struct trace_builder *builder =
		    staged(_i / 4 * 50, parts, codings[_i % 4], &ring, &events);

		check_all(builder, events);
	}
}
END_TEST

/* Killed at each moment of emptying the stage. */
START_TEST(killed_within_a_flush)
{
	static const int moments[] = {TRACE_BUILDER_FREE, TRACE_BUILDER_KEEP, TRACE_BUILDER_GARBLE,
				      TRACE_BUILDER_RESERVED, TRACE_BUILDER_UNSTAGED};
	uint64_t events;
	uint32_t ring;

	for (unsigned coding = 0; coding < 4; coding++) {
		struct trace_builder *builder = staged(50, 3, codings[coding], &ring, &events);

		trace_builder_flush(builder, ring, TRACE_COMPRESSION_ZSTD, 0, moments[_i]);
		check_all(builder, events);
	}
}
END_TEST

/* Killed while a part was written: its events are words still. */
START_TEST(killed_within_a_part)
{
	uint64_t events;
	uint32_t ring;

	for (unsigned parts = 0; parts < 3; parts++) {
		struct trace_builder *builder = staged(0, parts, codings[_i], &ring, &events);

		trace_builder_stage(builder, ring, 0, codings[_i] | TRACE_BUILDER_KEEP);
		check_all(builder, events);
	}
}
END_TEST

/* The stage is filled again and again, by one owner and by the next. */
START_TEST(one_after_the_other)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring_staged(builder, 5, 2048, STAGE_BYTES);
	struct profile *wanted = stage_reference(10 * STAGE_STEP), *profile;

	for (uint64_t i = 0; i < 10; i++) {
		stage_put(builder, ring, i * STAGE_STEP, (i + 1) * STAGE_STEP);
		trace_builder_stage(builder, ring, 0, i > 3 ? TRACE_BUILDER_CONTINUES : 0);
		if (i % 4 == 2)
			trace_builder_flush(builder, ring, TRACE_COMPRESSION_ZSTD, 0, 0);
		if (i == 6)
			trace_builder_ring_thread(builder, ring, 7);
	}
	profile = stage_load(builder);
	ck_assert_uint_eq(profile->process.threads, 2);
	ck_assert_str_eq(profile->damage.first, "");
	ck_assert_uint_eq(profile->totals.events, wanted->totals.events);
	ck_assert_uint_eq(profile->totals.live_bytes_end, wanted->totals.live_bytes_end);
	profile_free(profile);
	profile_free(wanted);
	trace_builder_free(builder);
}
END_TEST

/* Blocks go from thread to thread, and each thread's events stand somewhere else. */
START_TEST(merging)
{
	struct trace_builder *builder = trace_builder_new();
	struct profile *profile;
	uint32_t rings[3];

	for (uint32_t i = 0; i < 3; i++)
		rings[i] = trace_builder_ring_staged(builder, i, 2048, STAGE_BYTES);
	for (uint64_t i = 1; i <= 300; i++) {
		trace_builder_acquire(builder, rings[i % 3], i * 10, TRACE_EVENT_MALLOC, 64, 1, 0);
		trace_builder_release(builder, rings[(i + 1) % 3], i * 10 + 5, TRACE_EVENT_FREE,
				      64);
		if (i == 100)
			trace_builder_stage(builder, rings[0], 0, 0);
		if (i % 50 == 0)
			trace_builder_stage(builder, rings[1], 0, TRACE_BUILDER_RUNS);
		if (i % 100 == 0)
			trace_builder_flush(builder, rings[1], TRACE_COMPRESSION_ZSTD, 0, 0);
	}
	trace_builder_stage(builder, rings[2], 0, 0);
	trace_builder_header(builder)->end = TRACE_END_NONE;
	profile = stage_load(builder);
	ck_assert_str_eq(profile->damage.first, "");
	ck_assert_uint_eq(profile->totals.allocations, 300);
	ck_assert_uint_eq(profile->totals.frees, 300);
	ck_assert_uint_eq(profile->totals.foreign_frees, 0);
	ck_assert_uint_eq(profile->totals.lost_events, 0);
	ck_assert_uint_eq(profile->totals.peak_bytes, 1);
	ck_assert_uint_eq(profile->process.threads, 3);
	ck_assert_double_eq_tol(profile->totals.duration_s, 3005e-9, 1e-12);
	profile_free(profile);
	trace_builder_free(builder);
}
END_TEST

/* The joined payload is what a segment has that was made at once. */
START_TEST(joined)
{
	struct trace_stage stage;
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring_staged(builder, 0, 2048, STAGE_BYTES);
	struct trace_reader *reader;
	struct trace_image file;
	struct trace_ring where;
	char error[200];
	const uint8_t *bytes;
	uint8_t *segment;
	size_t count, start = TRACE_HEADER_BYTES + TRACE_RING_DATA_OFFSET + 2048 * 8;

	for (unsigned i = 0; i < 4; i++) {
		stage_put(builder, ring, i * STAGE_STEP, (i + 1) * STAGE_STEP);
		trace_builder_stage(builder, ring, 0, codings[_i] & TRACE_BUILDER_RUNS);
	}
	trace_builder_flush(builder, ring, TRACE_COMPRESSION_NONE, 0, TRACE_BUILDER_KEEP);
	bytes = trace_builder_finish(builder, &count);
	trace_image_open(&file, bytes, count);
	ck_assert_int_eq(trace_reader_open(file.path, &reader, error, sizeof(error)), 0);
	ck_assert_uint_eq(reader->event_segments, 1);
	ck_assert_ptr_null(reader->events[0].payload);
	memcpy(&where, bytes + TRACE_HEADER_BYTES + sizeof(struct trace_segment), sizeof(where));
	ck_assert_int_eq(trace_stage_join(&stage, bytes + start, STAGE_BYTES, ring, &where), 0);
	ck_assert_int_eq(stage.state, TRACE_STAGE_WHOLE);
	ck_assert_uint_eq(stage.payload_bytes, reader->events[0].payload_bytes);
	segment = malloc(stage.payload_bytes);
	ck_assert_ptr_nonnull(segment);
	memcpy(segment, bytes + reader->events[0].offset, stage.payload_bytes);
	/* When it was flushed is another moment. */
	memset(segment + offsetof(struct trace_events, clock), 0, sizeof(struct trace_clock));
	memset(stage.payload + offsetof(struct trace_events, clock), 0, sizeof(struct trace_clock));
	ck_assert_mem_eq(segment, stage.payload, stage.payload_bytes);
	free(segment);
	free(stage.payload);
	trace_reader_free(reader);
	trace_image_close(&file);
	trace_builder_free(builder);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace_stage");
	TCase *tcase = tcase_create("trace_stage");

	tcase_set_timeout(tcase, 240);
	tcase_add_loop_test(tcase, whole, 0, 8);
	tcase_add_loop_test(tcase, killed_within_a_flush, 0, 5);
	tcase_add_loop_test(tcase, killed_within_a_part, 0, 4);
	tcase_add_test(tcase, one_after_the_other);
	tcase_add_test(tcase, merging);
	tcase_add_loop_test(tcase, joined, 0, 2);
	suite_add_tcase(suite, tcase);
	return support_run(suite);
}
