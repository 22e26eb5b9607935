/*
 * Threads that are interrupted, cancelled, short-lived and many. argv[1] says how, argv[2] how
 * many. To be run over safe_alloc where a call may be left half-way: "calls" are then mallocs and
 * frees that returned, one instruction each, so that a call that was left is in the report or not.
 *
 *   timers N     4 threads, a timer of its own each at 1 kHz, whose handler allocates; N rounds
 *   jumps N      the same, and every 16th handler leaves by siglongjmp
 *   deferred N   N threads cancelled where they sleep, between their calls
 *   async N      N threads cancelled anywhere
 *   handler N    N threads whose handler ends them by pthread_exit, anywhere
 *   short N      N threads, 8 at a time, whose destructors free what they made
 *   live N       N threads that live all at once
 *   starved N    N blocks; then a thread begins where nothing more can be mapped, and N more
 */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#include "truth.h"

#define KEPT	   64
#define TIMED	   4
#define JUMP_EVERY 16
#define AT_ONCE	   8

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static atomic_ullong calls;
static atomic_ullong handled;
static unsigned long count;
static int jumps;
static struct truth sums;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *call_malloc(size_t bytes)
{
	void *block = malloc(bytes);

	atomic_fetch_add(&calls, 1);
	return block;
}

static void call_free(void *block)
{
	if (!block)
		return;
	free(block);
	atomic_fetch_add(&calls, 1);
}

struct timed {
	sigjmp_buf out;
	volatile sig_atomic_t may_jump;
	volatile unsigned long handled;
	void *volatile kept;
	void *slots[KEPT];
	volatile unsigned long i;
};

static __thread struct timed timed __attribute__((tls_model("initial-exec")));

static void on_timer(int signal)
{
	void *block = call_malloc(100);

	(void)signal;
	call_free(timed.kept);
	timed.kept = block;
	atomic_fetch_add(&handled, 1);
	if (timed.may_jump && ++timed.handled % JUMP_EVERY == 0)
		siglongjmp(timed.out, 1);
}

static timer_t begin_timer(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};
	struct itimerspec every = {{0, 1000000}, {0, 1000000}};
	timer_t timer;

	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	TRUTH_REQUIRE(!timer_create(CLOCK_MONOTONIC, &event, &timer));
	TRUTH_REQUIRE(!timer_settime(timer, 0, &every, NULL));
	return timer;
}

static void one_round(void **slot, unsigned long i)
{
	if (*slot) { /* not after a jump out of its malloc */
		void *block = *slot;

		*slot = NULL;
		call_free(block);
	}
	*slot = call_malloc(i % 500);
}

static void *be_timed(void *unused)
{
	timer_t timer = begin_timer();

	sigsetjmp(timed.out, 1);
	timed.may_jump = jumps;
	while (timed.i < count) {
		unsigned long now = timed.i;

		timed.i = now + 1;
		one_round(&timed.slots[now % KEPT], now);
	}
	timed.may_jump = 0;
	timer_delete(timer);
	return unused;
}

static void run_timers(void)
{
	struct sigaction action = {.sa_handler = on_timer};
	pthread_t threads[TIMED];

	sigaction(SIGRTMIN, &action, NULL);
	for (int i = 0; i < TIMED; i++)
		TRUTH_REQUIRE(!pthread_create(&threads[i], NULL, be_timed, NULL));
	for (int i = 0; i < TIMED; i++)
		pthread_join(threads[i], NULL);
}

static void run_jumps(void)
{
	jumps = 1;
	run_timers();
}

/* The rest of a cancelled thread's life: a cleanup handler and a destructor that free. */
static pthread_key_t key;

static void clean_up(void *block)
{
	call_free(block);
}

static void work_for_ever(int deferred)
{
	void *slots[KEPT] = {NULL};

	for (unsigned long i = 0;; i++) {
		one_round(&slots[i % KEPT], i);
		if (deferred && i % 100 == 99)
			usleep(10);
	}
}

static void *be_cancelled(void *deferred)
{
	int type = deferred ? PTHREAD_CANCEL_DEFERRED : PTHREAD_CANCEL_ASYNCHRONOUS;

	pthread_cleanup_push(clean_up, call_malloc(33));
	pthread_setspecific(key, call_malloc(44));
	pthread_setcanceltype(type, NULL);
	work_for_ever(deferred != NULL);
	pthread_cleanup_pop(0);
	return NULL;
}

static void cancel_all(void *deferred)
{
	pthread_key_create(&key, clean_up);
	for (unsigned long i = 0; i < count; i++) {
		pthread_t thread;

		TRUTH_REQUIRE(!pthread_create(&thread, NULL, be_cancelled, deferred));
		usleep(100 + i % 7 * 30);
		pthread_cancel(thread);
		pthread_join(thread, NULL);
	}
}

static void run_deferred(void)
{
	cancel_all(&key);
}

static void run_async(void)
{
	cancel_all(NULL);
}

static void leave(int signal)
{
	(void)signal;
	pthread_exit(NULL);
}

static void *be_ended(void *started)
{
	pthread_setspecific(key, call_malloc(44));
	sem_post(started);
	work_for_ever(0);
	return NULL;
}

static void run_handler(void)
{
	struct sigaction action = {.sa_handler = leave};
	sem_t started;

	sem_init(&started, 0, 0);
	pthread_key_create(&key, clean_up);
	sigaction(SIGUSR1, &action, NULL);
	for (unsigned long i = 0; i < count; i++) {
		pthread_t thread;

		TRUTH_REQUIRE(!pthread_create(&thread, NULL, be_ended, &started));
		sem_wait(&started);
		usleep(i % 7 * 30);
		pthread_kill(thread, SIGUSR1);
		pthread_join(thread, NULL);
	}
}

static void close_ledger(void *block)
{
	truth_free(block, 240);
	truth_free(truth_malloc(50), 50);
	pthread_mutex_lock(&lock);
	truth_add(&sums, &truth);
	pthread_mutex_unlock(&lock);
	memset(&truth, 0, sizeof(truth));
}

static void live_short(void)
{
	pthread_setspecific(key, truth_malloc(240));
	for (size_t i = 1; i < 20; i++)
		truth_free(truth_malloc(i), i);
	truth_malloc(7); /* stays */
}

static void *be_short(void *unused)
{
	live_short();
	return unused;
}

static void run_short(void)
{
	pthread_key_create(&key, close_ledger);
	for (unsigned long done = 0; done < count; done += AT_ONCE) {
		pthread_t threads[AT_ONCE];

		for (int i = 0; i < AT_ONCE; i++)
			TRUTH_REQUIRE(!pthread_create(&threads[i], NULL, be_short, NULL));
		for (int i = 0; i < AT_ONCE; i++)
			pthread_join(threads[i], NULL);
	}
}

static pthread_barrier_t all_live;

static void *be_live(void *unused)
{
	live_short();
	pthread_barrier_wait(&all_live);
	live_short();
	return unused;
}

static void run_live(void)
{
	static pthread_t threads[65536];
	pthread_attr_t small;

	TRUTH_REQUIRE(count <= sizeof(threads) / sizeof(*threads));
	pthread_key_create(&key, close_ledger);
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 65536);
	pthread_barrier_init(&all_live, NULL, (unsigned)count);
	for (unsigned long i = 0; i < count; i++)
		TRUTH_REQUIRE(!pthread_create(&threads[i], &small, be_live, NULL));
	for (unsigned long i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

/* Small enough for what the heap has in hand. */
static void *live_starved(void *unused)
{
	for (int i = 0; i < 10; i++)
		free(malloc(20));
	return unused;
}

static rlim_t mapped_now(void)
{
	char text[64] = "";
	int fd = open("/proc/self/statm", O_RDONLY);

	TRUTH_REQUIRE(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strtoul(text, NULL, 10) * (rlim_t)sysconf(_SC_PAGESIZE);
}

static void run_starved(void)
{
	struct rlimit limit, all;
	pthread_attr_t own_stack;
	pthread_t thread;
	void *stack =
	    mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TRUTH_REQUIRE(stack != MAP_FAILED);
	pthread_attr_init(&own_stack);
	pthread_attr_setstack(&own_stack, stack, 1 << 20);
	for (unsigned long i = 0; i < count; i++)
		truth_malloc(30);
	getrlimit(RLIMIT_AS, &all);
	limit = (struct rlimit){mapped_now(), all.rlim_max};
	setrlimit(RLIMIT_AS, &limit);
	TRUTH_REQUIRE(!pthread_create(&thread, &own_stack, live_starved, NULL));
	pthread_join(thread, NULL);
	setrlimit(RLIMIT_AS, &all);
	for (unsigned long i = 0; i < count; i++)
		malloc(30);
	truth_add(&sums, &truth);
}

static const struct {
	const char *name;
	void (*run)(void);
} ways[] = {
    {"timers", run_timers}, {"jumps", run_jumps},     {"deferred", run_deferred},
    {"async", run_async},   {"handler", run_handler}, {"short", run_short},
    {"live", run_live},	    {"starved", run_starved},
};

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	count = strtoul(argv[2], NULL, 10);
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		if (strcmp(argv[1], ways[i].name) == 0)
			ways[i].run();
	truth_note(",\"calls\":%llu,\"handled\":%llu", atomic_load(&calls), atomic_load(&handled));
	truth_note(",\"unknown\":[\"peak_bytes\",\"peak_blocks\",\"temporary\"]");
	truth_print(1, &sums);
	return 0;
}
