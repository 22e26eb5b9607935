/* Events into rings into the file, and the guard that keeps hooks apart. */
#include "record.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "preload_recorder.h"
#include "preload_view.h"
#include "resident.h"

static void setup(void)
{
	support_enter();
	support_create();
	recorder_start();
}

static void one_event(void)
{
	struct thread *thread = thread_enter(FRAME);

	ck_assert_ptr_nonnull(thread);
	record_acquire(thread, TRACE_EVENT_MALLOC, (void *)0x1000, 10, 0, &recorder_origin);
	thread_leave();
}

static void *p(uintptr_t address)
{
	return (void *)address;
}

/* Each function's words, by the table of the format. */
START_TEST(words_of_events)
{
	static const struct {
		uint8_t kind;
		size_t count;
		uint64_t words[6]; /* after the first */
	} wanted[] = {
	    {TRACE_EVENT_POSIX_MEMALIGN, 4, {0x10, 20, 1234 | 6ULL << 32}},
	    {TRACE_EVENT_FREE, 2, {0x10}},
	    {TRACE_EVENT_REALLOC, 6, {0x30, 40, 1234, 0x20, 5}},
	    {TRACE_EVENT_REALLOC_FREE, 2, {0x30}},
	    {TRACE_EVENT_FAILED, 4, {TRACE_EVENT_CALLOC, 50, 1234}},
	    {TRACE_EVENT_MMAP, 4, {0x1000, 4096, 1234}},
	    {TRACE_EVENT_MUNMAP, 3, {0x1000, 4096}},
	    {TRACE_EVENT_MREMAP, 7, {0x9000, 8192, 1234, 0x1000, 6, 4096}},
	};
	struct thread *thread = thread_enter(FRAME);
	const uint64_t *at = thread->ring.data;

	errno = 99;
	record_acquire(thread, TRACE_EVENT_POSIX_MEMALIGN, p(0x10), 20, 6, &recorder_origin);
	record_release(thread, TRACE_EVENT_FREE, p(0x10));
	record_realloc(thread, TRACE_EVENT_REALLOC, p(0x20), p(0x30), 40, 5, &recorder_origin);
	record_release_at(thread, TRACE_EVENT_REALLOC_FREE, p(0x30), 77);
	record_failed(thread, TRACE_EVENT_CALLOC, 50, &recorder_origin);
	record_map(thread, TRACE_EVENT_MMAP, p(0x1000), 4096, &recorder_origin);
	record_unmap(thread, TRACE_EVENT_MUNMAP, p(0x1000), 4096, 78);
	record_remap(thread, p(0x1000), 4096, p(0x9000), 8192, 6, &recorder_origin);
	ck_assert_int_eq(errno, 99);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		ck_assert_uint_eq(at[0] & 255, wanted[i].kind);
		if (wanted[i].kind == TRACE_EVENT_REALLOC_FREE)
			ck_assert_uint_eq(at[0] >> 8, 77);
		if (wanted[i].kind == TRACE_EVENT_MUNMAP)
			ck_assert_uint_eq(at[0] >> 8, 78);
		for (size_t k = 1; k < wanted[i].count; k++)
			ck_assert_uint_eq(at[k], wanted[i].words[k - 1]);
		at += wanted[i].count;
	}
	ck_assert_ptr_eq(at, thread->ring.next);
	ck_assert_uint_eq(thread->ring_events, 8);
	ck_assert_uint_eq(thread->acquired, 2);
	ck_assert_uint_eq(thread->released, 3);
	ck_assert_uint_eq(thread->failed, 1);
	thread_leave();
}
END_TEST

/* Segments follow on each other, and with what is left in the ring make up all there was. */
START_TEST(many_flushes)
{
	struct support_trace trace;
	const struct trace_ring *ring;
	uint64_t position = 0, ordinal = 0, events;
	struct view view;

	prctl(PR_SET_NAME, "recorder-tests");
	/* How many events a stage takes depends on their times. */
	for (events = 0; events < 55000 || stage_is_empty(&thread_tls.thread->stage); events++)
		one_event();
	trace = support_parse("t");
	ring = (const void *)support_nth(&trace, TRACE_SEGMENT_RING, 0)->payload;
	ck_assert_str_eq(ring->name, "recorder-tests");
	ck_assert_uint_eq(ring->tid, (uint32_t)getpid());
	for (size_t i = 0; i < support_count(&trace, TRACE_SEGMENT_EVENTS); i++) {
		const struct trace_events *head =
		    (const void *)support_nth(&trace, TRACE_SEGMENT_EVENTS, i)->payload;

		ck_assert_uint_eq(head->from, position);
		ck_assert_uint_eq(head->first_event, ordinal);
		ck_assert_uint_le(head->first_tick, head->last_tick);
		ck_assert_uint_eq(head->lost_events, 0);
		ck_assert_str_eq(head->name, "recorder-tests");
		position = head->to;
		ordinal += head->events;
	}
	ck_assert_uint_gt(ordinal, 20000);
	ck_assert_uint_eq(ring->staged, position);
	ck_assert_uint_gt(ring->flushed, position); /* some are in the stage */
	ck_assert_uint_eq(ring->flushed_events - ordinal, (ring->flushed - position) / 4);
	ck_assert_uint_eq(ring->flushed_events + (ring->head - ring->flushed) / 4, events);
	support_trace_free(&trace);
	ck_assert_int_eq(view_read("t", &view), 0);
	ck_assert(!view.bad_segments && !view.lost_events && !view.unrecorded_events && !view.cut);
}
END_TEST

static void limit_size(rlim_t bytes)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* What a flush cannot write is lost, counted to the event, and the reader says that number. */
START_TEST(flushes_that_fail)
{
	uint64_t lost = 0, kept = 0;
	struct thread *thread = thread_enter(FRAME);
	struct view view;

	for (int round = 0; round < 9; round++) {
		bool fails = round % 3 == 1;

		for (int i = 0; i < 100 + round; i++)
			record_release(thread, TRACE_EVENT_FREE, p(0x1000));
		limit_size(fails ? 4096 : 1 << 20);
		flush_all(thread);
		*(fails ? &lost : &kept) += 100 + (uint64_t)round;
		ck_assert_uint_eq(thread->lost, lost);
		ck_assert_uint_eq(thread->ring_events, 0);
		ck_assert_uint_eq(ring_used(&thread->ring), 0);
	}
	thread_leave();
	limit_size(1 << 20);
	ck_assert_uint_eq(trace_file_header()->lost_events, lost);
	ck_assert_uint_eq(thread->ring.control->lost_events, lost);
	ck_assert_uint_eq(thread->ring.control->flushed_events, lost + kept);
	ck_assert_int_eq(view_read("t", &view), 0);
	ck_assert_uint_eq(view.unrecorded_events, lost);
	ck_assert_uint_eq(view.lost_events, 0);
	ck_assert_uint_eq(view.bad_segments, 0);
	ck_assert_uint_eq(view.event_segments, 6);
}
END_TEST

/* A look at the resident size at the first event, and every 10 ms from then on. */
START_TEST(resident_samples)
{
	struct support_trace trace;
	const struct trace_ring *ring;
	const uint64_t *data;
	unsigned samples = 0;
	uint64_t end;

	clock_init();
	trace_file_header()->start.monotonic_ns = clock_monotonic_ns();
	resident_init();
	end = clock_monotonic_ns() + 200000000;
	while (clock_monotonic_ns() < end) {
		one_event();
		usleep(500);
	}
	trace = support_parse("t");
	ring = (const void *)support_nth(&trace, TRACE_SEGMENT_RING, 0)->payload;
	data = (const void *)((const uint8_t *)ring + TRACE_RING_DATA_OFFSET - 64);
	for (uint64_t at = 0; at < ring->head;) {
		bool sample = (data[at] & 255) == TRACE_EVENT_RSS;

		if (sample) {
			samples++;
			ck_assert_uint_eq(data[at + 1] % 4096, 0);
			ck_assert_uint_gt(data[at + 1], 500000);
			ck_assert_uint_lt(data[at + 1], 1ULL << 40);
		}
		at += sample ? 2 : 4;
	}
	ck_assert_uint_ge(samples, 5);
	ck_assert_uint_le(samples, 25);
	ck_assert_uint_gt(trace_file_header()->peak_rss_bytes, 500000);
	ck_assert_uint_gt(trace_file_header()->latest.tick, 0);
	support_trace_free(&trace);
}
END_TEST

START_TEST(nested)
{
	struct thread *thread = thread_enter(FRAME);

	ck_assert_ptr_nonnull(thread);
	ck_assert_ptr_null(thread_enter(FRAME - 96));
	ck_assert_ptr_null(thread_enter(FRAME - 16));
	ck_assert_uint_eq(thread_tls.guard, FRAME);
	thread_leave();
	ck_assert_ptr_eq(thread_enter(FRAME - 96), thread);
	thread_leave();
}
END_TEST

/*
 * The malloc inside operator new bears new's name, whatever its size, wherever in the ring it is,
 * and whatever came after it: a sample of the resident size is due at each second one.
 */
START_TEST(relabelled)
{
	static const struct unwind_origin origin = {.pc = 0x1000};
	struct thread *thread = thread_enter(FRAME);
	const uint64_t *at;
	unsigned samples = 0;

	ck_assert_ptr_nonnull(thread);
	for (size_t bytes = 0; bytes < RING_WORDS; bytes++) {
		void *block = (void *)(0x10000 + bytes * 16);

		record_release(thread, TRACE_EVENT_FREE, block);
		ck_assert(!record_relabel(thread, TRACE_EVENT_NEW, block, bytes, 0));
		if (bytes % 2)
			resident_next = 0;
		record_acquire(thread, TRACE_EVENT_MALLOC, block, bytes, 0, &origin);
		samples += (thread->ring.next[-2] & 0xff) == TRACE_EVENT_RSS;
		at = thread->ring.next - 4;
		if (at[1] != (uintptr_t)block)
			at -= 2;
		ck_assert(!record_relabel(thread, TRACE_EVENT_NEW, (char *)block + 1, bytes, 0));
		ck_assert(record_relabel(thread, TRACE_EVENT_NEW, block, bytes + 1, 6));
		ck_assert_uint_eq(at[0] & 0xff, TRACE_EVENT_NEW);
		ck_assert_uint_eq(at[2], bytes + 1);
		ck_assert_uint_eq(at[3] >> 32, 6);
		ck_assert(record_relabel(thread, TRACE_EVENT_NEW_ARRAY, block, bytes, 0));
		ck_assert_uint_eq(at[0] & 0xff, TRACE_EVENT_NEW_ARRAY);
	}
	ck_assert_uint_ge(samples, RING_WORDS / 2);
	thread_leave();
}
END_TEST

/* So it does where a handler has come in between; a block that was given back since is another. */
START_TEST(relabelled_behind_others)
{
	struct thread *thread = thread_enter(FRAME);
	const uint64_t *at = thread->ring.next;

	record_acquire(thread, TRACE_EVENT_MALLOC, p(0x10), 10, 0, &recorder_origin);
	record_acquire(thread, TRACE_EVENT_CALLOC, p(0x20), 20, 0, &recorder_origin);
	record_realloc(thread, TRACE_EVENT_REALLOC, p(0x20), p(0x30), 30, 1, &recorder_origin);
	record_release(thread, TRACE_EVENT_FREE, p(0x30));
	ck_assert(!record_relabel(thread, TRACE_EVENT_NEW, p(0x20), 1, 0));
	ck_assert(!record_relabel(thread, TRACE_EVENT_NEW, p(0x30), 1, 0));
	ck_assert(record_relabel(thread, TRACE_EVENT_NEW, p(0x10), 11, 4));
	ck_assert_uint_eq(at[0] & 0xff, TRACE_EVENT_NEW);
	ck_assert_uint_eq(at[2], 11);
	ck_assert_uint_eq(at[3] >> 32, 4);
	record_release(thread, TRACE_EVENT_DELETE, p(0x10));
	ck_assert(!record_relabel(thread, TRACE_EVENT_NEW, p(0x10), 1, 0));
	record_acquire(thread, TRACE_EVENT_MALLOC, p(0x10), 10, 0, &recorder_origin);
	record_realloc(thread, TRACE_EVENT_REALLOC, p(0x10), p(0x10), 12, 1, &recorder_origin);
	ck_assert(!record_relabel(thread, TRACE_EVENT_NEW, p(0x10), 1, 0));
	thread_leave();
}
END_TEST

/* What arrives while an event is written is lost, and counted; what we cause ourselves is not. */
START_TEST(nested_is_counted)
{
	struct thread *thread = thread_enter(FRAME);
	uint64_t lost;

	ck_assert_ptr_nonnull(thread);
	lost = thread->lost;
	ck_assert_ptr_null(thread_enter(FRAME - 96));
	ck_assert_uint_eq(thread->lost, lost + 1);
	ck_assert_uint_eq(thread->ring.control->lost_events, lost + 1);
	thread_phase(FRAME | GUARD_OWN);
	ck_assert_ptr_null(thread_enter(FRAME - 96));
	ck_assert_uint_eq(thread->lost, lost + 1);
	thread_leave();
}
END_TEST

/* While the next allocator is at work a handler's calls are events like any. */
START_TEST(nested_in_real_call)
{
	struct thread *thread = thread_enter(FRAME | GUARD_REAL);

	ck_assert_ptr_nonnull(thread);
	ck_assert(thread->sole);
	ck_assert_ptr_eq(thread_enter(FRAME - 96), thread);
	ck_assert_uint_eq(thread_tls.guard, FRAME - 96);
	ck_assert(thread->sole); /* nobody else has come */
	thread_leave();
	thread_phase(FRAME);
	ck_assert_ptr_null(thread_enter(FRAME - 96));
	thread_leave();
}
END_TEST

/* What operator delete calls is a part of it; that costs no system call. */
START_TEST(nested_in_own_call)
{
	struct sock_filter filter[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sigaltstack, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {4, filter};
	struct thread *thread = thread_enter(FRAME | GUARD_OWN);

	ck_assert_ptr_nonnull(thread);
	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
	ck_assert_ptr_null(thread_enter(FRAME - 96));
	ck_assert_uint_eq(thread_tls.guard, FRAME | GUARD_OWN);
	ck_assert_uint_eq(thread->lost, 0);
	thread_leave();
}
END_TEST

/* A hook deeper than one that was jumped out of: only the overwritten frame tells. */
START_TEST(left_behind_above)
{
	_Alignas(16) uintptr_t frames[8] = {0, 1, 0, 0, 0, 1, 0, 0};
	struct thread *thread = thread_enter((uintptr_t)&frames[4]);

	ck_assert_ptr_nonnull(thread);
	ck_assert_ptr_null(thread_enter((uintptr_t)&frames[0]));
	frames[5] = 2;
	ck_assert_ptr_eq(thread_enter((uintptr_t)&frames[0]), thread);
	thread_leave();
}
END_TEST

/* An event half made when a handler jumped away: what was committed stays, the rest is as new. */
START_TEST(recovered)
{
	struct thread *thread = thread_enter(FRAME - 992);
	uint64_t head, events;

	ck_assert_ptr_nonnull(thread);
	record_release(thread, TRACE_EVENT_FREE, (void *)0x1230);
	record_release(thread, TRACE_EVENT_FREE, (void *)0x1240);
	head = thread->ring.control->head;
	events = thread->ring_events;
	thread->ring.next += 4; /* as ring_commit leaves it between its stores */
	thread->ring.head += 4;
	thread->ring_events += 7;
	ck_assert_ptr_eq(thread_enter(FRAME), thread);
	ck_assert_uint_eq(thread->ring.head, head);
	ck_assert_ptr_eq(thread->ring.next,
			 thread->ring.data + (head - thread->ring.control->flushed));
	ck_assert_uint_eq(thread->ring_events, events);
	thread_leave();
}
END_TEST

/* A hook left by longjmp never took its guard away. */
START_TEST(left_behind)
{
	struct thread *thread = thread_enter(FRAME - 992);

	ck_assert_ptr_eq(thread_enter(FRAME), thread);
	ck_assert_uint_eq(thread_tls.guard, FRAME);
	thread_leave();
}
END_TEST

#define STACK_BYTES (2 * 1024 * 1024) /* ThreadSanitizer wants one */

static char *stacks; /* the thread's own, and the handlers' above it */
static struct thread *in_handler, *on_its_own, *higher_up;
static uintptr_t guard_in_handler;

static void handler(int signal)
{
	(void)signal;
	in_handler = thread_enter(FRAME);
	guard_in_handler = thread_tls.guard;
	if (in_handler)
		thread_leave();
}

static void own_handler(int signal)
{
	(void)signal;
	on_its_own = thread_enter(FRAME - 256);
	higher_up = thread_enter(FRAME);
	thread_leave();
}

static void *with_two_stacks(void *unused)
{
	stack_t stack = {.ss_sp = stacks + STACK_BYTES, .ss_size = STACK_BYTES};
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
	struct thread *thread;

	sigaltstack(&stack, NULL);
	sigaction(SIGUSR1, &action, NULL);
	action.sa_handler = own_handler;
	sigaction(SIGUSR2, &action, NULL);
	thread = thread_enter(FRAME);
	ck_assert_ptr_nonnull(thread);
	raise(SIGUSR1);
	ck_assert_uint_eq(thread_tls.guard, FRAME);
	thread_leave();
	raise(SIGUSR2);
	return unused;
}

/*
 * A handler on a stack above that of the hook it interrupted is within the hook all the same: it
 * would else write into an event half made.
 */
START_TEST(handler_on_a_higher_stack)
{
	pthread_attr_t attributes;
	pthread_t thread;

	stacks =
	    mmap(NULL, 2 * STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(stacks, MAP_FAILED);
	in_handler = (void *)1;
	pthread_attr_init(&attributes);
	pthread_attr_setstack(&attributes, stacks, STACK_BYTES);
	ck_assert_int_eq(pthread_create(&thread, &attributes, with_two_stacks, NULL), 0);
	pthread_join(thread, NULL);
	ck_assert_ptr_null(in_handler);
	ck_assert_uint_ne(guard_in_handler, 0);
	ck_assert_ptr_nonnull(on_its_own);
	ck_assert_ptr_eq(higher_up, on_its_own);
}
END_TEST

static void *fork_like(void *unused)
{
	/* What MADV_WIPEONFORK leaves in the child. */
	recorder_generation = GENERATION_FORKED;
	ck_assert_ptr_null(thread_enter(FRAME));
	ck_assert_uint_eq(thread_tls.guard, 0);
	return unused;
}

/* A thread that never recorded forks: the child's first event must be noticed as such. */
START_TEST(forked_by_a_fresh_thread)
{
	pthread_t thread;

	one_event();
	ck_assert_int_eq(pthread_create(&thread, NULL, fork_like, NULL), 0);
	pthread_join(thread, NULL);
}
END_TEST

static void *short_life(void *number)
{
	char name[16];

	snprintf(name, sizeof(name), "short%d", *(int *)number);
	prctl(PR_SET_NAME, name);
	for (int i = 0; i <= *(int *)number; i++)
		one_event();
	return NULL;
}

/* One after the other they share a ring, and each one's events are under its own name. */
START_TEST(short_lives)
{
	struct support_trace trace;
	uint64_t events[300] = {0};
	uint32_t latest = 0; /* thread to have a ring */
	struct view view;

	for (int i = 0; i < 300; i++) {
		pthread_t thread;

		ck_assert_int_eq(pthread_create(&thread, NULL, short_life, &i), 0);
		pthread_join(thread, NULL);
	}
	trace = support_parse("t");
	ck_assert_uint_le(support_count(&trace, TRACE_SEGMENT_RING), 3);
	for (size_t i = 0; i < support_count(&trace, TRACE_SEGMENT_RING); i++) {
		const struct trace_ring *ring =
		    (const void *)support_nth(&trace, TRACE_SEGMENT_RING, i)->payload;

		if (ring->thread > latest)
			latest = ring->thread;
	}
	ck_assert_uint_eq(latest, 299);
	for (size_t i = 0; i < support_count(&trace, TRACE_SEGMENT_EVENTS); i++) {
		const struct trace_events *head =
		    (const void *)support_nth(&trace, TRACE_SEGMENT_EVENTS, i)->payload;
		char name[16];

		ck_assert_uint_lt(head->thread, 300);
		snprintf(name, sizeof(name), "short%u", head->thread);
		ck_assert_str_eq(head->name, name);
		events[head->thread] += head->events;
	}
	for (uint64_t i = 0; i < 300; i++)
		ck_assert_uint_eq(events[i], i + 1);
	support_trace_free(&trace);
	ck_assert_int_eq(view_read("t", &view), 0);
	ck_assert(!view.bad_segments && !view.lost_events && !view.unrecorded_events);
}
END_TEST

static void churn(unsigned number)
{
	(void)number;
	for (int i = 0; i < 20000; i++)
		one_event();
}

START_TEST(eight_threads)
{
	struct support_trace trace;
	uint64_t events = 0;

	for (int round = 0; round < 3; round++)
		support_threads(8, churn);
	trace = support_parse("t");
	for (size_t i = 0; i < support_count(&trace, TRACE_SEGMENT_RING); i++) {
		const struct trace_ring *ring =
		    (const void *)support_nth(&trace, TRACE_SEGMENT_RING, i)->payload;

		events += ring->flushed_events + (ring->head - ring->flushed) / 4;
	}
	ck_assert_uint_eq(events, 3 * 8 * 20000);
	support_trace_free(&trace);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("preload record");
	TCase *tests = tcase_create("record");
	TCase *guard = tcase_create("guard");

	tcase_add_checked_fixture(tests, setup, support_leave);
	tcase_add_checked_fixture(guard, setup, support_leave);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, words_of_events);
	tcase_add_test(tests, many_flushes);
	tcase_add_test(tests, flushes_that_fail);
	tcase_add_test(tests, resident_samples);
	tcase_add_test(tests, short_lives);
	tcase_add_test(tests, eight_threads);
	tcase_add_test(guard, nested);
	tcase_add_test(guard, left_behind);
	tcase_add_test(guard, relabelled);
	tcase_add_test(guard, relabelled_behind_others);
	tcase_add_test(guard, nested_is_counted);
	tcase_add_test(guard, nested_in_real_call);
	tcase_add_test(guard, nested_in_own_call);
	tcase_add_test(guard, left_behind_above);
	tcase_add_test(guard, recovered);
	tcase_add_test(guard, handler_on_a_higher_stack);
	tcase_add_test(guard, forked_by_a_fresh_thread);
	suite_add_tcase(suite, tests);
	suite_add_tcase(suite, guard);
	return support_run(suite);
}
