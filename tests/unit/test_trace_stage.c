/*
 * Stages of rings: whatever a killed process leaves in them is read once, nothing else is, and what
 * anybody wrote there does no harm.
 */
#include "trace_stage.h"

#include "check_support.h"
#include "profile.h"
#include "trace_builder.h"
#include "trace_reader.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STAGE_BYTES 8192
#define STEP	    40 /* events between two flushes */

static struct profile *load_path(const char *path)
{
	static const struct profile_options options = {.points = 5, .top_count = 2};
	struct profile *profile = NULL;
	char error[256] = "";

	ck_assert_msg(profile_load(path, &options, &profile, error, sizeof(error)) == 0, "%s",
		      error);
	return profile;
}

static struct profile *load_image(const uint8_t *bytes, size_t count)
{
	struct profile *profile;
	struct trace_image image;

	trace_image_open(&image, bytes, count);
	profile = load_path(image.path);
	trace_image_close(&image);
	return profile;
}

static struct profile *load_builder(struct trace_builder *builder)
{
	size_t count;
	const uint8_t *bytes = trace_builder_finish(builder, &count);

	return load_image(bytes, count);
}

/* Event `i` of a stream of all classes that repeats addresses, sizes and times. */
static void put_event(struct trace_builder *builder, uint32_t ring, uint64_t i)
{
	uint64_t tick = 100 + i / 3 * 16, slot = 0x10000 + i % 7 * 0x100;

	if (i % 11 == 0)
		trace_builder_failed(builder, ring, tick, TRACE_EVENT_CALLOC, i, 0);
	else if (i % 5 == 0)
		trace_builder_realloc(builder, ring, tick, tick, i % 2 ? 0 : 0x20000 + i * 8,
				      0x20000 + i * 48, i, 0);
	else if (i % 2 == 0)
		trace_builder_release(builder, ring, tick, TRACE_EVENT_FREE, slot);
	else
		trace_builder_acquire(builder, ring, tick, TRACE_EVENT_MALLOC, slot, i % 4 * 8, 0);
}

static void put_events(struct trace_builder *builder, uint32_t ring, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++)
		put_event(builder, ring, i);
}

static void same_totals(const struct profile_totals *totals, const struct profile_totals *wanted)
{
	ck_assert_uint_eq(totals->events, wanted->events);
	ck_assert_uint_eq(totals->allocations, wanted->allocations);
	ck_assert_uint_eq(totals->frees, wanted->frees);
	ck_assert_uint_eq(totals->reallocs, wanted->reallocs);
	ck_assert_uint_eq(totals->bytes_allocated, wanted->bytes_allocated);
	ck_assert_uint_eq(totals->peak_bytes, wanted->peak_bytes);
	ck_assert_uint_eq(totals->live_bytes_end, wanted->live_bytes_end);
	ck_assert_uint_eq(totals->live_blocks_end, wanted->live_blocks_end);
	ck_assert_uint_eq(totals->temporary, wanted->temporary);
	ck_assert_uint_eq(totals->foreign_frees, wanted->foreign_frees);
	ck_assert_uint_eq(totals->failed, wanted->failed);
	ck_assert_uint_eq(totals->lost_events, wanted->lost_events);
	ck_assert_double_eq_tol(totals->duration_s, wanted->duration_s, 1e-9);
}

/* The same events, all of them in the ring. */
static struct profile *reference(uint64_t events)
{
	struct trace_builder *builder = trace_builder_new();
	struct profile *profile;

	put_events(builder, trace_builder_ring(builder, 0, 8192), 0, events);
	profile = load_builder(builder);
	ck_assert_uint_eq(profile->totals.events, events);
	trace_builder_free(builder);
	return profile;
}

/* Nothing is missing of so many events, and nothing is there twice. Frees the builder. */
static void check_all(struct trace_builder *builder, uint64_t events)
{
	struct profile *wanted = reference(events), *profile;

	trace_builder_header(builder)->end = TRACE_END_NONE;
	profile = load_builder(builder);
	same_totals(&profile->totals, &wanted->totals);
	ck_assert_str_eq(profile->damage.first, "");
	ck_assert_uint_eq(profile->process.threads, 1);
	profile_free(profile);
	profile_free(wanted);
	trace_builder_free(builder);
}

static const int codings[] = {0, TRACE_BUILDER_RUNS, TRACE_BUILDER_CONTINUES,
			      TRACE_BUILDER_RUNS | TRACE_BUILDER_CONTINUES};

/*
 * `before` events in a segment, then `parts` parts of STEP, then some words. With `coding` the
 * stage goes on with the segment's group, or has runs of times.
 */
static struct trace_builder *staged(uint64_t before, unsigned parts, int coding, uint32_t *ring,
				    uint64_t *events)
{
	struct trace_builder *builder = trace_builder_new();

	*ring = trace_builder_ring_staged(builder, 0, 2048, STAGE_BYTES);
	*events = before;
	put_events(builder, *ring, 0, before);
	trace_builder_flush(builder, *ring, TRACE_COMPRESSION_ZSTD, 0, 0);
	if (before == 0)
		coding &= ~TRACE_BUILDER_CONTINUES;
	for (; parts > 0; parts--, *events += STEP) {
		put_events(builder, *ring, *events, *events + STEP);
		trace_builder_stage(builder, *ring, 0, coding);
	}
	put_events(builder, *ring, *events, *events + 10);
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
	struct profile *wanted = reference(10 * STEP), *profile;

	for (uint64_t i = 0; i < 10; i++) {
		put_events(builder, ring, i * STEP, (i + 1) * STEP);
		trace_builder_stage(builder, ring, 0, i > 3 ? TRACE_BUILDER_CONTINUES : 0);
		if (i % 4 == 2)
			trace_builder_flush(builder, ring, TRACE_COMPRESSION_ZSTD, 0, 0);
		if (i == 6)
			trace_builder_ring_thread(builder, ring, 7);
	}
	profile = load_builder(builder);
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
	profile = load_builder(builder);
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

/* A file of four blocks' worth of mallocs: a segment, two parts, words; changed by hand. */
#define BLOCKS 40

static uint8_t image[1 << 20];
static size_t image_bytes;
static struct trace_ring *control;
static struct trace_events *head; /* of the stage */
static struct trace_part *first, *second;

static void make_image(void)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring_staged(builder, 0, 512, STAGE_BYTES);
	const uint8_t *bytes;
	uint8_t *data;

	for (uint64_t i = 1; i <= 4 * BLOCKS; i++) {
		trace_builder_acquire(builder, ring, i * 10, TRACE_EVENT_MALLOC, i << 8, 16, 0);
		if (i == BLOCKS)
			trace_builder_flush(builder, ring, TRACE_COMPRESSION_NONE, 0, 0);
		else if (i % BLOCKS == 0 && i != 4 * BLOCKS)
			trace_builder_stage(builder, ring, 0, 0);
	}
	bytes = trace_builder_finish(builder, &image_bytes);
	ck_assert_uint_le(image_bytes, sizeof(image));
	memcpy(image, bytes, image_bytes);
	trace_builder_free(builder);
	/* The ring is the first segment. */
	data = image + TRACE_HEADER_BYTES;
	control = (struct trace_ring *)(void *)(data + sizeof(struct trace_segment));
	head = (struct trace_events *)(void *)(data + TRACE_RING_DATA_OFFSET + control->word_bytes);
	first = (struct trace_part *)(void *)(head + 1);
	second = (struct trace_part *)(void *)((uint8_t *)first + first->bytes);
	ck_assert_uint_eq(first->events, BLOCKS);
	ck_assert_uint_eq(second->to, control->flushed);
}

/* So many blocks are found of the four, the rest is known to be lost. */
static void check_found(const char *what, unsigned blocks, const char *damage)
{
	struct profile *profile = load_image(image, image_bytes);

	ck_assert_msg(profile->totals.allocations == blocks * BLOCKS, "%s: %lu found", what,
		      profile->totals.allocations);
	ck_assert_msg(strncmp(profile->damage.first, damage, strlen(damage)) == 0 &&
			  (profile->damage.first[0] == '\0') == (damage[0] == '\0'),
		      "%s: \"%s\"", what, profile->damage.first);
	ck_assert_msg(profile->totals.lost_events == (4 - blocks) * BLOCKS, "%s: %lu lost", what,
		      profile->totals.lost_events);
	profile_free(profile);
}

#define LIE(field, value, blocks, damage)                                                          \
	do {                                                                                       \
		make_image();                                                                      \
		(field) = (value);                                                                 \
		check_found(#field " = " #value, blocks, damage);                                  \
	} while (0)

#define UNSOUND "unsound stage of the ring at offset 4096"

START_TEST(lies_of_the_stage)
{
	make_image();
	check_found("nothing", 4, "");
	LIE(head->ring, 1, 2, UNSOUND);
	LIE(head->from, 0, 2, UNSOUND);
	LIE(head->compression, TRACE_COMPRESSION_ZSTD, 2, UNSOUND);
	LIE(head->tick_shift, 60, 2, UNSOUND);
	/* what is not valid there is not looked at */
	LIE(head->to, 0, 4, "");
	LIE(head->events, UINT32_MAX, 4, "");
	LIE(head->column_bytes[3], UINT32_MAX, 4, "");
	LIE(head->stored, 255, 4, "");
	LIE(first->from, first->from - 4, 2, UNSOUND);
	LIE(first->to, first->from, 2, UNSOUND);
	LIE(first->to, 0, 2, UNSOUND);
	LIE(first->to, UINT64_MAX, 2, UNSOUND);
	LIE(first->to, control->flushed + 4, 2, UNSOUND);
	LIE(first->events, UINT32_MAX, 2, UNSOUND);
	LIE(first->events, TRACE_EVENTS_MAX + 1, 2, UNSOUND);
	LIE(first->bytes, 0, 2, UNSOUND);
	LIE(first->bytes, sizeof(*first), 2, UNSOUND);
	LIE(first->bytes, first->bytes + 1, 2, UNSOUND);
	LIE(first->bytes, UINT32_MAX - 7, 2, UNSOUND);
	LIE(first->column_bytes[9], UINT32_MAX, 2, UNSOUND);
	/* the part before is good */
	LIE(second->from, 0, 3, UNSOUND);
	LIE(second->to, second->to - 4, 4, UNSOUND);
	LIE(second->bytes, STAGE_BYTES, 3, UNSOUND);
	LIE(second->events, TRACE_EVENTS_MAX - BLOCKS + 1, 3, UNSOUND);
	LIE(second->column_bytes[0], UINT32_MAX, 3, UNSOUND);
}
END_TEST

START_TEST(lies_of_the_ring)
{
	static const uint64_t lengths[] = {0, 4, 12, 160 * 8 - 8, 1 << 20, UINT64_MAX, 1ULL << 63};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct profile *profile;

		make_image();
		control->word_bytes = lengths[i];
		profile = load_image(image, image_bytes);
		ck_assert_uint_eq(profile->totals.allocations, BLOCKS);
		ck_assert_str_eq(profile->damage.first, "unsound ring at offset 4096");
		profile_free(profile);
	}
	/* nothing is staged, then; how much there was before the words says the ring */
	LIE(control->staged, control->flushed, 2, "");
	LIE(control->staged, UINT64_MAX, 2, "");
	LIE(control->staged, control->staged - 4, 2, UNSOUND);
	LIE(control->staged, control->staged + 4, 2, UNSOUND);
	/* words end where the stage begins, so it is where they do */
	LIE(control->word_bytes, control->word_bytes + 8, 2, UNSOUND);
	LIE(control->word_bytes, control->word_bytes - 8, 2, UNSOUND);
}
END_TEST

/* 50 events in a stage that is unsound, and in a segment with 10 more; `how` as it is flushed. */
static struct profile *load_unsound(int how)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring_staged(builder, 0, 512, STAGE_BYTES);
	struct profile *profile;
	struct trace_image file;
	const uint8_t *bytes;
	uint32_t lie = UINT32_MAX;
	size_t count;

	put_events(builder, ring, 0, 50);
	trace_builder_stage(builder, ring, 0, 0);
	put_events(builder, ring, 50, 60);
	trace_builder_flush(builder, ring, TRACE_COMPRESSION_NONE, 0, how);
	bytes = trace_builder_finish(builder, &count);
	trace_image_open(&file, bytes, count);
	ck_assert_int_eq(pwrite(file.fd, &lie, sizeof(lie),
				TRACE_HEADER_BYTES + TRACE_RING_DATA_OFFSET + 512 * 8 +
				    sizeof(struct trace_events) +
				    offsetof(struct trace_part, events)),
			 sizeof(lie));
	profile = load_path(file.path);
	trace_image_close(&file);
	trace_builder_free(builder);
	return profile;
}

/* What is in a segment needs no sound stage. */
START_TEST(unsound_but_covered)
{
	struct profile *wanted = reference(60), *profile;

	profile = load_unsound(TRACE_BUILDER_KEEP);
	ck_assert_str_eq(profile->damage.first, "");
	same_totals(&profile->totals, &wanted->totals);
	profile_free(profile);
	profile_free(wanted);
}
END_TEST

/* A segment that no one can read has what an unsound stage has: it is lost, and counted. */
START_TEST(unsound_and_garbled)
{
	struct profile *profile;

	profile = load_unsound(TRACE_BUILDER_GARBLE);
	ck_assert_uint_eq(profile->totals.events, 10);
	ck_assert_uint_eq(profile->totals.lost_events, 50);
	ck_assert_uint_eq(profile->damage.bad_segments, 2);
	profile_free(profile);
}
END_TEST

/* Cut anywhere: the parts before the cut are read, and it is told that there was more. */
START_TEST(every_cut)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring_staged(builder, 0, 512, STAGE_BYTES);
	struct trace_image file;
	size_t count, ends[3], stage;
	const uint8_t *bytes;

	for (uint64_t i = 1; i <= 4 * BLOCKS; i++) {
		trace_builder_acquire(builder, ring, i * 10, TRACE_EVENT_MALLOC, i << 8, 16, 0);
		if (i % BLOCKS == 0 && i != 4 * BLOCKS)
			trace_builder_stage(builder, ring, 0, 0);
	}
	bytes = trace_builder_finish(builder, &count);
	stage = TRACE_HEADER_BYTES + TRACE_RING_DATA_OFFSET + 512 * 8;
	for (size_t i = 0, at = stage + sizeof(struct trace_events); i < 3; i++) {
		struct trace_part part;

		memcpy(&part, bytes + at, sizeof(part));
		at += part.bytes;
		ends[i] = at;
	}
	trace_image_open(&file, bytes, count);
	for (size_t cut = ends[2] + 100; cut >= stage; cut--) {
		struct profile *profile;
		uint64_t parts = (cut >= ends[0]) + (cut >= ends[1]) + (cut >= ends[2]);

		ck_assert_int_eq(ftruncate(file.fd, (off_t)cut), 0);
		profile = load_path(file.path);
		ck_assert_uint_eq(profile->totals.allocations, (parts + 1) * BLOCKS);
		ck_assert_uint_eq(profile->totals.lost_events, (3 - parts) * BLOCKS);
		ck_assert(profile->damage.cut);
		ck_assert_uint_eq(profile->damage.bad_segments, 0);
		profile_free(profile);
	}
	trace_image_close(&file);
	trace_builder_free(builder);
}
END_TEST

/* Any byte of a stage changed, and some of the control block. */
START_TEST(flipped_bytes)
{
	struct trace_image file;
	size_t stage, end;

	make_image();
	stage = (size_t)((uint8_t *)head - image);
	end = (size_t)((uint8_t *)second - image) + second->bytes;
	trace_image_open(&file, image, image_bytes);
	srand((unsigned)_i);
	for (int i = 0; i < 3000; i++) {
		size_t at = i % 20 ? stage + (size_t)rand() % (end - stage)
				   : (size_t)((uint8_t *)control - image) +
					 (size_t)rand() % sizeof(*control);
		uint8_t flipped = image[at] ^ (uint8_t)(1 << rand() % 8);
		struct profile *profile;

		ck_assert_int_eq(pwrite(file.fd, &flipped, 1, (off_t)at), 1);
		profile = load_path(file.path);
		ck_assert_uint_ge(profile->totals.allocations + profile->totals.frees +
				      profile->totals.foreign_frees + profile->totals.failed,
				  BLOCKS);
		ck_assert_uint_eq(profile->totals.allocations - profile->totals.frees,
				  profile->totals.live_blocks_end);
		profile_free(profile);
		ck_assert_int_eq(pwrite(file.fd, image + at, 1, (off_t)at), 1);
	}
	trace_image_close(&file);
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
		put_events(builder, ring, i * STEP, (i + 1) * STEP);
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
	tcase_add_test(tcase, lies_of_the_stage);
	tcase_add_test(tcase, lies_of_the_ring);
	tcase_add_test(tcase, unsound_but_covered);
	tcase_add_test(tcase, unsound_and_garbled);
	tcase_add_test(tcase, every_cut);
	tcase_add_loop_test(tcase, flipped_bytes, 0, 2);
	tcase_add_loop_test(tcase, joined, 0, 2);
	suite_add_tcase(suite, tcase);
	return support_run(suite);
}
