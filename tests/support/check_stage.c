#include "check_stage.h"

#include "profile.h"
#include "trace_builder.h"

#include <check.h>

struct profile *stage_load_path(const char *path)
{
	static const struct profile_options options = {.points = 5, .top_count = 2};
	struct profile *profile = NULL;
	char error[256] = "";

	ck_assert_msg(profile_load(path, &options, &profile, error, sizeof(error)) == 0, "%s",
		      error);
	return profile;
}

struct profile *stage_load_image(const uint8_t *bytes, size_t count)
{
	struct profile *profile;
	struct trace_image image;

	trace_image_open(&image, bytes, count);
	profile = stage_load_path(image.path);
	trace_image_close(&image);
	return profile;
}

struct profile *stage_load(struct trace_builder *builder)
{
	size_t count;
	const uint8_t *bytes = trace_builder_finish(builder, &count);

	return stage_load_image(bytes, count);
}

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

void stage_put(struct trace_builder *builder, uint32_t ring, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++)
		put_event(builder, ring, i);
}

void stage_same_totals(const struct profile_totals *totals, const struct profile_totals *wanted)
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

struct profile *stage_reference(uint64_t events)
{
	struct trace_builder *builder = trace_builder_new();
	struct profile *profile;

	stage_put(builder, trace_builder_ring(builder, 0, 8192), 0, events);
	profile = stage_load(builder);
	ck_assert_uint_eq(profile->totals.events, events);
	trace_builder_free(builder);
	return profile;
}
