/*
 * The reader and the whole analysis on any bytes: libFuzzer's entry point.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... (target fuzz_report, when clang is the
 * compiler)
 *
 * Hashes are put right before reading: else nearly every change would stop at the first of them,
 * and what lies behind is what needs the test. With MEMPROF_FUZZ_RAW set they stay as they are.
 */
#include "profile.h"
#include "trace_builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend_segment(uint8_t *bytes, size_t size, size_t at)
{
	struct trace_segment segment;

	memcpy(&segment, bytes + at, sizeof(segment));
	if (segment.magic != TRACE_SEGMENT_MAGIC)
		return;
	if (segment.payload_bytes <= size - at - sizeof(segment))
		segment.payload_hash =
		    XXH3_64bits(bytes + at + sizeof(segment), segment.payload_bytes);
	segment.head_hash = XXH3_64bits(&segment, offsetof(struct trace_segment, head_hash));
	memcpy(bytes + at, &segment, sizeof(segment));
}

static void mend(uint8_t *bytes, size_t size)
{
	uint64_t hash;

	if (size >= sizeof(struct trace_header)) {
		hash = XXH3_64bits(bytes, offsetof(struct trace_header, checksum));
		memcpy(bytes + offsetof(struct trace_header, checksum), &hash, sizeof(hash));
	}
	for (size_t at = TRACE_HEADER_BYTES; at + sizeof(struct trace_segment) <= size; at += 64)
		mend_segment(bytes, size, at);
}

static void must(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "does not hold: %s\n", what);
	abort();
}

/* What is promised of every profile, whatever the file said. */
static void check_profile(const struct profile *profile)
{
	struct profile_site sum = {0};
	uint64_t high = 0;

	for (size_t i = 0; i < profile->site_count; i++) {
		const struct profile_site *site = &profile->sites[i];

		sum.allocations += site->allocations;
		sum.bytes += site->bytes;
		sum.peak_bytes += site->peak_bytes;
		sum.peak_blocks += site->peak_blocks;
		sum.live_bytes += site->live_bytes;
		sum.live_blocks += site->live_blocks;
		sum.temporary += site->temporary;
		must(site->stack.count >= 1, "a stack has a frame");
	}
	must(sum.allocations == profile->totals.allocations, "allocations");
	must(sum.bytes == profile->totals.bytes_allocated, "bytes");
	must(sum.peak_bytes == profile->totals.peak_bytes, "peak bytes");
	must(sum.peak_blocks == profile->totals.peak_blocks, "peak blocks");
	must(sum.live_bytes == profile->totals.live_bytes_end, "live bytes");
	must(sum.live_blocks == profile->totals.live_blocks_end, "live blocks");
	must(sum.temporary == profile->totals.temporary, "temporary");
	must(profile->totals.allocations - profile->totals.frees == profile->totals.live_blocks_end,
	     "allocations less frees are live");
	for (size_t i = 0; i < profile->point_count; i++)
		if (profile->points[i].high_bytes > high)
			high = profile->points[i].high_bytes;
	must(profile->point_count == 0 || high == profile->totals.peak_bytes,
	     "the peak is in the timeline");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct profile_options options = {.points = 7, .top_count = 3};
	struct profile *profile = NULL;
	struct trace_image image;
	uint8_t *copy = malloc(size + 1);
	char error[256] = "";

	if (copy == NULL)
		return 0;
	memcpy(copy, data, size);
	if (getenv("MEMPROF_FUZZ_RAW") == NULL)
		mend(copy, size);
	trace_image_open(&image, copy, size);
	if (profile_load(image.path, &options, &profile, error, sizeof(error)) == 0) {
		check_profile(profile);
		profile_free(profile);
	} else {
		must(error[0] != '\0' && strchr(error, '\n') == NULL, "a one-line error");
	}
	trace_image_close(&image);
	free(copy);
	return 0;
}
