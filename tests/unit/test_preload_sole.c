/*
 * The order between threads at both quanta: which segments are a sole recorder's, and that events
 * which caused each other are read in that order.
 */
#include "sole.h"

#include <sched.h>
#include <semaphore.h>
#include <zstd.h>

#include "../../analyzer/event_decode.h"
#include "encode.h"
#include "preload_recorder.h"

static void setup(void)
{
	struct trace_header header = support_header();

	support_enter();
	clock_init();
	header.start = clock_pair();
	header.tick_shift = clock_fine_shift();
	ck_assert_int_eq(trace_file_create("t", &header), 0);
	recorder_start();
	usleep(2000); /* a baseline for the clock's rate */
}

static void release(uintptr_t address)
{
	struct thread *thread = thread_enter(FRAME);

	ck_assert_ptr_nonnull(thread);
	record_release(thread, TRACE_EVENT_FREE, (void *)address);
	thread_leave();
}

/*
 * Fills the thread's ring, and empties it by the first event of the next segment: a ring that is
 * not in the file has no stage.
 */
static void one_segment(void)
{
	uint64_t flushed = 0, before = UINT64_MAX;

	while (flushed <= before || before == UINT64_MAX) {
		struct thread *thread = thread_enter(FRAME);

		thread->ring.is_private = true;
		if (before == UINT64_MAX)
			before = thread->ring.control->flushed;
		record_release(thread, TRACE_EVENT_FREE, (void *)0x1000);
		flushed = thread->ring.control->flushed;
		thread_leave();
	}
}

/* Shifts of ring `index`'s segments, in order; returns how many. */
static size_t shifts_of(uint32_t index, unsigned *shifts, size_t room)
{
	struct support_trace trace = support_parse("t");
	size_t count = 0;

	for (size_t i = 0; i < support_count(&trace, TRACE_SEGMENT_EVENTS) && count < room; i++) {
		const struct trace_events *head =
		    (const void *)support_nth(&trace, TRACE_SEGMENT_EVENTS, i)->payload;

		if (head->ring == index)
			shifts[count++] = head->tick_shift;
	}
	support_trace_free(&trace);
	return count;
}

static sem_t asked, answered;
static enum { ONE_EVENT, BEGIN_REALLOC, END_REALLOC, STOP } question;

/* Does what it is asked to, and nothing else. */
static void *other(void *unused)
{
	uint64_t before = 0;

	for (;;) {
		struct thread *thread;

		sem_wait(&asked);
		if (question == STOP)
			return unused;
		thread = thread_enter(FRAME);
		if (question == ONE_EVENT)
			record_release(thread, TRACE_EVENT_FREE, (void *)0x2000);
		else if (question == BEGIN_REALLOC)
			before = record_before(thread);
		else
			record_realloc(thread, TRACE_EVENT_REALLOC, (void *)0x10, (void *)0x20, 1,
				       before, &recorder_origin);
		thread_leave();
		sem_post(&answered);
	}
}

static void ask(unsigned what)
{
	question = what;
	sem_post(&asked);
	if (what != STOP)
		sem_wait(&answered);
}

START_TEST(shift_of_segments)
{
	unsigned shifts[32], fine = clock_fine_shift();
	pthread_t thread;

	sem_init(&asked, 0, 0);
	sem_init(&answered, 0, 0);
	release(0x1000); /* ring 0 is ours */
	pthread_create(&thread, NULL, other, NULL);
	one_segment(); /* 0: alone so far */
	ask(ONE_EVENT);
	one_segment(); /* 1: one among ours; then we ask to be alone */
	usleep(1000);
	one_segment(); /* 2: nobody objected */
	one_segment(); /* 3: alone */
	one_segment(); /* 4 */
	ask(BEGIN_REALLOC);
	one_segment(); /* 5 */
	usleep(1000);
	one_segment(); /* 6 */
	one_segment(); /* 7: the release began well before, and ends later */
	ask(END_REALLOC);
	one_segment();	/* 8 */
	ask(ONE_EVENT); /* objects: the next ring is not yet the time to ask again */
	one_segment();	/* 9 */
	one_segment();	/* 10 */
	usleep(1000);
	one_segment(); /* 11 */
	one_segment(); /* 12 */
	ask(STOP);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(shifts_of(0, shifts, 32), 13);
	for (unsigned i = 0; i < 13; i++) {
		bool alone = i == 0 || i == 3 || i == 4 || i == 7 || i == 12;

		ck_assert_msg((shifts[i] > fine) == alone, "segment %u: %u", i, shifts[i]);
	}
}
END_TEST

/* A thread inside a hook since before the bias was given: whatever stamp it takes then revokes. */
static void *stamper(void *how)
{
	struct thread *thread = thread_enter(FRAME | GUARD_REAL);

	sem_post(&answered);
	sem_wait(&asked);
	if (strcmp(how, "stamp") == 0)
		sole_stamp(thread);
	else
		record_before(thread);
	sem_post(&answered);
	thread_leave();
	return NULL;
}

START_TEST(stamps_revoke)
{
	static const char *const ways[] = {"stamp", "before"};
	struct thread *thread;
	pthread_t id;

	sem_init(&asked, 0, 0);
	sem_init(&answered, 0, 0);
	release(0x1000);
	pthread_create(&id, NULL, stamper, (void *)(uintptr_t)ways[_i]);
	sem_wait(&answered);
	release(0x1000); /* takes up its revocation */
	thread = thread_tls.thread;
	ck_assert(!thread->sole);
	/* Asked, and too soon. */
	thread_enter(FRAME);
	sole_ring_emptied(thread);
	sole_ring_emptied(thread);
	ck_assert(!thread->sole);
	usleep(1000);
	sole_ring_emptied(thread);
	ck_assert(thread->sole && sole_had_ring(thread));
	thread_leave();
	/* Revoked while we are inside a hook. */
	thread_enter(FRAME | GUARD_REAL);
	sem_post(&asked);
	sem_wait(&answered);
	ck_assert(!sole_had_ring(thread));
	sole_stamp(thread);
	ck_assert(!thread->sole && sole_unchanged());
	thread_leave();
	pthread_join(id, NULL);
}
END_TEST

/*
 * The relay: two threads hand a token to and fro, and only who has it makes events, whose addresses
 * count up. So each event is the cause of the next.
 */
#ifdef __SANITIZE_THREAD__
#define RELAY_EVENTS 150000U
#else
#define RELAY_EVENTS 600000U
#endif
#define RELAY_STEP 16

static _Atomic unsigned turn;
static unsigned next_number; /* the token's */
static struct {
	uint64_t order; /* plus 2; 0: not seen */
	uint32_t ring;
} noted[RELAY_EVENTS];

/* Waits for the token; false when the relay is over, which the other then hears, too. */
static bool take_token(unsigned number)
{
	for (unsigned spins = 1; atomic_load_explicit(&turn, memory_order_acquire) != number;
	     spins++)
		if (spins % 256 == 0)
			sched_yield();
	return next_number < RELAY_EVENTS;
}

static void pass_token(unsigned number)
{
	atomic_store_explicit(&turn, !number, memory_order_release);
}

/*
 * How many events a turn has: many, in which one is alone for some segments; as many as fill the
 * ring, so that the next turn begins with a segment, and then is a long one; or a few.
 */
static uint64_t turn_length(uint64_t *seed, bool *fill)
{
	struct thread *thread = thread_enter(FRAME);
	uint64_t room = (uint64_t)(thread->ring.end - thread->ring.next) / 2;
	uint64_t choice = support_random(seed) % 8;

	thread_leave();
	*fill = room && choice < 2;
	if (*fill)
		return room;
	if (!room || choice == 2)
		return 5000 + support_random(seed) % 5000;
	return support_random(seed) % 16;
}

/* The real realloc gives the old block to the other thread; its event comes late. */
static void realloc_that_passes(unsigned number, uint64_t *seed)
{
	struct thread *thread = thread_enter(FRAME | GUARD_REAL);
	uint64_t before = record_before(thread);
	uintptr_t old = RELAY_STEP * next_number++;

	pass_token(number);
	if (support_random(seed) % 8 == 0)
		usleep(support_random(seed) % 300);
	thread_phase(FRAME);
	record_realloc(thread, TRACE_EVENT_REALLOC, (void *)old, (void *)(UINT64_MAX - 15), 1,
		       before, &recorder_origin);
	thread_leave();
}

static void relay(unsigned number)
{
	uint64_t seed = number;
	bool fill;

	while (take_token(number)) {
		uint64_t length = turn_length(&seed, &fill);

		while (length-- && next_number < RELAY_EVENTS - 1)
			release(RELAY_STEP * next_number++);
		if (fill && next_number < RELAY_EVENTS - 1)
			pass_token(number);
		else
			realloc_that_passes(number, &seed);
	}
	pass_token(number);
}

static void note(const struct event *events, size_t count, uint32_t ring)
{
	for (size_t i = 0; i < count; i++) {
		if (events[i].op != EVENT_RELEASE)
			continue;
		ck_assert_uint_lt(events[i].address / RELAY_STEP, RELAY_EVENTS);
		noted[events[i].address / RELAY_STEP].order = events[i].order + 2;
		noted[events[i].address / RELAY_STEP].ring = ring;
	}
}

static void decode_ring(const struct support_trace *trace, const struct support_segment *ring)
{
	const struct trace_ring *control = (const void *)ring->payload;
	struct event_shared shared = {.zstd = ZSTD_createDCtx(), .room = EVENT_SHARED_ROOM};
	struct event_buffers buffers = {.shared = &shared};
	struct event_decoder decoder = {0};
	struct event events[EVENT_DECODE_EVENTS];
	struct event_words words = {
	    .words = (const void *)(ring->payload + TRACE_RING_DATA_OFFSET - 64),
	    .count = control->head - control->flushed,
	    .merge_shift = clock_fine_shift(),
	};
	size_t got;
	uint32_t bad;
	bool bad_words;

	for (size_t i = 0; i < support_count(trace, TRACE_SEGMENT_EVENTS); i++) {
		const struct support_segment *segment = support_nth(trace, TRACE_SEGMENT_EVENTS, i);
		size_t bytes = segment->head.payload_bytes;

		if (segment->head.index != ring->head.index)
			continue;
		ck_assert_int_eq(event_buffers_reserve(&buffers, bytes), 0);
		memcpy(buffers.payload, segment->payload, bytes);
		ck_assert_int_eq(event_segment_begin(&decoder, &buffers, bytes, clock_fine_shift()),
				 0);
		while ((got = event_decode_next(&decoder, events, &bad)))
			note(events, got, ring->head.index);
		ck_assert_uint_eq(bad, 0);
	}
	words.tick = decoder.floor << clock_fine_shift();
	while ((got = event_words_next(&words, events, &bad_words)))
		note(events, got, ring->head.index);
	event_buffers_fini(&buffers);
	ZSTD_freeDCtx(shared.zstd);
}

START_TEST(causes_come_first)
{
	unsigned shifts[1024], fine = 0, coarse = 0;
	struct support_trace trace;

	support_threads(2, relay);
	trace = support_parse("t");
	ck_assert_uint_eq(support_count(&trace, TRACE_SEGMENT_RING), 2);
	for (size_t i = 0; i < 2; i++) {
		decode_ring(&trace, support_nth(&trace, TRACE_SEGMENT_RING, i));
		for (size_t k = shifts_of((uint32_t)i, shifts, 1024); k > 0; k--)
			*(shifts[k - 1] == clock_fine_shift() ? &fine : &coarse) += 1;
	}
	support_trace_free(&trace);
	for (size_t i = 0; i < RELAY_EVENTS; i++) {
		uint64_t last = i ? noted[i - 1].order >> 1 : 0;

		ck_assert_msg(noted[i].order, "event %zu is not there", i);
		/* No block passes between threads within a fine quantum. */
		if (i && noted[i].ring != noted[i - 1].ring)
			last++;
		ck_assert_msg(noted[i].order >> 1 >= last,
			      "event %zu is not read after the one that caused it", i);
	}
	ck_assert_uint_ge(fine, 3);
	ck_assert_uint_ge(coarse, 3);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("preload sole");
	TCase *tests = tcase_create("sole");

	tcase_add_checked_fixture(tests, setup, support_leave);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, shift_of_segments);
	tcase_add_loop_test(tests, stamps_revoke, 0, 2);
	tcase_add_test(tests, causes_come_first);
	suite_add_tcase(suite, tests);
	return support_run(suite);
}
