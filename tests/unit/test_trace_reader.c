/*
 * The reader on files that are cut, flipped, half-written or of somebody else: never a crash, one
 * clear line where nothing can be read, and what precedes a damage read exactly.
 */
#include "trace_reader.h"

#include "profile.h"
#include "trace_builder.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEGMENTS    6
#define PER_SEGMENT 50

static struct trace_reader *open_image(const uint8_t *bytes, size_t count)
{
	struct trace_reader *reader = NULL;
	struct trace_image image;
	char error[256] = "";

	trace_image_open(&image, bytes, count);
	ck_assert_msg(trace_reader_open(image.path, &reader, error, sizeof(error)) == 0, "%s",
		      error);
	trace_image_close(&image);
	return reader;
}

static struct trace_reader *open_builder(struct trace_builder *builder)
{
	size_t count;
	const uint8_t *bytes = trace_builder_finish(builder, &count);

	return open_image(bytes, count);
}

static struct profile *load_path(const char *path)
{
	static const struct profile_options options = {.points = 5, .top_count = 2};
	struct profile *profile = NULL;
	char error[256] = "";

	if (profile_load(path, &options, &profile, error, sizeof(error)) != 0) {
		ck_assert_str_ne(error, "");
		ck_assert_ptr_null(strchr(error, '\n'));
		profile = NULL;
	}
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

/* SEGMENTS segments of PER_SEGMENT blocks of 16 bytes, and some more left in the ring. */
static struct trace_builder *sample(int how_last)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring(builder, 0, 512);
	uint32_t stack;
	uint64_t tick = 0;

	trace_builder_process(builder, "/bin/app", "app", 4, "somewhere", "/");
	trace_builder_module(builder, "/bin/app", 0x1000, 0x9000, 0, 0);
	stack = trace_builder_node(builder, trace_builder_node(builder, 0, 0x2000), 0x3000);
	for (int i = 0; i <= SEGMENTS; i++) {
		for (int j = 0; j < PER_SEGMENT; j++) {
			tick += 10;
			trace_builder_acquire(builder, ring, tick, TRACE_EVENT_MALLOC, tick << 8,
					      16, stack);
		}
		if (i < SEGMENTS)
			trace_builder_flush(builder, ring, TRACE_COMPRESSION_ZSTD, 0,
					    i == SEGMENTS - 1 ? how_last : 0);
	}
	return builder;
}

START_TEST(index_of_a_sound_file)
{
	struct trace_builder *builder = sample(0);
	struct trace_reader *reader = open_builder(builder);

	ck_assert(reader->header_sound);
	ck_assert_str_eq(reader->damage.first, "");
	ck_assert_uint_eq(reader->event_segments, SEGMENTS);
	ck_assert_uint_eq(reader->ring_count, 1);
	ck_assert_uint_eq(reader->rings[0].word_count, PER_SEGMENT * 4);
	ck_assert_uint_eq(reader->module_count, 1);
	ck_assert_str_eq(reader->modules[0].path, "/bin/app");
	ck_assert_uint_eq(reader->modules[0].head.build_id_bytes, 4);
	ck_assert_str_eq(reader->process.exe, "/bin/app");
	ck_assert_uint_eq(reader->process.cmdline_bytes, 4);
	ck_assert_str_eq(reader->process.host, "somewhere");
	ck_assert_uint_eq(reader->threads, 1);
	ck_assert_uint_eq(reader->nodes.count, 1);
	trace_reader_free(reader);
	trace_builder_free(builder);
}
END_TEST

/* Killed at each moment of a flush: nothing lost, nothing twice, no damage. */
/* A library's path is as dlopen() got it; where the process was tells the rest. */
START_TEST(relative_modules)
{
	static const char *const recorded[] = {"./plug.so", "../a/./b.so", "/x/c.so", "[vdso]",
					       "linux-vdso.so.1"};
	static const char *const expected[2][5] = {
	    {"/home/me/plug.so", "/home/me/../a/./b.so", "/x/c.so", "[vdso]", "linux-vdso.so.1"},
	    {"/plug.so", "/../a/./b.so", "/x/c.so", "[vdso]", "linux-vdso.so.1"}};

	for (size_t i = 0; i < 3; i++) {
		struct trace_builder *builder = trace_builder_new();
		struct trace_reader *reader;

		for (size_t j = 0; j < 5; j++)
			trace_builder_module(builder, recorded[j], 0x1000 * (j + 1),
					     0x1000 * (j + 2), 0, 0);
		if (i < 2)
			trace_builder_process(builder, "/bin/app", "app", 4, "somewhere",
					      i == 0 ? "/home/me" : "/");
		reader = open_builder(builder);
		ck_assert_uint_eq(reader->module_count, 5);
		for (size_t j = 0; j < 5; j++)
			ck_assert_str_eq(reader->modules[j].path,
					 i < 2 ? expected[i][j] : recorded[j]);
		trace_reader_free(reader);
		trace_builder_free(builder);
	}
}
END_TEST

START_TEST(killed_within_a_flush)
{
	static const int moments[] = {TRACE_BUILDER_FREE, TRACE_BUILDER_KEEP, TRACE_BUILDER_GARBLE,
				      TRACE_BUILDER_RESERVED};
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring(builder, 0, 512);
	struct profile *profile;
	const uint8_t *bytes;
	size_t count;

	for (uint64_t i = 1; i <= 100; i++) {
		trace_builder_acquire(builder, ring, i, TRACE_EVENT_MALLOC, i << 8, 16, 0);
		if (i == 50)
			trace_builder_flush(builder, ring, TRACE_COMPRESSION_ZSTD, 0, 0);
	}
	trace_builder_flush(builder, ring, TRACE_COMPRESSION_ZSTD, 0, moments[_i]);
	trace_builder_header(builder)->end = TRACE_END_NONE;
	bytes = trace_builder_finish(builder, &count);
	profile = load_image(bytes, count);
	ck_assert_ptr_nonnull(profile);
	ck_assert_uint_eq(profile->totals.allocations, 100);
	ck_assert_uint_eq(profile->totals.events, 100);
	ck_assert_uint_eq(profile->totals.lost_events, 0);
	ck_assert_str_eq(profile->damage.first, "");
	ck_assert_str_eq(profile->process.end, "killed");
	profile_free(profile);
	trace_builder_free(builder);
}
END_TEST

/* Segment number _i is damaged where it stands: exactly its events are missing, and counted. */
START_TEST(one_bad_segment)
{
	struct trace_builder *builder = sample(0);
	struct trace_reader *reader = open_builder(builder);
	struct profile *profile;
	size_t count;
	uint8_t *copy;
	const uint8_t *bytes = trace_builder_finish(builder, &count);

	copy = malloc(count);
	ck_assert_ptr_nonnull(copy);
	for (int where = 0; where < 3; where++) {
		/* in the columns, in the payload's head, in the segment's head */
		static const int offsets[] = {140, 8, -40};

		memcpy(copy, bytes, count);
		copy[reader->events[_i].offset + (uint64_t)offsets[where]] ^= 0x10;
		profile = load_image(copy, count);
		ck_assert_ptr_nonnull(profile);
		ck_assert_uint_eq(profile->totals.allocations, SEGMENTS * PER_SEGMENT);
		ck_assert_uint_eq(profile->totals.lost_events, PER_SEGMENT);
		ck_assert_uint_eq(profile->damage.lost_events, PER_SEGMENT);
		ck_assert_uint_ge(profile->damage.bad_segments, 1);
		ck_assert_str_ne(profile->damage.first, "");
		profile_free(profile);
	}
	free(copy);
	trace_reader_free(reader);
	trace_builder_free(builder);
}
END_TEST

/* What the recorder gave up, and said so, is lost but is no damage of the file. */
START_TEST(told_losses_are_no_damage)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring(builder, 0, 512);
	struct trace_events given_up = {
	    .ring = ring,
	    .events = 30,
	    .from = 0,
	    .to = 120,
	    .first_event = 25,
	    .lost_events = 25,
	    .column_bytes = {30, 30, 30, 0, 1, [TRACE_COLUMN_RELEASED] = 1}};
	uint8_t payload[sizeof(given_up) + 92];
	struct profile *profile;
	const uint8_t *bytes;
	size_t count;

	memcpy(payload, &given_up, sizeof(given_up));
	/* 30 frees of one address, a tick apart */
	memset(payload + sizeof(given_up), 1, 92);
	payload[sizeof(given_up)] = 0;
	payload[sizeof(given_up) + 60] = 0;
	payload[sizeof(given_up) + 90] = TRACE_EVENT_FREE;
	payload[sizeof(given_up) + 91] = 4;
	trace_builder_segment(builder, TRACE_SEGMENT_EVENTS, ring, payload, sizeof(payload));
	trace_builder_header(builder)->lost_events = 26;
	bytes = trace_builder_finish(builder, &count);
	profile = load_image(bytes, count);
	ck_assert_ptr_nonnull(profile);
	ck_assert_uint_eq(profile->totals.foreign_frees, 30);
	ck_assert_uint_eq(profile->totals.lost_events, 26);
	ck_assert_uint_eq(profile->damage.lost_events, 0);
	ck_assert_str_eq(profile->damage.first, "");
	profile_free(profile);
	trace_builder_free(builder);
}
END_TEST

START_TEST(every_cut)
{
	struct trace_builder *builder = sample(0);
	struct trace_reader *reader = open_builder(builder);
	static const uint8_t zeros[64];
	struct trace_image image;
	size_t count, step = 7;
	const uint8_t *bytes = trace_builder_finish(builder, &count);

	/* From the end on, so that one file can be cut again and again; _i is the residue. */
	trace_image_open(&image, bytes, count);
	for (size_t cut = (count - 1) / step * step + (size_t)_i; cut < SIZE_MAX - step;
	     cut -= step) {
		struct profile *profile;
		uint64_t whole = 0, in_ring = 0;

		/* Within zeros one place is like the next: each sixteenth will do. */
		if (cut >= count || (cut > 64 && cut % 16 != 0 &&
				     memcmp(bytes + cut - 64, zeros, 64) == 0 && bytes[cut] == 0))
			continue;
		ck_assert_int_eq(ftruncate(image.fd, (off_t)cut), 0);
		profile = load_path(image.path);

		if (cut < 8) {
			ck_assert_ptr_null(profile);
			continue;
		}
		ck_assert_ptr_nonnull(profile);
		for (size_t i = 0; i < reader->event_segments; i++)
			if (reader->events[i].offset + reader->events[i].payload_bytes <= cut)
				whole += PER_SEGMENT;
		/* The ring comes first in this file, then all else. */
		if (cut >= 4096 + 4096 + PER_SEGMENT * 32)
			in_ring = PER_SEGMENT;
		else if (cut > 4096 + 4096)
			in_ring = (cut - 4096 - 4096) / 32;
		ck_assert_uint_eq(profile->totals.allocations, whole + in_ring);
		ck_assert_msg(profile->damage.cut || profile->damage.first[0] != '\0' ||
				  profile->totals.lost_events != 0,
			      "cut at %zu not seen", cut);
		profile_free(profile);
	}
	trace_reader_free(reader);
	trace_builder_free(builder);
}
END_TEST

/*
 * One byte flipped, anywhere: no crash, and sums that hold. Where the byte is in something hashed
 * the flip is noticed, and everything else is there.
 */
/* All that is missing is counted, be it in a segment that is there in part or after it. */
START_TEST(a_cut_is_measured)
{
	struct trace_builder *builder = sample(0);
	size_t count;
	const uint8_t *bytes = trace_builder_finish(builder, &count);
	struct trace_reader *whole = open_image(bytes, count), *reader;
	uint64_t last = whole->events[whole->event_segments - 1].offset;

	ck_assert_uint_eq(whole->damage.bad_bytes, 0);
	ck_assert_uint_gt(whole->header.tail, last + 10);
	for (uint64_t cut = last - sizeof(struct trace_segment); cut <= last + 10; cut += 10) {
		uint64_t part = cut - (last - sizeof(struct trace_segment));

		reader = open_image(bytes, cut);
		ck_assert(reader->damage.cut);
		ck_assert_uint_eq(reader->damage.bad_bytes,
				  whole->header.tail - cut +
				      (part >= sizeof(struct trace_segment) ? part : 0));
		ck_assert_str_ne(reader->damage.first, "");
		trace_reader_free(reader);
	}
	trace_reader_free(whole);
	trace_builder_free(builder);
}
END_TEST

START_TEST(flipped_bytes)
{
	struct trace_builder *builder = sample(0);
	struct trace_reader *reader = open_builder(builder);
	size_t count;
	const uint8_t *bytes = trace_builder_finish(builder, &count);
	struct trace_image image;

	srand((unsigned)_i);
	trace_image_open(&image, bytes, count);
	for (int i = 0; i < 1000; i++) {
		uint64_t first = reader->events[0].offset - 64;
		/* Half of them among the events: most of the file is zeros. */
		size_t at =
		    i % 2 ? (size_t)rand() % count : first + (size_t)rand() % (count - first);
		uint8_t flipped = bytes[at] ^ (uint8_t)(1 << rand() % 8);
		struct profile *profile;

		ck_assert_int_eq(pwrite(image.fd, &flipped, 1, (off_t)at), 1);
		profile = load_path(image.path);
		if (at < 4)
			ck_assert_ptr_null(profile);
		if (profile != NULL) {
			ck_assert_uint_eq(profile->totals.allocations - profile->totals.frees,
					  profile->totals.live_blocks_end);
			for (size_t s = 0; s < reader->event_segments; s++) {
				const struct trace_events_info *info = &reader->events[s];

				if (at < info->offset - 64 ||
				    at >= info->offset + info->payload_bytes)
					continue;
				ck_assert_uint_eq(profile->totals.allocations,
						  SEGMENTS * PER_SEGMENT);
				ck_assert_uint_eq(profile->damage.lost_events, PER_SEGMENT);
			}
			profile_free(profile);
		}
		ck_assert_int_eq(pwrite(image.fd, bytes + at, 1, (off_t)at), 1);
	}
	trace_image_close(&image);
	trace_reader_free(reader);
	trace_builder_free(builder);
}
END_TEST

START_TEST(header_damage_is_no_rejection)
{
	struct trace_builder *builder = sample(0);
	size_t count;
	const uint8_t *bytes = trace_builder_finish(builder, &count);
	uint8_t *copy = malloc(count);

	ck_assert_ptr_nonnull(copy);
	for (size_t at = 8; at < offsetof(struct trace_header, tail); at++) {
		struct profile *profile;

		memcpy(copy, bytes, count);
		copy[at] ^= 0x40;
		profile = load_image(copy, count);
		ck_assert_msg(profile != NULL, "rejected for byte %zu", at);
		/* Of 128 bytes all are hashed but the checksum's own padding after it. */
		if (at < offsetof(struct trace_header, checksum) + 8)
			ck_assert_str_ne(profile->damage.first, "");
		ck_assert_uint_eq(profile->totals.allocations, (SEGMENTS + 1) * PER_SEGMENT);
		profile_free(profile);
	}
	free(copy);
	trace_builder_free(builder);
}
END_TEST

static int open_error(const char *path, char *error, size_t error_bytes)
{
	struct trace_reader *reader = NULL;
	int rc;

	error[0] = '\0';
	rc = trace_reader_open(path, &reader, error, error_bytes);
	ck_assert_int_lt(rc, 0);
	ck_assert_str_ne(error, "");
	ck_assert_ptr_null(strchr(error, '\n'));
	return rc;
}

START_TEST(newer_version)
{
	struct trace_builder *builder = trace_builder_new();
	struct trace_image image;
	const uint8_t *bytes;
	char error[256];
	size_t count;

	trace_builder_header(builder)->version = 7;
	bytes = trace_builder_finish(builder, &count);
	trace_image_open(&image, bytes, count);
	ck_assert_int_eq(open_error(image.path, error, sizeof(error)), -EPROTO);
	ck_assert_str_eq(error, "written by a newer memprof (version 7): use that version's "
				"memprof-report");
	trace_image_close(&image);
	trace_builder_free(builder);
}
END_TEST

START_TEST(no_trace_at_all)
{
	static const uint8_t other[] = "\x7f"
				       "ELF and so on, some file that is no trace of ours";
	uint64_t swapped = __builtin_bswap64(TRACE_MAGIC);
	struct trace_image image;
	char error[256], fifo[] = "/tmp/memprof-fifo-XXXXXX";

	ck_assert_int_eq(open_error("/nonexistent/file", error, sizeof(error)), -ENOENT);
	ck_assert_int_eq(open_error("/tmp", error, sizeof(error)), -EISDIR);
	ck_assert_int_eq(open_error("/dev/null", error, sizeof(error)), -EINVAL);
	trace_image_open(&image, other, 0);
	ck_assert_int_eq(open_error(image.path, error, sizeof(error)), -EINVAL);
	ck_assert_ptr_nonnull(strstr(error, "empty"));
	trace_image_close(&image);
	trace_image_open(&image, other, sizeof(other));
	ck_assert_int_eq(open_error(image.path, error, sizeof(error)), -EINVAL);
	ck_assert_ptr_nonnull(strstr(error, "not a memprof trace"));
	trace_image_close(&image);
	trace_image_open(&image, (uint8_t *)&swapped, sizeof(swapped));
	ck_assert_int_eq(open_error(image.path, error, sizeof(error)), -EINVAL);
	ck_assert_ptr_nonnull(strstr(error, "byte order"));
	trace_image_close(&image);
	ck_assert_ptr_nonnull(mkdtemp(fifo));
	ck_assert_int_eq(rmdir(fifo), 0);
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	ck_assert_int_eq(open_error(fifo, error, sizeof(error)), -EINVAL);
	unlink(fifo);
}
END_TEST

/* A loser in the race for a chunk, killed before it took its own back, is no damage. */
START_TEST(second_chunk)
{
	for (int first = 0; first < 2; first++) {
		struct trace_builder *builder = trace_builder_new();
		static uint8_t empty[TRACE_NODES_CHUNK_WORDS * 8 - 64];
		struct profile *profile;
		const uint8_t *bytes;
		uint32_t ring, stack;
		size_t count;

		if (first)
			trace_builder_segment(builder, TRACE_SEGMENT_NODES, 0, empty,
					      sizeof(empty));
		ring = trace_builder_ring(builder, 0, 64);
		stack = trace_builder_node(builder, 0, 0x2000);
		if (!first)
			trace_builder_segment(builder, TRACE_SEGMENT_NODES, 0, empty,
					      sizeof(empty));
		trace_builder_acquire(builder, ring, 5, TRACE_EVENT_MALLOC, 16, 16, stack);
		bytes = trace_builder_finish(builder, &count);
		profile = load_image(bytes, count);
		ck_assert_ptr_nonnull(profile);
		ck_assert_str_eq(profile->damage.first, "");
		ck_assert_uint_eq(profile->sites[0].stack.frames[0]->offset, 0x1fff);
		profile_free(profile);
		trace_builder_free(builder);
	}
}
END_TEST

START_TEST(unknown_segments_are_passed_over)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring(builder, 0, 64);
	struct trace_reader *reader;

	trace_builder_segment(builder, 4711, 0, "something new", 13);
	trace_builder_acquire(builder, ring, 5, TRACE_EVENT_MALLOC, 16, 16, 0);
	trace_builder_flush(builder, ring, TRACE_COMPRESSION_NONE, 0, 0);
	reader = open_builder(builder);
	ck_assert_str_eq(reader->damage.first, "");
	ck_assert_uint_eq(reader->event_segments, 1);
	trace_reader_free(reader);
	trace_builder_free(builder);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace_reader");
	TCase *tcase = tcase_create("trace_reader");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 240);
	tcase_add_test(tcase, index_of_a_sound_file);
	tcase_add_loop_test(tcase, killed_within_a_flush, 0, 4);
	tcase_add_loop_test(tcase, one_bad_segment, 0, SEGMENTS);
	tcase_add_test(tcase, told_losses_are_no_damage);
	tcase_add_loop_test(tcase, every_cut, 0, 7);
	tcase_add_test(tcase, a_cut_is_measured);
	tcase_add_test(tcase, relative_modules);
	tcase_add_loop_test(tcase, flipped_bytes, 1, 6);
	tcase_add_test(tcase, header_damage_is_no_rejection);
	tcase_add_test(tcase, newer_version);
	tcase_add_test(tcase, no_trace_at_all);
	tcase_add_test(tcase, second_chunk);
	tcase_add_test(tcase, unknown_segments_are_passed_over);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
