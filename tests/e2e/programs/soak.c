/*
 * All at once, for argv[1] seconds: eight threads that malloc, calloc, realloc and free, mostly
 * each other's blocks; a timer's signals at 1 kHz; short threads; forks; a library (argv[2]) loaded
 * and unloaded. The working set is bounded and so is the rate, about argv[3] rounds a second and
 * thread. Children's truths go to the directory argv[4].
 */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "truth.h"

#define THREADS	     8
#define SLOTS	     4096
#define LARGEST	     2000
#define TICK_NS	     1000000 /* of a thread's sleep */
#define FORK_EVERY   500     /* ticks of the main thread */
#define LOAD_EVERY   20
#define THREAD_EVERY 50

struct block {
	size_t bytes;
};

static _Atomic(struct block *) slots[SLOTS];
static struct truth ledgers[THREADS];
static struct truth sums;
static atomic_ulong signals_handled;
static long rounds_a_tick;
static double end_at;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void on_timer(int signal)
{
	(void)signal;
	atomic_fetch_add(&signals_handled, 1);
}

static void sleep_a_tick(void)
{
	struct timespec tick = {0, TICK_NS};

	nanosleep(&tick, NULL);
}

static struct block *make(uint64_t *random)
{
	size_t bytes = sizeof(struct block) + truth_random(random) % LARGEST;
	struct block *block = truth_random(random) % 4 ? malloc(bytes) : calloc(1, bytes);

	TRUTH_REQUIRE(block);
	truth_got(block, bytes);
	block->bytes = bytes;
	return block;
}

static void drop(struct block *block)
{
	if (block)
		truth_free(block, block->bytes);
}

static struct block *change(struct block *block, uint64_t *random)
{
	size_t bytes = sizeof(struct block) + truth_random(random) % LARGEST;
	size_t old_bytes = block->bytes;
	struct block *moved = realloc(block, bytes);

	TRUTH_REQUIRE(moved);
	truth_moved(block, old_bytes, moved, bytes);
	moved->bytes = bytes;
	return moved;
}

static void one_round(uint64_t *random)
{
	_Atomic(struct block *) *slot = &slots[truth_random(random) % SLOTS];
	struct block *block;

	switch (truth_random(random) % 4) {
	case 0:
		block = atomic_exchange(slot, NULL);
		if (block)
			drop(atomic_exchange(slot, change(block, random)));
		break;
	case 1:
		drop(make(random));
		break;
	default:
		drop(atomic_exchange(slot, make(random)));
	}
}

static void *work(void *ledger)
{
	uint64_t random = (uint64_t)(uintptr_t)ledger | 1;

	while (now() < end_at) {
		for (long i = 0; i < rounds_a_tick; i++)
			one_round(&random);
		sleep_a_tick();
	}
	*(struct truth *)ledger = truth;
	return NULL;
}

static void *live_short(void *ledger)
{
	truth_free(truth_malloc(33), 33);
	*(struct truth *)ledger = truth;
	return NULL;
}

static void run_short(void)
{
	static struct truth ledger;
	pthread_t thread;

	TRUTH_REQUIRE(!pthread_create(&thread, NULL, live_short, &ledger));
	pthread_join(thread, NULL);
	truth_add(&sums, &ledger);
}

static void load(const char *path)
{
	void *library = dlopen(path, RTLD_NOW);

	void *(*allocate)(size_t) = library ? dlsym(library, "plugin_allocate") : NULL;

	TRUTH_REQUIRE(allocate);
	free(allocate(12));
	TRUTH_REQUIRE(dlclose(library) == 0);
}

/* Numbers of processes come again in a long soak. */
static void have_child(const char *directory)
{
	static unsigned number;
	char name[32];
	pid_t child;
	int status;

	snprintf(name, sizeof(name), "child%u", number++);
	child = fork();

	if (child == 0) {
		void *kept;

		memset(&truth, 0, sizeof(truth));
		kept = truth_malloc(70);
		truth_free(truth_malloc(80), 80);
		truth_save(directory, name, &truth);
		_exit(kept ? 0 : 1);
	}
	TRUTH_REQUIRE(child > 0);
	while (waitpid(child, &status, 0) != child)
		continue;
	TRUTH_REQUIRE(status == 0);
}

static void set_timer(int interval)
{
	struct itimerval timer = {{0, interval}, {0, interval}};

	setitimer(ITIMER_REAL, &timer, NULL);
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
	pthread_t threads[THREADS];

	if (argc != 5)
		return 2;
	end_at = now() + atof(argv[1]);
	rounds_a_tick = atol(argv[3]) * TICK_NS / 1000000000;
	sigaction(SIGALRM, &action, NULL);
	set_timer(1000);
	for (int i = 0; i < THREADS; i++)
		TRUTH_REQUIRE(!pthread_create(&threads[i], NULL, work, &ledgers[i]));
	for (unsigned tick = 1; now() < end_at; tick++) {
		sleep_a_tick();
		if (tick % FORK_EVERY == 0)
			have_child(argv[4]);
		if (tick % LOAD_EVERY == 0)
			load(argv[2]);
		if (tick % THREAD_EVERY == 0)
			run_short();
	}
	set_timer(0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		truth_add(&sums, &ledgers[i]);
	}
	truth_note(",\"unknown\":[\"peak_bytes\",\"peak_blocks\",\"temporary\"]");
	truth_note(",\"signals\":%lu", atomic_load(&signals_handled));
	truth_print(1, &sums);
	return 0;
}
