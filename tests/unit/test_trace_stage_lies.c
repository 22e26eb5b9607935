/* Stages of rings: what anybody wrote there does no harm, and what is sound of it is read. */
#include "check_stage.h"
#include "check_support.h"
#include "profile.h"
#include "trace_builder.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
	struct profile *profile = stage_load_image(image, image_bytes);

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
		profile = stage_load_image(image, image_bytes);
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

	stage_put(builder, ring, 0, 50);
	trace_builder_stage(builder, ring, 0, 0);
	stage_put(builder, ring, 50, 60);
	trace_builder_flush(builder, ring, TRACE_COMPRESSION_NONE, 0, how);
	bytes = trace_builder_finish(builder, &count);
	trace_image_open(&file, bytes, count);
	ck_assert_int_eq(pwrite(file.fd, &lie, sizeof(lie),
				TRACE_HEADER_BYTES + TRACE_RING_DATA_OFFSET + 512 * 8 +
				    sizeof(struct trace_events) +
				    offsetof(struct trace_part, events)),
			 sizeof(lie));
	profile = stage_load_path(file.path);
	trace_image_close(&file);
	trace_builder_free(builder);
	return profile;
}

/* What is in a segment needs no sound stage. */
START_TEST(unsound_but_covered)
{
	struct profile *wanted = stage_reference(60), *profile;

	profile = load_unsound(TRACE_BUILDER_KEEP);
	ck_assert_str_eq(profile->damage.first, "");
	stage_same_totals(&profile->totals, &wanted->totals);
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
		profile = stage_load_path(file.path);
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
		profile = stage_load_path(file.path);
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

int main(void)
{
	Suite *suite = suite_create("trace_stage_lies");
	TCase *tcase = tcase_create("trace_stage_lies");

	tcase_set_timeout(tcase, 240);
	tcase_add_test(tcase, lies_of_the_stage);
	tcase_add_test(tcase, lies_of_the_ring);
	tcase_add_test(tcase, unsound_but_covered);
	tcase_add_test(tcase, unsound_and_garbled);
	tcase_add_test(tcase, every_cut);
	tcase_add_loop_test(tcase, flipped_bytes, 0, 2);
	suite_add_tcase(suite, tcase);
	return support_run(suite);
}
