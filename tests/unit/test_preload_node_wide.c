/*
 * Wide pcs that several threads make at once: one entry is agreed on for each pc of an epoch, whole
 * in the file when anybody hears its index, and no thread is held up or left out when all are used.
 */
#include "node_wide.h"

#include <sched.h>
#include <stdatomic.h>

#include "preload_support.h"

#define THREADS 4
#ifdef __SANITIZE_THREAD__
#define KEYS (2 * TRACE_WIDE_CHUNK_ENTRIES)
#else
#define KEYS (5 * TRACE_WIDE_CHUNK_ENTRIES)
#endif
#define PER_FILL (NODE_WIDE_MAX / THREADS + 2000)

/* Two epochs of each pc, and pcs whose low bits are alike. */
static uintptr_t pc_of(uint32_t key)
{
	return (uintptr_t)1 << 46 | (uintptr_t)(key / 2 % 64) << 32 | key / 128 * 16;
}

static uint32_t epoch_of(uint32_t key)
{
	return key % 2 * 70000;
}

static _Atomic uint32_t given[KEYS]; /* index plus 1, of whoever was first; relaxed */

static void setup(void)
{
	support_enter();
	support_create();
	node_wide_init();
}

/* Spinning, for threads that a barrier wakes come one by one. */
static void meet(void)
{
	static atomic_uint here;

	atomic_fetch_add_explicit(&here, 1, memory_order_relaxed);
	while (atomic_load_explicit(&here, memory_order_relaxed) < THREADS)
		sched_yield();
}

/* All take the same way, so the one in front is always caught up with where entries are new. */
static void agree(unsigned number)
{
	(void)number;
	meet();
	for (uint32_t key = 0; key < KEYS; key++) {
		uint32_t index, expected = 0;
		uintptr_t pc = 0;

		ck_assert(node_wide_index(pc_of(key), epoch_of(key), &index));
		ck_assert(node_wide_pc(index, &pc));
		ck_assert_uint_eq(pc, pc_of(key));
		if (!atomic_compare_exchange_strong_explicit(&given[key], &expected, index + 1,
							     memory_order_relaxed,
							     memory_order_relaxed))
			ck_assert_uint_eq(expected, index + 1);
	}
}

static const struct trace_wide_pc *entry_in(const struct support_trace *trace, uint32_t index)
{
	const struct trace_wide_pc *entry = NULL;

	for (size_t i = 0; i < support_count(trace, TRACE_SEGMENT_WIDE); i++) {
		const struct support_segment *segment = support_nth(trace, TRACE_SEGMENT_WIDE, i);

		if (segment->head.index != index / TRACE_WIDE_CHUNK_ENTRIES)
			continue;
		ck_assert_ptr_null(entry); /* a chunk is in the file once */
		entry = (const struct trace_wide_pc *)(const void *)segment->payload +
			index % TRACE_WIDE_CHUNK_ENTRIES;
	}
	ck_assert_ptr_nonnull(entry);
	return entry;
}

START_TEST(threads_agree)
{
	struct support_trace trace;

	support_threads(THREADS, agree);
	trace = support_parse("t");
	for (uint32_t key = 0; key < KEYS; key++) {
		const struct trace_wide_pc *entry = entry_in(&trace, given[key] - 1);

		ck_assert_uint_eq(entry->pc, pc_of(key));
		ck_assert_uint_eq(entry->epoch_1, epoch_of(key) + 1);
	}
	support_trace_free(&trace);
}
END_TEST

#ifndef __SANITIZE_THREAD__
static _Atomic uint32_t made[THREADS];

static void fill(unsigned number)
{
	bool full = false;

	for (uint32_t i = 0; i < PER_FILL; i++) {
		uintptr_t pc = (uintptr_t)(number + 1) << 40 | i, kept = 0;
		uint32_t index;

		if (!node_wide_index(pc, 0, &index)) {
			full = true;
			continue;
		}
		ck_assert(!full);
		ck_assert_uint_lt(index, NODE_WIDE_MAX);
		ck_assert(node_wide_pc(index, &kept));
		ck_assert_uint_eq(kept, pc);
		made[number]++;
	}
}

/* Each entry goes to one thread; then nobody gets any, and what is there is still found. */
START_TEST(all_used)
{
	uint32_t total = 0, index;

	support_threads(THREADS, fill);
	for (unsigned i = 0; i < THREADS; i++)
		total += made[i];
	ck_assert_uint_eq(total, NODE_WIDE_MAX);
	for (unsigned i = 0; i < THREADS; i++)
		ck_assert(!made[i] || node_wide_index((uintptr_t)(i + 1) << 40, 0, &index));
	ck_assert(!node_wide_index(1, 0, &index));
	ck_assert(!node_wide_pc(NODE_WIDE_MAX, &(uintptr_t){0}));
}
END_TEST
#endif

int main(void)
{
	Suite *suite = suite_create("preload node_wide");
	TCase *tests = tcase_create("node_wide");

	tcase_add_checked_fixture(tests, setup, support_leave);
	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, threads_agree, 0, 10);
#ifndef __SANITIZE_THREAD__
	tcase_add_test(tests, all_used);
#endif
	suite_add_tcase(suite, tests);
	return support_run(suite);
}
