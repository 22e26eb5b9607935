/*
 * Stages that their owner goes on with while they are read. The owner moves between two reads of
 * the file, so that each moment is tried and none by luck: pread() here is the test's own.
 */
#include "check_stage.h"
#include "check_support.h"
#include "profile.h"
#include "trace_builder.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOMENTS	    26
#define CONTROL_AT  (TRACE_HEADER_BYTES + sizeof(struct trace_segment))
#define TRIES	    200 /* of the reader, before it gives a ring up */
#define RING_WORDS  2048
#define TRY_READS   3 /* of the control block, in one try */
#define READS_AFTER 64

/* Called after each read of the file below, NULL: nobody moves. */
static void (*move)(off_t read_at);
static int file_read;

ssize_t pread(int fd, void *into, size_t bytes, off_t at)
{
	ssize_t got = syscall(SYS_pread64, fd, into, bytes, at);

	if (move != NULL)
		move(at);
	return got;
}

/* The file at one moment of its process, which runs on. */
struct moment {
	uint8_t *bytes;
	size_t count;
	uint64_t events;
};

static struct moment moments[MOMENTS];

/* The owner's `n`-th step, which is not to be followed by another when it is the `last`. */
static uint64_t step(struct trace_builder *builder, uint32_t ring, unsigned n, uint64_t events,
		     bool last)
{
	switch (n % 8) {
	case 6: /* the segment's place is taken, and nothing is in it yet */
		if (last)
			trace_builder_flush(builder, ring, TRACE_COMPRESSION_ZSTD, 0,
					    TRACE_BUILDER_RESERVED);
		return events;
	case 7:
		trace_builder_flush(builder, ring, TRACE_COMPRESSION_ZSTD, 0, 0);
		return events;
	case 1:
	case 3:
		trace_builder_stage(builder, ring, 0, 0);
		return events;
	default:
		stage_put(builder, ring, events, events + STAGE_STEP);
		return events + STAGE_STEP;
	}
}

static void make_moment(unsigned number)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring_staged(builder, 0, RING_WORDS, STAGE_BYTES);
	struct moment *moment = &moments[number];
	const uint8_t *bytes;

	trace_builder_header(builder)->end = TRACE_END_NONE;
	trace_builder_header(builder)->pid = (uint32_t)getpid();
	trace_builder_header(builder)->process_start = support_start_time();
	for (unsigned i = 0; i <= number; i++)
		moment->events = step(builder, ring, i, moment->events, i == number);
	bytes = trace_builder_finish(builder, &moment->count);
	moment->bytes = malloc(moment->count);
	ck_assert_ptr_nonnull(moment->bytes);
	memcpy(moment->bytes, bytes, moment->count);
	trace_builder_free(builder);
}

static void make_moments(void)
{
	for (unsigned i = 0; i < MOMENTS; i++)
		make_moment(i);
}

static unsigned now;	   /* the moment of the file */
static unsigned reads;	   /* of any of its bytes */
static unsigned move_each; /* so many reads */
static unsigned controls;  /* reads of the control block */

static void go_to(unsigned moment)
{
	ck_assert_int_eq(pwrite(file_read, moments[moment].bytes, moments[moment].count, 0),
			 (ssize_t)moments[moment].count);
	now = moment;
}

static void go_on(off_t read_at)
{
	(void)read_at;
	if (++reads % move_each == 0 && now + 1 < MOMENTS)
		go_to(now + 1);
}

static struct profile *load_moving(unsigned from, void (*how)(off_t read_at))
{
	struct trace_image image;
	struct profile *profile;

	trace_image_open(&image, moments[from].bytes, moments[from].count);
	file_read = image.fd;
	now = from;
	reads = controls = 0;
	move = how;
	profile = stage_load_path(image.path);
	move = NULL;
	trace_image_close(&image);
	ck_assert_str_eq(profile->process.end, "running");
	return profile;
}

/* The report is of one moment of those that the file went through, nothing missing nor twice. */
static void check_moving(unsigned from, void (*how)(off_t read_at))
{
	struct profile *profile = load_moving(from, how), *wanted;
	uint64_t events = profile->totals.events;

	ck_assert_msg(events >= moments[from].events && events <= moments[now].events,
		      "%lu events, %lu..%lu", (unsigned long)events,
		      (unsigned long)moments[from].events, (unsigned long)moments[now].events);
	ck_assert_str_eq(profile->damage.first, "");
	wanted = stage_reference(events);
	stage_same_totals(&profile->totals, &wanted->totals);
	profile_free(wanted);
	profile_free(profile);
}

/* It stands still. */
START_TEST(each_moment)
{
	make_moments();
	move_each = UINT32_MAX;
	for (unsigned from = 0; from < MOMENTS; from++)
		check_moving(from, go_on);
}
END_TEST

/* One step between any two reads, or less. */
START_TEST(goes_on_while_read)
{
	make_moments();
	move_each = (unsigned)_i + 1;
	for (unsigned from = 0; from < MOMENTS; from++)
		check_moving(from, go_on);
}
END_TEST

/* One step, or several at once, after one of all the reads. */
static unsigned leap_at, leap;

static void leap_once(off_t read_at)
{
	(void)read_at;
	if (++reads == leap_at)
		go_to(now + leap);
}

START_TEST(leaps_once)
{
	make_moments();
	leap = (unsigned)_i;
	for (unsigned from = 0; from + leap < MOMENTS; from++) {
		leap_at = 0;
		do {
			leap_at++;
			check_moving(from, leap_once);
		} while (now != from);
	}
}
END_TEST

/* Changes one word of the control block for good. */
static void put_control(size_t field, uint64_t value)
{
	ck_assert_int_eq(pwrite(file_read, &value, sizeof(value), (off_t)(CONTROL_AT + field)),
			 sizeof(value));
}

#define CONTROL(moment)                                                                            \
	((const struct trace_ring *)(const void *)(moments[moment].bytes + CONTROL_AT))
#define PUT_CONTROL(field, value) put_control(offsetof(struct trace_ring, field), value)

/* Words given free and taken again at each moment, until so many reads have been seen. */
static unsigned restless;

static void flush_ever(off_t read_at)
{
	if (read_at == CONTROL_AT && ++controls <= restless)
		PUT_CONTROL(flushed_events, CONTROL(now)->flushed_events -
						(controls < restless ? controls % 2 : 0));
}

/* The stage is emptied each time between the words and its parts. */
static void empty_ever(off_t read_at)
{
	if (read_at != CONTROL_AT || ++controls > restless)
		return;
	PUT_CONTROL(staged,
		    CONTROL(now)->staged + (controls < restless && controls % TRY_READS ? 4 : 0));
}

/* It makes no sense. */
static void tear_ever(off_t read_at)
{
	controls += read_at == CONTROL_AT;
	PUT_CONTROL(word_bytes, controls < restless ? 4 : RING_WORDS * 8);
}

static void (*const ever[])(off_t read_at) = {flush_ever, empty_ever, tear_ever};

#define STAGED_MOMENT  12 /* a segment, two parts, words */
#define FLUSHED_MOMENT 7  /* that segment */

/* As long as the reader has patience, all is read once the owner stands still. */
START_TEST(read_again_until_still)
{
	make_moments();
	for (restless = 1; restless < TRIES; restless += 1 + restless / 4) {
		struct profile *profile = load_moving(STAGED_MOMENT, ever[_i]), *wanted;

		ck_assert_uint_ge(controls, restless);
		ck_assert_str_eq(profile->damage.first, "");
		ck_assert_uint_eq(profile->totals.events, moments[STAGED_MOMENT].events);
		wanted = stage_reference(profile->totals.events);
		stage_same_totals(&profile->totals, &wanted->totals);
		profile_free(wanted);
		profile_free(profile);
	}
}
END_TEST

/* It never does: the ring is left out, after so many tries; the segments are reported. */
START_TEST(given_up)
{
	static const char *const damage[] = {"", "", "unsound ring at offset 4096"};
	struct profile *profile, *wanted;

	make_moments();
	restless = UINT32_MAX;
	profile = load_moving(STAGED_MOMENT, ever[_i]);
	ck_assert_uint_ge(controls, TRIES);
	ck_assert_uint_le(controls, TRIES * TRY_READS + READS_AFTER);
	ck_assert_str_eq(profile->damage.first, damage[_i]);
	wanted = stage_reference(moments[FLUSHED_MOMENT].events);
	stage_same_totals(&profile->totals, &wanted->totals);
	profile_free(wanted);
	profile_free(profile);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace_stage_live");
	TCase *tcase = tcase_create("trace_stage_live");

	tcase_set_timeout(tcase, 240);
	tcase_add_test(tcase, each_moment);
	tcase_add_loop_test(tcase, goes_on_while_read, 0, 8);
	tcase_add_loop_test(tcase, leaps_once, 1, 5);
	tcase_add_loop_test(tcase, read_again_until_still, 0, 3);
	tcase_add_loop_test(tcase, given_up, 0, 3);
	suite_add_tcase(suite, tcase);
	return support_run(suite);
}
