/*
 * A profile made by hand, whose report the tests of the writers know line by line. It is what
 * profile_load() would give for a small server: a table that holds the peak, a leak that grows, a
 * global, and a parser that churns.
 */
#ifndef SAMPLE_PROFILE_H
#define SAMPLE_PROFILE_H

#include <stdlib.h>
#include <string.h>

#include "out.h"
#include "profile.h"
#include "writer.h"

#define SAMPLE_EXE "/usr/lib/server/dbserve"
#define SAMPLE_LIB "/lib/x86_64-linux-gnu/libpq.so.5"

#define SAMPLE_FRAME(function_, file_, line_, module_, offset_, inlined_)                          \
	{                                                                                          \
		.function = function_, .file = file_, .line = line_, .module = module_,            \
		.offset = offset_, .inlined = inlined_                                             \
	}

static const struct profile_frame
    sample_main = SAMPLE_FRAME("main", "/src/db/main.c", 22, SAMPLE_EXE, 0x1100, false),
    sample_start = SAMPLE_FRAME("_start", NULL, 0, SAMPLE_EXE, 0x1000, false),
    sample_xmalloc = SAMPLE_FRAME("xmalloc", "/src/db/util.c", 7, SAMPLE_EXE, 0x1200, false),
    sample_load = SAMPLE_FRAME("load_table", "/src/db/db.c", 120, SAMPLE_EXE, 0x1300, false),
    sample_log = SAMPLE_FRAME("log_line", "/src/db/log.c", 31, SAMPLE_EXE, 0x1400, true),
    sample_serve = SAMPLE_FRAME("serve", "/src/db/serve.c", 80, SAMPLE_EXE, 0x1500, false),
    sample_parse =
	SAMPLE_FRAME("parse_expression", "/src/db/parse.c", 55, SAMPLE_EXE, 0x1600, false),
    sample_library = SAMPLE_FRAME(NULL, NULL, 0, SAMPLE_LIB, 0xbeef, false);

static const struct profile_frame *const sample_load_frames[] = {&sample_xmalloc, &sample_load,
								 &sample_main, &sample_start};
static const struct profile_frame *const sample_log_frames[] = {&sample_log, &sample_serve,
								&sample_main, &sample_start};
static const struct profile_frame *const sample_library_frames[] = {&sample_library, &sample_main,
								    &sample_start};
static const struct profile_frame *const sample_parse_frames[] = {
    &sample_parse, &sample_parse, &sample_parse, &sample_parse,
    &sample_parse, &sample_serve, &sample_main,	 &sample_start};

#define SAMPLE_SITES 4

static uint64_t sample_trends[2 * PROFILE_TREND_POINTS] = {0, 0, 0, 0, 0, 0, 0, 0,
							   1, 2, 3, 4, 5, 6, 7, 8};

static inline struct profile sample_profile(struct profile_site sites[SAMPLE_SITES])
{
	struct profile profile = {
	    .process = {.pid = 4242,
			.exe = SAMPLE_EXE,
			.cmdline = "dbserve --port 80 '/srv/my data'",
			.host = "db1.example.org",
			.threads = 2,
			.end = "exit",
			.end_status = 0},
	    .totals = {.allocations = 120113,
		       .frees = 120001,
		       .reallocs = 3,
		       .bytes_allocated = 11010048,
		       .peak_bytes = 8650752,
		       .peak_blocks = 113,
		       .peak_time_s = 3.25,
		       .live_bytes_end = 278528,
		       .live_blocks_end = 112,
		       .temporary = 110000,
		       .duration_s = 5.125,
		       .events = 240114,
		       .peak_rss_bytes = 12582912},
	    .sites = sites,
	    .site_count = SAMPLE_SITES,
	    .trends = sample_trends,
	};

	sites[0] = (struct profile_site){
	    .stack = {.frames = sample_parse_frames, .count = 8, .site_frame = 0},
	    .allocations = 120000,
	    .bytes = 2359296,
	    .frees = 120000,
	    .temporary = 110000,
	    .first_s = 0.5,
	    .last_s = 5,
	};
	sites[1] = (struct profile_site){
	    .stack = {.frames = sample_load_frames, .count = 4, .site_frame = 1},
	    .allocations = 1,
	    .bytes = 8372224,
	    .frees = 1,
	    .peak_bytes = 8372224,
	    .peak_blocks = 1,
	    .first_s = 1,
	    .last_s = 1,
	};
	sites[2] = (struct profile_site){
	    .stack = {.frames = sample_log_frames, .count = 4, .site_frame = 0},
	    .allocations = 100,
	    .bytes = 262144,
	    .peak_bytes = 262144,
	    .peak_blocks = 100,
	    .live_bytes = 262144,
	    .live_blocks = 100,
	    .first_s = 0.25,
	    .last_s = 3.5,
	    .trend = 1,
	    .verdict = VERDICT_GROWING,
	};
	sites[3] = (struct profile_site){
	    .stack = {.frames = sample_library_frames, .count = 3, .site_frame = 0},
	    .allocations = 12,
	    .bytes = 16384,
	    .peak_bytes = 16384,
	    .peak_blocks = 12,
	    .live_bytes = 16384,
	    .live_blocks = 12,
	    .first_s = 0.001,
	    .last_s = 0.002,
	    .verdict = VERDICT_STARTUP,
	};
	return profile;
}

/* What a writer makes of a profile; the caller frees it. */
static inline char *sample_written(const struct writer *writer, const struct profile *profile,
				   const struct writer_options *options)
{
	struct out *out;
	char *text;

	if (out_open_memory(&out))
		abort();
	if (writer->write(profile, options, out))
		abort();
	text = strdup(out_memory(out));
	if (out_close(out) || !text)
		abort();
	return text;
}

#endif
