/*
 * Every byte of a small trace changed, one at a time and in two ways: never a crash, never more
 * than was recorded, and wherever a hash covers the byte the damage is said and all else is there.
 */
#include "check_support.h"
#include "profile.h"
#include "trace_builder.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEGMENTS    3
#define PER_SEGMENT 10
#define BYTES	    100 /* of each block; none is freed */
#define HASHED_END  120 /* of the header */

static struct trace_builder *sample(void)
{
	static const char cmdline[] = "app\0-x\0";
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring(builder, 0, 1000);
	uint32_t node = trace_builder_node(builder, trace_builder_node(builder, 0, 0x1100), 0x1200);

	trace_builder_process(builder, "/bin/app", cmdline, sizeof(cmdline) - 1, "host", "/");
	trace_builder_module(builder, "/bin/app", 0x1000, 0x2000, 0x1000, 0);
	for (uint64_t i = 0; i < SEGMENTS * PER_SEGMENT; i++) {
		trace_builder_acquire(builder, ring, i + 1, TRACE_EVENT_MALLOC, i << 8, BYTES,
				      node);
		if (i % PER_SEGMENT == PER_SEGMENT - 1)
			trace_builder_flush(builder, ring,
					    i < PER_SEGMENT ? TRACE_COMPRESSION_ZSTD
							    : TRACE_COMPRESSION_NONE,
					    0, TRACE_BUILDER_FREE);
	}
	return builder;
}

/* The type of the appended segment that covers an offset with its hashes; 0: none does. */
static uint32_t hashed(const uint8_t *bytes, size_t count, size_t at)
{
	for (size_t from = TRACE_HEADER_BYTES; from + sizeof(struct trace_segment) <= count;
	     from += TRACE_SEGMENT_ALIGN) {
		struct trace_segment head;

		memcpy(&head, bytes + from, sizeof(head));
		if (head.magic == TRACE_SEGMENT_MAGIC && head.payload_hash != 0 && at >= from &&
		    at < from + sizeof(head) + head.payload_bytes)
			return head.type;
	}
	return 0;
}

static bool damaged(const struct profile_damage *damage)
{
	return damage->bad_segments != 0 || damage->bad_bytes != 0 || damage->cut ||
	       damage->lost_events != 0;
}

static void check_flip(const char *path, size_t at, uint32_t type)
{
	static const struct profile_options options = {.points = 5};
	const uint64_t all = (uint64_t)SEGMENTS * PER_SEGMENT;
	struct profile *profile;
	char error[256];

	if (profile_load(path, &options, &profile, error, sizeof(error)) != 0) {
		ck_assert_msg(at < 8, "byte %zu: %s", at, error);
		return;
	}
	ck_assert_msg(profile->totals.allocations <= all &&
			  profile->totals.bytes_allocated <= all * BYTES &&
			  profile->totals.peak_bytes <= all * BYTES,
		      "byte %zu: %llu allocations of %llu bytes", at,
		      (unsigned long long)profile->totals.allocations,
		      (unsigned long long)profile->totals.bytes_allocated);
	ck_assert_msg((type == 0 && at >= HASHED_END) || damaged(&profile->damage),
		      "byte %zu: no damage is said", at);
	if (type == TRACE_SEGMENT_EVENTS) {
		ck_assert_uint_eq(profile->totals.allocations, all - PER_SEGMENT);
		ck_assert_uint_eq(profile->damage.lost_events, PER_SEGMENT);
	} else if (type != 0 || at < HASHED_END) {
		ck_assert_uint_eq(profile->totals.allocations, all);
	}
	profile_free(profile);
}

START_TEST(every_flip)
{
	static const uint8_t zeros[64];
	struct trace_builder *builder = sample();
	struct trace_image image;
	size_t count, tried = 0;
	const uint8_t *bytes = trace_builder_finish(builder, &count);

	trace_image_open(&image, bytes, count);
	for (size_t at = 0; at < count; at++) {
		uint8_t flipped = bytes[at] ^ (uint8_t)(_i ? 0xff : 1 << at % 8);

		/* Within zeros one place is like the next: each 64th will do. */
		if (at > 64 && at % 64 != 0 && memcmp(bytes + at - 64, zeros, 64) == 0 &&
		    bytes[at] == 0)
			continue;
		ck_assert_int_eq(pwrite(image.fd, &flipped, 1, (off_t)at), 1);
		check_flip(image.path, at, hashed(bytes, count, at));
		ck_assert_int_eq(pwrite(image.fd, bytes + at, 1, (off_t)at), 1);
		tried++;
	}
	ck_assert_uint_gt(tried, 2000);
	trace_image_close(&image);
	trace_builder_free(builder);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flips");
	TCase *tcase = tcase_create("flips");

	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, every_flip, 0, 2);
	suite_add_tcase(suite, tcase);
	return support_run(suite);
}
