/*
 * The reader, the whole analysis and every writer on any bytes: libFuzzer's entry point.
 *
 * The bytes are a trace file as they stand; fuzz_mutate puts the hashes right after a change. What
 * holds of every profile and of every output is checked here, so that a wrong answer is found as a
 * crash is.
 */
#include "fuzz_output.h"
#include "out.h"
#include "profile.h"
#include "trace_builder.h"
#include "writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

/* Writes in one format; the stream is the caller's to close. */
static struct out *written(const struct writer *writer, const struct profile *profile,
			   const struct writer_options *options, const char **text, size_t *bytes)
{
	struct out *out;

	must(out_open_memory(&out) == 0, "memory for the output");
	must(writer->write(profile, options, out) == 0, "a writer fails");
	*text = out_memory(out);
	*bytes = (size_t)out_written(out);
	must(strlen(*text) == *bytes, "a NUL in the output");
	return out;
}

static void none_wrong(const char *wrong)
{
	must(wrong == NULL, wrong);
}

static void check_text(const struct profile *profile, struct writer_options options)
{
	const char *text;
	size_t bytes;
	struct out *out = written(&writer_text, profile, &options, &text, &bytes);

	none_wrong(fuzz_output_text(text, bytes, options.color));
	out_close(out);
}

static void check_folded(const struct profile *profile, struct writer_options options)
{
	const char *text;
	size_t bytes;
	uint64_t sum;
	struct out *out = written(&writer_folded, profile, &options, &text, &bytes);

	none_wrong(fuzz_output_folded(text, bytes, &sum));
	must(options.metric != RANKING_PEAK || sum == profile->totals.peak_bytes,
	     "folded values add up to the peak");
	out_close(out);
}

static void check_others(const struct profile *profile, const struct writer_options *options)
{
	const char *text;
	size_t bytes;
	struct out *out = written(&writer_json, profile, options, &text, &bytes);

	none_wrong(fuzz_output_json(text, bytes));
	out_close(out);
	out = written(&writer_svg, profile, options, &text, &bytes);
	none_wrong(fuzz_output_svg(text, bytes));
	out_close(out);
	out = written(&writer_csv, profile, options, &text, &bytes);
	none_wrong(fuzz_output_csv(text, bytes));
	out_close(out);
}

/* Options as people set them, others for each input. */
static void check_writers(const struct profile *profile, unsigned choice)
{
	struct writer_options options = {.top = WRITER_TOP_DEFAULT,
					 .depth = WRITER_DEPTH_DEFAULT,
					 .columns = 100,
					 .confidential = choice & 1,
					 .color = choice & 2,
					 .full_names = choice & 4,
					 .by_stack = choice & 8,
					 .trace = "trace.bin"};

	if (choice & 16) {
		options.top = 2;
		options.sections = SECTION_PEAK | SECTION_LEAKS | SECTION_ALLOCATIONS |
				   SECTION_BYTES | SECTION_TEMPORARIES | SECTION_MAPS |
				   SECTION_WARNINGS;
	}
	if (choice & 32) {
		options.depth = 0;
		options.from_s = 1e-8;
		options.metric = RANKING_LEAK;
		options.sort = RANKING_TEMPORARY;
		options.columns = 60;
	}
	check_text(profile, options);
	check_folded(profile, options);
	check_others(profile, &options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct profile_options options = {.points = 7, .top_count = 3};
	struct profile *profile = NULL;
	struct trace_image image;
	char error[256] = "";
	unsigned choice = (unsigned)size;

	for (size_t i = 0; i < size; i += 61)
		choice = choice * 31 + data[i];
	options.top_by_stack = choice & 64;
	options.symbols = choice & 128;
	options.sysroot = "/nonexistent";
	trace_image_open(&image, data, size);
	if (profile_load(image.path, &options, &profile, error, sizeof(error)) == 0) {
		check_profile(profile);
		check_writers(profile, choice);
		profile_free(profile);
	} else {
		must(error[0] != '\0' && strchr(error, '\n') == NULL, "a one-line error");
	}
	trace_image_close(&image);
	return 0;
}
