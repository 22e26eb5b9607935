/* A ring in the trace file: what is committed is there, position P at data[P - flushed]. */
#include "ring.h"

#include "preload_support.h"

static struct ring ring;

static void setup(void)
{
	support_enter();
	support_create();
	ck_assert_int_eq(ring_init(&ring, 3), 0);
}

/* Word at position P says P: whatever is read can be checked. */
static uint64_t word_at(uint64_t position)
{
	return position * 0x9e3779b97f4a7c15U + 1;
}

static bool put(size_t words)
{
	uint64_t *at = ring_reserve(&ring, words);

	if (!at)
		return false;
	for (size_t i = 0; i < words; i++)
		at[i] = word_at(ring.head + i);
	ring_commit(&ring, words);
	return true;
}

/* What a reader of the file sees: a fresh look each time. */
static void check_file(uint64_t head, uint64_t flushed, uint64_t flushed_events)
{
	struct support_trace trace = support_parse("t");
	const struct support_segment *segment = support_nth(&trace, TRACE_SEGMENT_RING, 0);
	const struct trace_ring *control = (const void *)segment->payload;
	const uint64_t *data =
	    (const void *)(trace.bytes + segment->offset + TRACE_RING_DATA_OFFSET);

	ck_assert_uint_eq(segment->head.index, 3);
	ck_assert_uint_eq(segment->head.bytes,
			  TRACE_RING_DATA_OFFSET + RING_DATA_BYTES + RING_STAGE_BYTES);
	ck_assert_uint_eq(control->word_bytes, RING_DATA_BYTES);
	ck_assert_uint_eq(control->head, head);
	ck_assert_uint_eq(control->flushed, flushed);
	ck_assert_uint_eq(control->flushed_events, flushed_events);
	for (uint64_t p = flushed; p < head; p++)
		ck_assert_uint_eq(data[p - flushed], word_at(p));
	support_trace_free(&trace);
}

START_TEST(positions)
{
	uint64_t seed = 1, head = 0, flushed = 0, events = 0, held = 0;

	check_file(0, 0, 0);
	for (int i = 0; i < 2000; i++) {
		size_t words = 2 + support_random(&seed) % 6;

		if (put(words)) {
			head += words;
			held++;
		} else {
			ck_assert_uint_gt(head - flushed + words, RING_WORDS);
			ring_release(&ring, held);
			flushed = head;
			events += held;
			held = 0;
		}
		ck_assert_uint_eq(ring.head, head);
		ck_assert_uint_eq(ring_used(&ring), head - flushed);
		if (i % 100 == 0)
			check_file(head, flushed, events);
	}
	ck_assert_uint_gt(events, 0);
	check_file(head, flushed, events);
}
END_TEST

START_TEST(reserved_is_not_committed)
{
	uint64_t *at = ring_reserve(&ring, 4);

	at[0] = 99;
	check_file(0, 0, 0);
	ck_assert_ptr_eq(ring_reserve(&ring, 4), at);
	ck_assert_uint_eq(ring_used(&ring), 0);
}
END_TEST

START_TEST(exactly_full)
{
	for (size_t i = 0; i < RING_WORDS / 2; i++)
		ck_assert(put(2));
	ck_assert_ptr_null(ring_reserve(&ring, 1));
	ck_assert_ptr_null(ring_reserve(&ring, 2));
	check_file(RING_WORDS, 0, 0);
	ring_release(&ring, RING_WORDS / 2);
	check_file(RING_WORDS, RING_WORDS, RING_WORDS / 2);
	ck_assert(put(7));
	check_file(RING_WORDS + 7, RING_WORDS, RING_WORDS / 2);
}
END_TEST

static int owner_done;

/* Reads as trace readers do: words are good if nothing was flushed meanwhile. */
static void read_along(void)
{
	const struct trace_ring *control = ring.control;
	uint64_t copy[RING_WORDS];
	uint64_t good = 0, last_head = 0;

	while (!__atomic_load_n(&owner_done, __ATOMIC_ACQUIRE) || !good) {
		uint64_t flushed = __atomic_load_n(&control->flushed, __ATOMIC_ACQUIRE);
		uint64_t head = __atomic_load_n(&control->head, __ATOMIC_ACQUIRE);
		size_t words = head - flushed;

		ck_assert_uint_ge(head, last_head);
		last_head = head;
		if (words > RING_WORDS)
			continue;
		for (size_t i = 0; i < words; i++)
			copy[i] = __atomic_load_n(&ring.data[i], __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&control->flushed, __ATOMIC_RELAXED) != flushed)
			continue;
		for (size_t i = 0; i < words; i++)
			ck_assert_uint_eq(copy[i], word_at(flushed + i));
		good += words;
	}
}

static void own(void)
{
	for (int i = 0; i < 400000; i++) {
		size_t words = 2 + (size_t)i % 6;
		uint64_t *at = ring_reserve(&ring, words);

		if (!at) {
			ring_release(&ring, 1);
			at = ring_reserve(&ring, words);
			if (i % 16 == 0)
				usleep(50);
		}
		for (size_t k = 0; k < words; k++)
			__atomic_store_n(&at[k], word_at(ring.head + k), __ATOMIC_RELAXED);
		ring_commit(&ring, words);
	}
	__atomic_store_n(&owner_done, 1, __ATOMIC_RELEASE);
}

static void own_or_read(unsigned number)
{
	if (number)
		read_along();
	else
		own();
}

START_TEST(reader_beside_owner)
{
	support_threads(4, own_or_read); /* one owns, three read */
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("preload ring");
	TCase *tests = tcase_create("ring");

	tcase_add_checked_fixture(tests, setup, support_leave);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, positions);
	tcase_add_test(tests, reserved_is_not_committed);
	tcase_add_test(tests, exactly_full);
	tcase_add_test(tests, reader_beside_owner);
	suite_add_tcase(suite, tests);
	return support_run(suite);
}
