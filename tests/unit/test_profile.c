/*
 * The whole analysis against a model: traces of known content, some of them random, and a naive
 * reckoning of the same events that shares no code with the analyzer.
 */
#include "check_load.h"
#include "check_support.h"
#include "profile.h"
#include "trace_builder.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct profile_options plain = {.points = 0};

static void assert_sound(const struct profile *profile)
{
	ck_assert_str_eq(profile->damage.first, "");
	ck_assert_uint_eq(profile->damage.bad_segments, 0);
	ck_assert_uint_eq(profile->damage.lost_events, 0);
	ck_assert(!profile->damage.cut);
}

/* Sums over the sites are the totals, whatever the trace. */
static void assert_sums(const struct profile *profile)
{
	struct profile_site sum = {0};

	for (size_t i = 0; i < profile->site_count; i++) {
		const struct profile_site *site = &profile->sites[i];

		sum.allocations += site->allocations;
		sum.bytes += site->bytes;
		sum.frees += site->frees;
		sum.peak_bytes += site->peak_bytes;
		sum.peak_blocks += site->peak_blocks;
		sum.live_bytes += site->live_bytes;
		sum.live_blocks += site->live_blocks;
		sum.temporary += site->temporary;
		sum.failed += site->failed;
		ck_assert_uint_ge(site->stack.count, 1);
		ck_assert_uint_lt(site->stack.site_frame, site->stack.count);
		ck_assert_uint_eq(profile_trend(profile, site)[PROFILE_TREND_POINTS - 1],
				  site->live_bytes);
	}
	ck_assert_uint_eq(sum.allocations, profile->totals.allocations);
	ck_assert_uint_eq(sum.bytes, profile->totals.bytes_allocated);
	ck_assert_uint_eq(sum.frees, profile->totals.frees);
	ck_assert_uint_eq(sum.peak_bytes, profile->totals.peak_bytes);
	ck_assert_uint_eq(sum.peak_blocks, profile->totals.peak_blocks);
	ck_assert_uint_eq(sum.live_bytes, profile->totals.live_bytes_end);
	ck_assert_uint_eq(sum.live_blocks, profile->totals.live_blocks_end);
	ck_assert_uint_eq(sum.temporary, profile->totals.temporary);
	ck_assert_uint_eq(sum.failed, profile->totals.failed);
	ck_assert_uint_eq(profile->totals.allocations - profile->totals.frees,
			  profile->totals.live_blocks_end);
	sum = (struct profile_site){0};
	for (size_t i = 0; i < profile->map_site_count; i++) {
		sum.allocations += profile->map_sites[i].allocations;
		sum.bytes += profile->map_sites[i].bytes;
		sum.peak_bytes += profile->map_sites[i].peak_bytes;
		sum.live_bytes += profile->map_sites[i].live_bytes;
	}
	ck_assert_uint_eq(sum.allocations, profile->totals.maps);
	ck_assert_uint_eq(sum.bytes, profile->totals.map_bytes);
	ck_assert_uint_eq(sum.peak_bytes, profile->totals.map_peak_bytes);
	ck_assert_uint_eq(sum.live_bytes, profile->totals.map_live_bytes_end);
}

START_TEST(nothing_recorded)
{
	struct profile *profile = load_profile(trace_builder_new(), &plain);

	assert_sound(profile);
	assert_sums(profile);
	ck_assert_uint_eq(profile->totals.events, 0);
	ck_assert_uint_eq(profile->site_count, 0);
	ck_assert_str_eq(profile->process.end, "exit");
	ck_assert_int_eq(profile->process.end_status, 0);
	ck_assert_str_eq(profile->process.cmdline, "");
	profile_free(profile);
}
END_TEST

START_TEST(process_is_told)
{
	/* zeros at the end: what setproctitle() leaves */
	static const char cmdline[] = "./app\0two words\0\0it's\0\0\0";
	struct trace_builder *builder = trace_builder_new();
	struct profile *profile;

	trace_builder_process(builder, "/bin/app", cmdline, sizeof(cmdline) - 1, "host", "/");
	trace_builder_header(builder)->pid = 77;
	trace_builder_header(builder)->end = TRACE_END_SIGNAL;
	trace_builder_header(builder)->end_status = 11;
	profile = load_profile(builder, &plain);
	ck_assert_uint_eq(profile->process.pid, 77);
	ck_assert_str_eq(profile->process.exe, "/bin/app");
	ck_assert_str_eq(profile->process.cmdline, "./app 'two words' '' 'it'\\''s'");
	ck_assert_str_eq(profile->process.host, "host");
	ck_assert_str_eq(profile->process.end, "signal");
	ck_assert_int_eq(profile->process.end_status, 11);
	profile_free(profile);
}
END_TEST

START_TEST(running_and_killed)
{
	for (int reused = 0; reused < 2; reused++) {
		struct trace_builder *builder = trace_builder_new();
		struct profile *profile;

		trace_builder_header(builder)->end = TRACE_END_NONE;
		trace_builder_header(builder)->pid = (uint32_t)getpid();
		trace_builder_header(builder)->process_start =
		    support_start_time() + (uint64_t)reused;
		profile = load_profile(builder, &plain);
		ck_assert_str_eq(profile->process.end, reused ? "killed" : "running");
		ck_assert_int_eq(profile->process.end_status, -1);
		profile_free(profile);
	}
}
END_TEST

START_TEST(realloc_in_all_forms)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t stack = trace_builder_node(builder, 0, 0x1000);
	uint32_t ring = trace_builder_ring(builder, 0, 1024);
	struct profile *profile;

	trace_builder_realloc(builder, ring, 1, 2, 0, 0x100, 10, stack);      /* like malloc */
	trace_builder_realloc(builder, ring, 3, 4, 0x100, 0x100, 30, stack);  /* in place */
	trace_builder_realloc(builder, ring, 5, 6, 0x100, 0x200, 100, stack); /* moved */
	trace_builder_realloc(builder, ring, 7, 8, 0x900, 0x300, 1, stack);   /* foreign */
	trace_builder_release(builder, ring, 9, TRACE_EVENT_REALLOC_FREE, 0x200);
	trace_builder_failed(builder, ring, 10, TRACE_EVENT_REALLOC, 1 << 30, stack);
	profile = load_profile(builder, &plain);
	assert_sound(profile);
	assert_sums(profile);
	ck_assert_uint_eq(profile->totals.events, 6);
	ck_assert_uint_eq(profile->totals.allocations, 4);
	ck_assert_uint_eq(profile->totals.reallocs, 4);
	ck_assert_uint_eq(profile->totals.frees, 3);
	ck_assert_uint_eq(profile->totals.foreign_frees, 1);
	ck_assert_uint_eq(profile->totals.failed, 1);
	ck_assert_uint_eq(profile->totals.bytes_allocated, 141);
	ck_assert_uint_eq(profile->totals.peak_bytes, 101);
	ck_assert_uint_eq(profile->totals.live_bytes_end, 1);
	/* Two were released by the realloc right after; the third after another allocation. */
	ck_assert_uint_eq(profile->totals.temporary, 2);
	profile_free(profile);
}
END_TEST

START_TEST(temporary_needs_same_thread_and_nothing_between)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t a = trace_builder_ring(builder, 0, 1024);
	uint32_t b = trace_builder_ring(builder, 1, 1024);
	struct profile *profile;

	trace_builder_acquire(builder, a, 10, TRACE_EVENT_MALLOC, 0x10, 1, 0);
	trace_builder_acquire(builder, b, 11, TRACE_EVENT_MALLOC, 0x20, 1, 0);
	trace_builder_release(builder, a, 12, TRACE_EVENT_FREE, 0x10); /* yes */
	trace_builder_acquire(builder, a, 13, TRACE_EVENT_MALLOC, 0x10, 1, 0);
	trace_builder_release(builder, b, 14, TRACE_EVENT_FREE, 0x10); /* another's */
	trace_builder_release(builder, b, 15, TRACE_EVENT_FREE, 0x20); /* yes */
	trace_builder_acquire(builder, a, 16, TRACE_EVENT_MALLOC, 0x10, 1, 0);
	trace_builder_acquire(builder, a, 17, TRACE_EVENT_MALLOC, 0x30, 1, 0);
	trace_builder_release(builder, a, 18, TRACE_EVENT_FREE, 0x10); /* one between */
	trace_builder_release(builder, a, 19, TRACE_EVENT_FREE, 0x30); /* yes */
	profile = load_profile(builder, &plain);
	assert_sound(profile);
	ck_assert_uint_eq(profile->totals.temporary, 3);
	ck_assert_uint_eq(profile->process.threads, 2);
	profile_free(profile);
}
END_TEST

START_TEST(families_are_told_apart)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring(builder, 0, 1024);
	static const struct {
		enum trace_event_kind acquire, release;
		int mismatch;
	} pairs[] = {
	    {TRACE_EVENT_MALLOC, TRACE_EVENT_FREE, 0},
	    {TRACE_EVENT_CALLOC, TRACE_EVENT_FREE_SIZED, 0},
	    {TRACE_EVENT_MEMALIGN, TRACE_EVENT_REALLOC_FREE, 0},
	    {TRACE_EVENT_NEW, TRACE_EVENT_DELETE, 0},
	    {TRACE_EVENT_NEW_ARRAY, TRACE_EVENT_DELETE_ARRAY, 0},
	    {TRACE_EVENT_NEW, TRACE_EVENT_FREE, 1},
	    {TRACE_EVENT_MALLOC, TRACE_EVENT_DELETE, 1},
	    {TRACE_EVENT_NEW_ARRAY, TRACE_EVENT_DELETE, 1},
	    {TRACE_EVENT_NEW, TRACE_EVENT_DELETE_ARRAY, 1},
	};
	struct profile *profile;
	uint64_t tick = 0;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		trace_builder_acquire(builder, ring, ++tick, pairs[i].acquire, 0x40, 1, 0);
		trace_builder_release(builder, ring, ++tick, pairs[i].release, 0x40);
	}
	profile = load_profile(builder, &plain);
	ck_assert_uint_eq(profile->totals.mismatched_frees, 4);
	ck_assert_uint_eq(profile->totals.frees, 9);
	profile_free(profile);
}
END_TEST

START_TEST(a_lost_free_is_a_loss)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring(builder, 0, 1024);
	struct profile *profile;

	trace_builder_acquire(builder, ring, 1, TRACE_EVENT_MALLOC, 0x40, 7, 0);
	trace_builder_acquire(builder, ring, 2, TRACE_EVENT_MALLOC, 0x40, 8, 0);
	profile = load_profile(builder, &plain);
	assert_sums(profile);
	ck_assert_uint_eq(profile->totals.frees, 1);
	ck_assert_uint_eq(profile->totals.lost_events, 1);
	ck_assert_uint_eq(profile->totals.foreign_frees, 0);
	ck_assert_uint_eq(profile->totals.live_bytes_end, 8);
	ck_assert_uint_eq(profile->totals.peak_bytes, 8);
	profile_free(profile);
}
END_TEST

/* Sums would wrap, and the peak be no peak (found by fuzzing). */
START_TEST(absurd_sizes_are_damage)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring(builder, 0, 1024);
	uint64_t map[] = {4 << 8 | TRACE_EVENT_MMAP, 0x80000, UINT64_MAX - 5, 0};
	struct profile *profile;

	trace_builder_acquire(builder, ring, 1, TRACE_EVENT_MALLOC, 0x40, UINT64_MAX - 1, 0);
	trace_builder_acquire(builder, ring, 2, TRACE_EVENT_MALLOC, 0x80, 300, 0);
	trace_builder_realloc(builder, ring, 3, 3, 0x80, 0xa0, UINT64_C(1) << 63, 0);
	trace_builder_words(builder, ring, map, 4);
	trace_builder_acquire(builder, ring, 5, TRACE_EVENT_MALLOC, 0xc0, UINT64_C(1) << 48, 0);
	trace_builder_release(builder, ring, 6, TRACE_EVENT_FREE, 0xc0);
	profile = load_profile(builder, &plain);
	assert_sums(profile);
	ck_assert_uint_eq(profile->totals.allocations, 2);
	ck_assert_uint_eq(profile->totals.peak_bytes, UINT64_C(1) << 48);
	ck_assert_uint_eq(profile->totals.live_bytes_end, 0);
	ck_assert_uint_eq(profile->totals.maps, 0);
	ck_assert_uint_eq(profile->damage.lost_events, 3);
	ck_assert_str_eq(profile->damage.first, "3 blocks larger than an address space");
	profile_free(profile);
}
END_TEST

START_TEST(maps_are_apart)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring(builder, 0, 1024);
	uint64_t site = trace_builder_node(builder, 0, 0x5000);
	const struct profile_site *first, *second;
	uint64_t map[] = {1 << 8 | TRACE_EVENT_MMAP, 0x10000, 0x8000, site};
	uint64_t middle[] = {2 << 8 | TRACE_EVENT_MUNMAP, 0x12000, 0x1001}; /* two pages */
	uint64_t again[] = {3 << 8 | TRACE_EVENT_MMAP, 0x40000, 0x1000, 0};
	uint64_t remap[] = {5 << 8 | TRACE_EVENT_MREMAP, 0x50000, 0x3000, 0, 0x40000, 4, 0x1000};
	uint64_t all[] = {6 << 8 | TRACE_EVENT_MUNMAP, 0x0, 0x51000};
	struct profile *profile;

	trace_builder_words(builder, ring, map, 4);
	trace_builder_words(builder, ring, middle, 3);
	trace_builder_words(builder, ring, again, 4);
	trace_builder_flush(builder, ring, TRACE_COMPRESSION_ZSTD, 0, 0);
	trace_builder_words(builder, ring, remap, 7);
	trace_builder_flush(builder, ring, TRACE_COMPRESSION_NONE, 0, 0);
	trace_builder_words(builder, ring, all, 3);
	profile = load_profile(builder, &plain);
	assert_sound(profile);
	assert_sums(profile);
	ck_assert_uint_eq(profile->totals.allocations, 0);
	ck_assert_uint_eq(profile->totals.frees, 0);
	ck_assert_uint_eq(profile->totals.maps, 3);
	ck_assert_uint_eq(profile->totals.map_bytes, 0xc000);
	ck_assert_uint_eq(profile->totals.map_peak_bytes, 0x9000);
	ck_assert_uint_eq(profile->totals.map_live_bytes_end, 0x2000);
	/* At the peak: 0x8000 less two pages in two pieces, and 0x3000 in one. */
	ck_assert_uint_eq(profile->site_count, 0);
	ck_assert_uint_eq(profile->map_site_count, 2);
	first = &profile->map_sites[profile->map_sites[0].allocations == 1 ? 0 : 1];
	second = first == profile->map_sites ? first + 1 : profile->map_sites;
	ck_assert_uint_eq(first->stack.frames[0]->offset, 0x4fff);
	ck_assert_uint_eq(first->allocations, 1);
	ck_assert_uint_eq(first->bytes, 0x8000);
	ck_assert_uint_eq(first->peak_bytes, 0x6000);
	ck_assert_uint_eq(first->peak_blocks, 2);
	ck_assert_uint_eq(first->live_bytes, 0);
	ck_assert_uint_eq(first->live_blocks, 0);
	ck_assert_uint_eq(second->allocations, 2);
	ck_assert_uint_eq(second->bytes, 0x4000);
	ck_assert_uint_eq(second->peak_bytes, 0x3000);
	ck_assert_uint_eq(second->peak_blocks, 1);
	ck_assert_uint_eq(second->live_bytes, 0x2000);
	ck_assert_uint_eq(second->live_blocks, 1);
	profile_free(profile);
}
END_TEST

START_TEST(equal_looks_are_one_site)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring(builder, 0, 1024);
	uint32_t one, two, other;
	struct profile *profile;

	trace_builder_module(builder, "/lib/a.so", 0x1000, 0x2000, 0x1000, 0);
	/* The same stack twice, as threads that race make them, and once at a later epoch. */
	one = trace_builder_node(builder, trace_builder_node(builder, 0, 0x1800), 0x1100);
	two = trace_builder_node(builder, trace_builder_node(builder, 0, 0x1800), 0x1100);
	other =
	    trace_builder_node_at(builder, trace_builder_node_at(builder, 0, 0x1800, 1), 0x1100, 1);
	trace_builder_acquire(builder, ring, 1, TRACE_EVENT_MALLOC, 0x10, 1, one);
	trace_builder_acquire(builder, ring, 2, TRACE_EVENT_MALLOC, 0x20, 2, two);
	trace_builder_acquire(builder, ring, 3, TRACE_EVENT_MALLOC, 0x30, 4, other);
	profile = load_profile(builder, &plain);
	assert_sound(profile);
	assert_sums(profile);
	ck_assert_uint_eq(profile->site_count, 1);
	ck_assert_uint_eq(profile->sites[0].bytes, 7);
	ck_assert_uint_eq(profile->sites[0].stack.count, 2);
	ck_assert_str_eq(profile->sites[0].stack.frames[0]->module, "/lib/a.so");
	ck_assert_uint_eq(profile->sites[0].stack.frames[0]->offset, 0x0ff);
	ck_assert_uint_eq(profile->sites[0].stack.frames[1]->offset, 0x7ff);
	profile_free(profile);
}
END_TEST

/* The recorder's own frames are never shown, wherever they stand. */
START_TEST(the_recorder_is_not_in_stacks)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring(builder, 0, 1024);
	uint32_t node = 0;
	struct profile *profile;
	size_t whole, other;

	trace_builder_module(builder, "/bin/app", 0x1000, 0x2000, 0x1000, 0);
	trace_builder_module(builder, "/opt/lib/libmemprof.so.0", 0x3000, 0x4000, 0x3000, 0);
	trace_builder_module(builder, "/lib/libmemprof.sound", 0x5000, 0x6000, 0x5000, 0);
	/* Where a stack that is left with nothing seems to lie (found by fuzzing). */
	trace_builder_module(builder, "/opt/lib/libmemprof.so.0", 0, 0x100, 0, 0);
	trace_builder_acquire(builder, ring, 1, TRACE_EVENT_MALLOC, 0x10, 1,
			      trace_builder_node(builder, 0, 0x3100));
	for (size_t i = 0; i < 5; i++) {
		static const uint64_t pcs[] = {0x1800, 0x3100, 0x5100, 0x3200, 0x3300};

		node = trace_builder_node(builder, node, pcs[i]);
	}
	trace_builder_acquire(builder, ring, 2, TRACE_EVENT_MALLOC, 0x20, 2, node);
	profile = load_profile(builder, &plain);
	assert_sound(profile);
	assert_sums(profile);
	ck_assert_uint_eq(profile->site_count, 2);
	whole = profile->sites[0].bytes == 2 ? 0 : 1;
	other = 1 - whole;
	ck_assert_uint_eq(profile->sites[whole].stack.count, 2);
	ck_assert_str_eq(profile->sites[whole].stack.frames[0]->module, "/lib/libmemprof.sound");
	ck_assert_str_eq(profile->sites[whole].stack.frames[1]->module, "/bin/app");
	ck_assert_uint_eq(profile->sites[other].stack.count, 1);
	ck_assert_ptr_null(profile->sites[other].stack.frames[0]->module);
	profile_free(profile);
}
END_TEST

START_TEST(code_belongs_to_its_epoch)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring(builder, 0, 1024);
	static const struct {
		uint64_t pc;
		uint32_t epoch;
		const char *module;
	} cases[] = {{0x1001, 0, "/a"}, {0x1001, 3, "/a"}, {0x1001, 4, "/b"}, {0x1001, 9, "/b"},
		     {0x2000, 0, "/a"}, {0x2001, 9, NULL}, {0x1000, 9, NULL}};
	struct profile *profile;

	trace_builder_module(builder, "/b", 0x1000, 0x1800, 0, 4);
	trace_builder_module(builder, "/a", 0x1000, 0x2000, 0, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		trace_builder_acquire(
		    builder, ring, i + 1, TRACE_EVENT_MALLOC, 16 * (i + 1), 1ULL << i,
		    trace_builder_node_at(builder, 0, cases[i].pc, cases[i].epoch));
	profile = load_profile(builder, &plain);
	assert_sums(profile);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t s = 0; s < profile->site_count; s++) {
			const struct profile_site *site = &profile->sites[s];
			const char *module = site->stack.frames[0]->module;

			if ((site->bytes & 1ULL << i) == 0)
				continue;
			ck_assert_uint_eq(site->stack.frames[0]->offset, cases[i].pc - 1);
			ck_assert_str_eq(module ? module : "none",
					 cases[i].module ? cases[i].module : "none");
		}
	profile_free(profile);
}
END_TEST

/* ---- the model ---- */

#define BLOCKS	400
#define STACKS	12
#define THREADS 5

struct model_block {
	int live;
	uint64_t bytes;
	unsigned site, thread;
	uint64_t serial; /* of the thread's allocations */
};

struct model_site {
	uint64_t allocations, bytes, live_bytes, live_blocks, peak_bytes, peak_blocks, temporary;
};

struct model {
	struct model_block blocks[BLOCKS];
	struct model_site sites[STACKS];
	uint64_t allocated[THREADS]; /* allocations so far, by thread */
	uint64_t allocations, frees, reallocs, bytes, live, peak, peak_tick, temporary;
};

static void model_free(struct model *model, unsigned block, unsigned thread)
{
	struct model_block *b = &model->blocks[block];

	b->live = 0;
	model->frees++;
	model->live -= b->bytes;
	model->sites[b->site].live_bytes -= b->bytes;
	model->sites[b->site].live_blocks--;
	if (b->thread == thread && b->serial == model->allocated[thread]) {
		model->temporary++;
		model->sites[b->site].temporary++;
	}
}

static void model_allocate(struct model *model, unsigned block, unsigned thread, unsigned site,
			   uint64_t bytes, uint64_t tick)
{
	model->blocks[block] =
	    (struct model_block){1, bytes, site, thread, ++model->allocated[thread]};
	model->allocations++;
	model->bytes += bytes;
	model->live += bytes;
	model->sites[site].allocations++;
	model->sites[site].bytes += bytes;
	model->sites[site].live_bytes += bytes;
	model->sites[site].live_blocks++;
	if (model->live <= model->peak)
		return;
	model->peak = model->live;
	model->peak_tick = tick;
	for (unsigned i = 0; i < STACKS; i++) {
		model->sites[i].peak_bytes = model->sites[i].live_bytes;
		model->sites[i].peak_blocks = model->sites[i].live_blocks;
	}
}

static uint64_t address_of(unsigned block)
{
	/* Some are not aligned to 16. */
	return 0x7f0000001000 + block * 48ULL + (block % 7 == 0 ? 8 : 0);
}

struct scene {
	struct trace_builder *builder;
	uint32_t rings[THREADS];
	uint32_t stacks[STACKS][2]; /* two ids for each */
	struct model model;
	uint64_t tick;
};

static void scene_step(struct scene *scene)
{
	unsigned thread = (unsigned)rand() % THREADS;
	unsigned block = (unsigned)rand() % BLOCKS;
	unsigned site = (unsigned)rand() % STACKS;
	uint32_t ring = scene->rings[thread];
	uint32_t stack = scene->stacks[site][rand() % 2];
	uint64_t bytes = rand() % 5 == 0 ? (uint64_t)rand() : (uint64_t)rand() % 300;
	unsigned to = (unsigned)rand() % BLOCKS;

	/* Ticks are far enough apart for every shift used. */
	if (scene->model.blocks[block].live && scene->model.blocks[to].live && to != block)
		to = block;
	scene->tick += 32 + (uint64_t)rand() % 5000;
	if (!scene->model.blocks[block].live) {
		model_allocate(&scene->model, block, thread, site, bytes, scene->tick);
		trace_builder_acquire(scene->builder, ring, scene->tick, TRACE_EVENT_MALLOC,
				      address_of(block), bytes, stack);
	} else if (rand() % 3 != 0) {
		model_free(&scene->model, block, thread);
		trace_builder_release(scene->builder, ring, scene->tick, TRACE_EVENT_FREE,
				      address_of(block));
	} else {
		uint64_t released = scene->tick;

		scene->tick += 32 + (uint64_t)rand() % 100;
		model_free(&scene->model, block, thread);
		model_allocate(&scene->model, to, thread, site, bytes, scene->tick);
		scene->model.reallocs++;
		trace_builder_realloc(scene->builder, ring, released, scene->tick,
				      address_of(block), address_of(to), bytes, stack);
	}
	if (rand() % 400 == 0)
		trace_builder_flush(scene->builder, ring,
				    rand() % 2 ? TRACE_COMPRESSION_ZSTD : TRACE_COMPRESSION_NONE,
				    (unsigned)rand() % 5, TRACE_BUILDER_FREE);
}

/* Some were killed within a flush: at the end of the trace, whatever moment that is. */
static void scene_kill(struct scene *scene)
{
	static const int moments[] = {TRACE_BUILDER_FREE, TRACE_BUILDER_KEEP, TRACE_BUILDER_GARBLE,
				      TRACE_BUILDER_RESERVED};

	trace_builder_header(scene->builder)->end = TRACE_END_NONE;
	for (unsigned i = 0; i < THREADS; i++)
		if (rand() % 2)
			trace_builder_flush(scene->builder, scene->rings[i], TRACE_COMPRESSION_ZSTD,
					    0, moments[rand() % 4]);
}

static void scene_init(struct scene *scene, unsigned seed)
{
	srand(seed);
	memset(scene, 0, sizeof(*scene));
	scene->builder = trace_builder_new();
	for (unsigned i = 0; i < STACKS; i++)
		for (unsigned j = 0; j < 2; j++)
			scene->stacks[i][j] = trace_builder_node(
			    scene->builder, i == 0 ? 0 : scene->stacks[i / 2][rand() % 2 && i > 1],
			    0x400000 + i * 16);
	for (unsigned i = 0; i < THREADS; i++)
		scene->rings[i] = trace_builder_ring(scene->builder, i, 1024);
}

static void assert_model(const struct profile *profile, const struct model *model)
{
	assert_sound(profile);
	assert_sums(profile);
	ck_assert_uint_eq(profile->totals.allocations, model->allocations);
	ck_assert_uint_eq(profile->totals.frees, model->frees);
	ck_assert_uint_eq(profile->totals.reallocs, model->reallocs);
	ck_assert_uint_eq(profile->totals.bytes_allocated, model->bytes);
	ck_assert_uint_eq(profile->totals.live_bytes_end, model->live);
	ck_assert_uint_eq(profile->totals.peak_bytes, model->peak);
	ck_assert_uint_eq(profile->totals.temporary, model->temporary);
	ck_assert_uint_eq(profile->totals.foreign_frees, 0);
	ck_assert_uint_eq(profile->totals.lost_events, 0);
	ck_assert_double_eq_tol(profile->totals.peak_time_s, (double)model->peak_tick * 1e-9, 1e-7);
	for (size_t i = 0; i < profile->site_count; i++) {
		const struct profile_site *site = &profile->sites[i];
		uint64_t number = (site->stack.frames[0]->offset + 1 - 0x400000) / 16;

		ck_assert_uint_lt(number, STACKS);
		ck_assert_uint_eq(site->allocations, model->sites[number].allocations);
		ck_assert_uint_eq(site->bytes, model->sites[number].bytes);
		ck_assert_uint_eq(site->live_bytes, model->sites[number].live_bytes);
		ck_assert_uint_eq(site->live_blocks, model->sites[number].live_blocks);
		ck_assert_uint_eq(site->peak_bytes, model->sites[number].peak_bytes);
		ck_assert_uint_eq(site->peak_blocks, model->sites[number].peak_blocks);
		ck_assert_uint_eq(site->temporary, model->sites[number].temporary);
	}
}

START_TEST(random_traces_equal_the_model)
{
	struct scene scene;
	struct profile *profile;

	scene_init(&scene, (unsigned)_i);
	for (int i = 0; i < 20000; i++)
		scene_step(&scene);
	scene_kill(&scene);
	profile = load_profile(scene.builder, &plain);
	assert_model(profile, &scene.model);
	profile_free(profile);
}
END_TEST

/* The sums of all sites called from one place. */
static struct profile_site named(const struct profile *profile, uint64_t offset)
{
	struct profile_site sum = {0};

	for (size_t i = 0; i < profile->site_count; i++) {
		const struct profile_site *site = &profile->sites[i];

		if (site->stack.frames[site->stack.site_frame]->offset != offset)
			continue;
		sum.peak_bytes += site->peak_bytes;
		sum.peak_blocks += site->peak_blocks;
		sum.live_bytes += site->live_bytes;
	}
	return sum;
}

/* The states at the ends of the intervals, from the model run a second time. */
START_TEST(timeline_equals_the_model)
{
	static const struct profile_options options = {.points = 37, .top_count = 3};
	struct profile *profile;
	struct scene scene;
	uint64_t high = 0;
	double end;
	size_t at = 0;

	scene_init(&scene, (unsigned)_i);
	for (int i = 0; i < 5000; i++)
		scene_step(&scene);
	end = (double)scene.tick * 1e-9;
	profile = load_profile(scene.builder, &options);
	ck_assert_uint_eq(profile->point_count, 37);
	ck_assert_uint_eq(profile->top_count, 3);
	ck_assert_double_eq_tol(profile->points[36].time_s, end, 1e-7);
	ck_assert_double_eq_tol(profile->totals.duration_s, end, 1e-7);
	ck_assert_uint_eq(profile->points[36].live_bytes, profile->totals.live_bytes_end);
	for (size_t i = 0; i < 37; i++) {
		const struct profile_point *point = &profile->points[i];

		ck_assert_uint_ge(point->high_bytes, point->live_bytes);
		ck_assert_uint_le(point->low_bytes, point->live_bytes);
		if (point->high_bytes > high) {
			high = point->high_bytes;
			ck_assert_double_le(point->high_time_s, point->time_s);
		}
	}
	ck_assert_uint_eq(high, profile->totals.peak_bytes);
	for (size_t rank = 0; rank < 3; rank++) {
		const struct profile_top *top = &profile->top[rank];
		struct profile_site sum = named(profile, top->stack->frames[0]->offset);

		ck_assert_uint_eq(top->peak_bytes, sum.peak_bytes);
		ck_assert_uint_eq(top->peak_blocks, sum.peak_blocks);
		ck_assert_uint_eq(profile->top_bytes[36 * 3 + rank], sum.live_bytes);
		if (rank != 0)
			ck_assert_uint_le(top->peak_bytes, top[-1].peak_bytes);
	}
	for (size_t i = 0; i < profile->site_count; i++) {
		uint64_t offset = profile->sites[i].stack.frames[0]->offset;
		bool is_top = false;

		for (size_t rank = 0; rank < 3; rank++)
			is_top |= profile->top[rank].stack->frames[0]->offset == offset;
		if (!is_top)
			ck_assert_uint_le(named(profile, offset).peak_bytes,
					  profile->top[2].peak_bytes);
	}
	/* Again, up to each interval's end. */
	scene_init(&scene, (unsigned)_i);
	for (int i = 0; i < 5000 && at < 37; i++) {
		struct model before = scene.model;

		scene_step(&scene);
		while (at < 36 &&
		       (double)(scene.tick & ~31ULL) * 1e-9 > profile->points[at].time_s) {
			/* A realloc may lie across; its bytes are then neither's. */
			if (scene.model.reallocs == before.reallocs)
				ck_assert_uint_eq(profile->points[at].live_bytes, before.live);
			at++;
		}
	}
	ck_assert_uint_eq(at, 36);
	trace_builder_free(scene.builder);
	profile_free(profile);
}
END_TEST

/*
 * 500 names of one stack, each larger than any of the 1,000 stacks of one more name: that one
 * comes first all the same, and its curve is that of all its stacks, of one where that was asked.
 */
START_TEST(a_name_is_followed_with_all_its_stacks)
{
	const struct profile_options options = {
	    .points = 4, .top_count = 3, .top_by_stack = _i != 0};
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring(builder, 0, 4096);
	struct profile *profile;

	/* One caller of that name, or it would be taken for a wrapper; many ways to it. */
	for (uint64_t i = 0; i < 1500; i++) {
		bool alone = i < 500;
		uint32_t way = trace_builder_node(builder, 0, 0x10000 + 16 * i);
		uint32_t caller = trace_builder_node(builder, way, alone ? 0x20000 + 16 * i : 11);
		uint32_t stack = trace_builder_node(builder, caller, alone ? 0x30000 + 16 * i : 21);

		trace_builder_acquire(builder, ring, 100 + i, TRACE_EVENT_MALLOC, (i + 1) << 16,
				      alone ? 150 + i : 100, stack);
	}
	/* The peak is behind; of the one name a quarter goes, and a quarter later. */
	for (uint64_t i = 500; i < 1000; i++)
		trace_builder_release(builder, ring, i < 750 ? 4000 + i : 6000 + i,
				      TRACE_EVENT_FREE, (i + 1) << 16);
	trace_builder_sample(builder, ring, 8000, 1 << 20);
	profile = load_profile(builder, &options);
	assert_sums(profile);
	ck_assert_uint_eq(profile->site_count, 1500);
	ck_assert_uint_eq(profile->point_count, 4);
	ck_assert_uint_eq(profile->top_count, 3);
	ck_assert_uint_eq(profile->top[0].peak_bytes, _i == 0 ? 100000 : 649);
	ck_assert_uint_eq(profile->top[0].peak_blocks, _i == 0 ? 1000 : 1);
	ck_assert_uint_eq(profile->top[0].stacks, _i == 0 ? 1000 : 1);
	ck_assert_uint_eq(profile->top[0].holding, _i == 0 ? 1000 : 1);
	ck_assert_uint_eq(profile->top[0].stack->frames[0]->offset, _i == 0 ? 20 : 0x31f2f);
	ck_assert_uint_eq(profile->top[1].peak_bytes, _i == 0 ? 649 : 648);
	ck_assert_uint_eq(profile->top_bytes[0], _i == 0 ? 100000 : 649);
	ck_assert_uint_eq(profile->top_bytes[3], _i == 0 ? 100000 : 649);
	ck_assert_uint_eq(profile->top_bytes[6], _i == 0 ? 75000 : 649);
	ck_assert_uint_eq(profile->top_bytes[9], _i == 0 ? 50000 : 649);
	ck_assert_uint_eq(profile->top_bytes[10], _i == 0 ? 649 : 648);
	profile_free(profile);
}
END_TEST

/* The same deeds in two seconds and in two milliseconds: haste makes the verdicts less sure. */
START_TEST(verdicts)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring(builder, 0, 4096);
	uint32_t startup = trace_builder_node(builder, 0, 1);
	uint32_t growing = trace_builder_node(builder, 0, 2);
	uint32_t burst = trace_builder_node(builder, 0, 3);
	uint32_t in_use = trace_builder_node(builder, 0, 4);
	uint32_t none = trace_builder_node(builder, 0, 5);
	struct profile *profile;
	static const enum profile_verdict expected[2][5] = {
	    {VERDICT_STARTUP, VERDICT_GROWING, VERDICT_NEVER_FREED, VERDICT_IN_USE, VERDICT_NONE},
	    {VERDICT_STARTUP, VERDICT_NEVER_FREED, VERDICT_REMNANT, VERDICT_IN_USE, VERDICT_NONE}};
	static const uint64_t steps_ns[2] = {20000000, 20000};
	uint64_t step = steps_ns[_i];

	trace_builder_acquire(builder, ring, 5, TRACE_EVENT_MALLOC, 0x10, 100, startup);
	for (uint64_t i = 1; i <= 100; i++) {
		trace_builder_acquire(builder, ring, i * step, TRACE_EVENT_MALLOC, i << 16, 64,
				      growing);
		trace_builder_acquire(builder, ring, i * step + 10, TRACE_EVENT_MALLOC, 0x20, 500,
				      in_use);
		if (i != 100)
			trace_builder_release(builder, ring, i * step + 20, TRACE_EVENT_FREE, 0x20);
		trace_builder_acquire(builder, ring, i * step + 30, TRACE_EVENT_MALLOC, 0x30, 50,
				      none);
		trace_builder_release(builder, ring, i * step + 40, TRACE_EVENT_FREE, 0x30);
		if (i >= 40 && i < 50)
			trace_builder_acquire(builder, ring, i * step + 50, TRACE_EVENT_MALLOC,
					      i << 32, 64, burst);
	}
	profile = load_profile(builder, &plain);
	assert_sums(profile);
	ck_assert_uint_eq(profile->site_count, 5);
	for (size_t i = 0; i < 5; i++)
		ck_assert_int_eq(profile->sites[i].verdict,
				 expected[_i][profile->sites[i].stack.frames[0]->offset]);
	profile_free(profile);
}
END_TEST

START_TEST(resident_memory)
{
	static const struct profile_options options = {.points = 4};
	struct trace_builder *builder = trace_builder_new();
	uint32_t ring = trace_builder_ring(builder, 0, 64);
	struct profile *profile;

	trace_builder_sample(builder, ring, 300, 5000);
	trace_builder_sample(builder, ring, 310, 9000);
	trace_builder_sample(builder, ring, 320, 6000);
	trace_builder_acquire(builder, ring, 1000, TRACE_EVENT_MALLOC, 0x10, 100, 0);
	profile = load_profile(builder, &options);
	ck_assert_uint_eq(profile->point_count, 4);
	ck_assert_uint_eq(profile->points[0].rss_bytes, 0);
	ck_assert_uint_eq(profile->points[1].rss_bytes, 6000);
	ck_assert_uint_eq(profile->points[3].rss_bytes, 6000);
	ck_assert_uint_eq(profile->totals.peak_rss_bytes, 9000);
	ck_assert_uint_eq(profile->totals.events, 4);
	profile_free(profile);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("profile");
	TCase *tcase = tcase_create("profile");

	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, nothing_recorded);
	tcase_add_test(tcase, process_is_told);
	tcase_add_test(tcase, running_and_killed);
	tcase_add_test(tcase, realloc_in_all_forms);
	tcase_add_test(tcase, temporary_needs_same_thread_and_nothing_between);
	tcase_add_test(tcase, families_are_told_apart);
	tcase_add_test(tcase, a_lost_free_is_a_loss);
	tcase_add_test(tcase, absurd_sizes_are_damage);
	tcase_add_test(tcase, maps_are_apart);
	tcase_add_test(tcase, equal_looks_are_one_site);
	tcase_add_test(tcase, the_recorder_is_not_in_stacks);
	tcase_add_test(tcase, code_belongs_to_its_epoch);
	tcase_add_loop_test(tcase, random_traces_equal_the_model, 1, 21);
	tcase_add_loop_test(tcase, timeline_equals_the_model, 1, 6);
	tcase_add_loop_test(tcase, a_name_is_followed_with_all_its_stacks, 0, 2);
	tcase_add_loop_test(tcase, verdicts, 0, 2);
	tcase_add_test(tcase, resident_memory);
	suite_add_tcase(suite, tcase);
	return support_run(suite);
}
