/* The sums of changes by site, against those of a model that looks at every site after each. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "agg_sites.h"
#include "check_support.h"

#define SITES	4
#define NUMBERS 12 /* of origins, three to a site */

/* What a site has, by counting. */
struct model_site {
	uint64_t allocations, live_bytes, live_blocks, peak_bytes, peak_blocks, temporary;
	uint64_t first_tick, last_tick;
};

struct model {
	struct model_site sites[SITES];
	uint64_t bytes[NUMBERS + 1], live_blocks[NUMBERS + 1];
	uint64_t live, peak, peak_tick, mismatched, reallocs;
};

static uint32_t site_of(uint32_t number)
{
	return number % SITES;
}

static void take(struct model *model, const struct replay_change *change)
{
	struct model_site *site = &model->sites[site_of(change->origin)];
	uint64_t freed = change->flags & REPLAY_FREE;
	uint64_t bytes = model->bytes[change->origin] * (1 - 2 * freed);

	model->live_blocks[change->origin] += 1 - 2 * freed;
	site->live_blocks += 1 - 2 * freed;
	site->live_bytes += bytes;
	model->live += bytes;
	if (freed == 0) {
		site->first_tick = site->allocations++ == 0 ? change->tick : site->first_tick;
		site->last_tick = change->tick;
	}
	site->temporary += (change->flags & REPLAY_TEMPORARY) != 0;
	model->mismatched += (change->flags & REPLAY_MISMATCHED) != 0;
	model->reallocs += (change->flags & REPLAY_REALLOC) != 0;
	if (model->live <= model->peak)
		return;
	model->peak = model->live;
	model->peak_tick = change->tick;
	for (size_t i = 0; i < SITES; i++) {
		model->sites[i].peak_bytes = model->sites[i].live_bytes;
		model->sites[i].peak_blocks = model->sites[i].live_blocks;
	}
}

/* Changes by chance; `frees` in 16 are releases, where there is a block for that. */
static size_t make(const struct model *from, struct replay_change *changes, size_t count,
		   uint64_t *tick, unsigned frees, uint64_t *seed)
{
	uint64_t live[NUMBERS + 1];

	memcpy(live, from->live_blocks, sizeof(live));
	for (size_t i = 0; i < count; i++) {
		uint32_t number = 1 + (uint32_t)(support_random(seed) % NUMBERS);
		uint64_t chance = support_random(seed);
		uint32_t flags = chance & 256 ? REPLAY_REALLOC : 0;

		if (chance % 16 < frees && live[number] != 0) {
			flags = REPLAY_FREE | (chance & 16 ? REPLAY_TEMPORARY : 0) |
				(chance & 32 ? REPLAY_MISMATCHED : 0);
		}
		live[number] += flags & REPLAY_FREE ? -1ULL : 1;
		*tick += chance >> 8 & 1;
		changes[i] =
		    (struct replay_change){.tick = *tick, .origin = number, .flags = flags};
	}
	return count;
}

static void compare(struct agg_sites *agg, const struct model *model)
{
	struct agg_totals totals;

	ck_assert_int_eq(agg_sites_finish(agg, &totals), 0);
	ck_assert_uint_eq(totals.peak_bytes, model->peak);
	ck_assert_uint_eq(totals.peak_tick, model->peak_tick);
	ck_assert_uint_eq(totals.live_bytes, model->live);
	ck_assert_uint_eq(totals.mismatched, model->mismatched);
	ck_assert_uint_eq(totals.reallocs, model->reallocs);
	for (size_t i = 0; i < SITES; i++) {
		const struct model_site *want = &model->sites[i];

		ck_assert_uint_eq(agg->sites[i].allocations, want->allocations);
		ck_assert_uint_eq(agg->sites[i].live_bytes, want->live_bytes);
		ck_assert_uint_eq(agg->sites[i].live_blocks, want->live_blocks);
		ck_assert_uint_eq(agg->sites[i].peak_bytes, want->peak_bytes);
		ck_assert_uint_eq(agg->sites[i].peak_blocks, want->peak_blocks);
		ck_assert_uint_eq(agg->sites[i].last_tick, want->last_tick);
		ck_assert_uint_eq(agg->more[i].first_tick, want->first_tick);
		ck_assert_uint_eq(agg->more[i].temporary, want->temporary);
	}
}

static struct replay_batch first_mention(struct model *model, struct replay_origin *origins,
					 struct replay_change *changes)
{
	for (uint32_t number = 1; number <= NUMBERS; number++) {
		model->bytes[number] = number * 16;
		origins[number - 1] = (struct replay_origin){
		    .bytes = model->bytes[number], .number = number, .site = site_of(number)};
		changes[number - 1] = (struct replay_change){.origin = number};
	}
	return (struct replay_batch){
	    .origins = origins, .origin_count = NUMBERS, .changes = changes, .count = NUMBERS};
}

/* Peaks in the middle of batches, at their ends, and none for long. */
START_TEST(test_as_counted_one_by_one)
{
	static struct replay_change changes[REPLAY_BATCH];
	struct replay_origin origins[NUMBERS];
	struct model model = {0};
	struct agg_sites agg;
	uint64_t seed = (uint64_t)_i, tick = 0;

	agg_sites_init(&agg);
	for (unsigned round = 0; round < 60; round++) {
		/* It grows, shrinks, and grows again. */
		unsigned frees = round % 12 < 6 ? 6 : 10;
		struct replay_batch batch = {.changes = changes};
		struct agg_range range, want = {.high = model.live, .low = model.live};

		if (round == 0)
			batch = first_mention(&model, origins, changes);
		else
			batch.count = make(&model, changes, support_random(&seed) % REPLAY_BATCH,
					   &tick, frees, &seed);
		for (size_t i = 0; i < batch.count; i++) {
			take(&model, &changes[i]);
			if (model.live > want.high) {
				want.high = model.live;
				want.high_tick = changes[i].tick;
			}
			want.low = model.live < want.low ? model.live : want.low;
		}
		ck_assert_int_eq(agg_sites_changes(&agg, &batch, SITES, &range), 0);
		ck_assert_uint_eq(range.high, want.high);
		ck_assert_uint_eq(range.high_tick, want.high_tick);
		ck_assert_uint_eq(range.low, want.low);
		ck_assert_uint_eq(agg.live_bytes, model.live);
	}
	compare(&agg, &model);
	agg_sites_fini(&agg);
}
END_TEST

/* Whole batches of changes with all the flags that they can have. */
START_TEST(test_flags_do_not_run_over)
{
	static struct replay_change changes[REPLAY_BATCH];
	struct replay_origin origins[NUMBERS];
	struct model model = {0};
	struct replay_batch batch = first_mention(&model, origins, changes);
	struct agg_range range;
	struct agg_sites agg;

	agg_sites_init(&agg);
	for (unsigned round = 0; round < 4; round++) {
		for (size_t i = 0; i < REPLAY_BATCH; i++) {
			changes[i].origin = 1 + (uint32_t)i % NUMBERS;
			changes[i].flags = round % 2 == 0
					       ? REPLAY_REALLOC
					       : REPLAY_FREE | REPLAY_MISMATCHED | REPLAY_TEMPORARY;
			take(&model, &changes[i]);
		}
		batch.count = REPLAY_BATCH;
		ck_assert_int_eq(agg_sites_changes(&agg, &batch, SITES, &range), 0);
		batch.origin_count = 0;
	}
	ck_assert_uint_eq(agg.live_blocks, 0);
	compare(&agg, &model);
	agg_sites_fini(&agg);
}
END_TEST

static void limit_memory(size_t more)
{
	struct rlimit limit;
	size_t pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(fscanf(file, "%zu", &pages), 1);
	fclose(file);
	ck_assert_int_eq(getrlimit(RLIMIT_AS, &limit), 0);
	limit.rlim_cur = pages * 4096 + more;
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

/* Room is made ahead for many origins, but not more than there is. */
START_TEST(test_little_memory)
{
	static const struct {
		uint32_t number;
		size_t bytes;
	} cases[] = {{65536, 20 << 20}, {524288, 150 << 20}};
	struct replay_origin origin = {.bytes = 16, .number = cases[_i].number, .site = 1};
	struct replay_change change = {.origin = cases[_i].number};
	struct replay_batch batch = {
	    .origins = &origin, .origin_count = 1, .changes = &change, .count = 1};
	struct agg_range range;
	struct agg_sites agg;

	agg_sites_init(&agg);
	limit_memory(cases[_i].bytes);
	ck_assert_int_eq(agg_sites_changes(&agg, &batch, SITES, &range), 0);
	ck_assert_uint_eq(agg.live_bytes, 16);
	agg_sites_fini(&agg);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agg_sites");
	TCase *tcase = tcase_create("agg_sites");

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, test_as_counted_one_by_one, 0, 20);
	tcase_add_test(tcase, test_flags_do_not_run_over);
	tcase_add_loop_test(tcase, test_little_memory, 0, 2);
	suite_add_tcase(suite, tcase);
	return support_run(suite);
}
