/* A recording from its first event on: started, paused, forked, refused. */
#include "lifecycle.h"

#include <dlfcn.h>
#include <signal.h>
#include <sys/wait.h>

#include "modules.h"
#include "preload_support.h"
#include "preload_view.h"
#include "record.h"

static const struct unwind_origin somewhere = {0x1234, 0, 0};
static struct view view;

static void setup(void)
{
	support_enter();
	clearenv();
	setenv("MEMPROF_OUT", "t%p", 1);
	setenv("MEMPROF_QUIET", "1", 1);
	setenv("MEMPROF_UNWIND", "fp", 1);
}

static bool event(void)
{
	struct thread *thread = thread_enter((uintptr_t)__builtin_frame_address(0));

	if (thread) {
		record_release(thread, TRACE_EVENT_FREE, &somewhere);
		thread_leave();
	}
	return thread != NULL;
}

/* Words in the rings of the trace of process `pid`, two an event; -1: it has no trace. */
static int words_of(pid_t pid)
{
	char path[32];
	struct support_trace trace;
	uint64_t words = 0;

	snprintf(path, sizeof(path), "t%d", pid);
	if (access(path, F_OK) < 0)
		return -1;
	trace = support_parse(path);
	for (size_t i = 0; i < support_count(&trace, TRACE_SEGMENT_RING); i++)
		words += ((const struct trace_ring *)(const void *)support_nth(
			      &trace, TRACE_SEGMENT_RING, i)
			      ->payload)
			     ->head;
	support_trace_free(&trace);
	return (int)words;
}

START_TEST(first_event)
{
	ck_assert(!lifecycle_is_recording());
	ck_assert(event());
	ck_assert(event());
	ck_assert(lifecycle_is_recording());
	/* The first one came with a look at the resident size. */
	ck_assert_int_eq(words_of(getpid()), 6);
}
END_TEST

START_TEST(bad_option)
{
	setenv("MEMPROF_DEPTH", "many", 1);
	ck_assert(!event());
	ck_assert(!event());
	lifecycle_resume();
	ck_assert(!event());
	ck_assert_int_eq(words_of(getpid()), -1);
	ck_assert_uint_eq(thread_tls.guard, 0);
}
END_TEST

START_TEST(bad_place)
{
	setenv("MEMPROF_OUT", "no/such/folder/t", 1);
	ck_assert(!event());
	ck_assert(!event());
	ck_assert(!lifecycle_is_recording());
}
END_TEST

START_TEST(dormant)
{
	setenv("MEMPROF_START", "0", 1);
	ck_assert(!event());
	ck_assert_int_eq(words_of(getpid()), -1);
	lifecycle_resume();
	ck_assert(event());
	ck_assert_uint_eq(trace_file_header()->flags, TRACE_FLAG_DORMANT_START);
}
END_TEST

START_TEST(paused)
{
	int words;

	ck_assert(event());
	words = words_of(getpid());
	lifecycle_pause();
	ck_assert(!event());
	ck_assert(!lifecycle_is_recording());
	ck_assert_int_eq(words_of(getpid()), words);
	lifecycle_resume();
	ck_assert(event());
	ck_assert_int_gt(words_of(getpid()), words);
}
END_TEST

/* What went while nobody looked must not answer for what is loaded there next. */
START_TEST(unloaded_while_paused)
{
	void *library = dlopen(PLUGIN_SMALL, RTLD_NOW | RTLD_LOCAL);
	char path[32];

	ck_assert_ptr_nonnull(library);
	ck_assert(event());
	modules_note((uintptr_t)dlsym(library, "plugin_call"));
	lifecycle_pause();
	ck_assert_int_eq(dlclose(library), 0);
	lifecycle_resume();
	snprintf(path, sizeof(path), "t%d", getpid());
	ck_assert_int_eq(view_read(path, &view), 0);
	ck_assert_uint_eq(view.unloads, 1);
}
END_TEST

START_TEST(disabled)
{
	ck_assert(event());
	lifecycle_disable("a test");
	ck_assert(!event());
	lifecycle_resume();
	ck_assert(!event());
}
END_TEST

/* Forks a child that has `events` events; its pid when it is gone. */
static pid_t forked_child(int events, bool wanted)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		for (int i = 0; i < events; i++)
			if (event() != wanted)
				_exit(1);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	return child;
}

START_TEST(forks)
{
	int words;

	ck_assert(event());
	words = words_of(getpid());
	ck_assert_int_eq(words_of(forked_child(3, true)), 2 * 3 + 2);
	ck_assert_int_eq(words_of(forked_child(0, true)), -1);
	lifecycle_pause();
	ck_assert_int_eq(words_of(forked_child(3, false)), -1);
	ck_assert_int_eq(words_of(getpid()), words);
}
END_TEST

static void *fork_and_wait(void *unused)
{
	pid_t child = fork();
	int status = 1;

	if (child == 0)
		_exit(event() && event() ? 0 : 1);
	waitpid(child, &status, 0);
	return status ? &view : unused;
}

/* A thread of the smallest stack there is may be the one that forks. */
START_TEST(forks_on_a_small_stack)
{
	pthread_attr_t attributes;
	pthread_t thread;
	void *failed;

	ck_assert(event());
	pthread_attr_init(&attributes);
	ck_assert_int_eq(pthread_attr_setstacksize(&attributes, (size_t)PTHREAD_STACK_MIN), 0);
	ck_assert_int_eq(pthread_create(&thread, &attributes, fork_and_wait, NULL), 0);
	pthread_join(thread, &failed);
	ck_assert_ptr_null(failed);
}
END_TEST

START_TEST(children_not_wanted)
{
	setenv("MEMPROF_CHILDREN", "0", 1);
	setenv("LD_PRELOAD", "/a/b.so:/x/libmemprof.so /c.so", 1);
	ck_assert(event());
	ck_assert_str_eq(getenv("LD_PRELOAD"), "/a/b.so:/c.so");
	unsetenv("LD_PRELOAD");
	ck_assert_int_eq(words_of(forked_child(3, false)), -1);
	ck_assert(event());
}
END_TEST

START_TEST(ends)
{
	ck_assert(event());
	lifecycle_exec();
	ck_assert_uint_eq(trace_file_header()->end, TRACE_END_EXEC);
	lifecycle_exec_failed();
	ck_assert_uint_eq(trace_file_header()->end, TRACE_END_NONE);
	ck_assert(event());
	lifecycle_exit(0x103);
	ck_assert_uint_eq(trace_file_header()->end, TRACE_END_EXIT);
	ck_assert_int_eq(trace_file_header()->end_status, 3);
	ck_assert_uint_gt(trace_file_header()->peak_rss_bytes, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("preload lifecycle");
	TCase *tests = tcase_create("lifecycle");

	tcase_add_checked_fixture(tests, setup, support_leave);
	tcase_add_test(tests, first_event);
	tcase_add_test(tests, bad_option);
	tcase_add_test(tests, bad_place);
	tcase_add_test(tests, dormant);
	tcase_add_test(tests, paused);
	tcase_add_test(tests, unloaded_while_paused);
	tcase_add_test(tests, disabled);
	tcase_add_test(tests, forks);
	tcase_add_test(tests, forks_on_a_small_stack);
	tcase_add_test(tests, children_not_wanted);
	tcase_add_test(tests, ends);
	suite_add_tcase(suite, tests);
	return support_run(suite);
}
