/*
 * Frees that come late: destructors of thread-specific data, of _Thread_local objects' keys, in
 * several rounds (a destructor that sets its key again), and after main in atexit handlers.
 * "baseline" starts the same threads without the blocks.
 */
#include <pthread.h>

#include "truth.h"

#define THREADS 16
#define BYTES	240

static pthread_key_t key, again;
static struct truth sums;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int idle;
static void *late;

static void give_up(void *block)
{
	truth_free(block, BYTES);
	pthread_mutex_lock(&lock);
	truth_add(&sums, &truth);
	memset(&truth, 0, sizeof(truth));
	pthread_mutex_unlock(&lock);
}

/* Runs in every round of destructors; allocates there until the last. */
static void once_more(void *round)
{
	static __thread int rounds;

	(void)round;
	if (++rounds < 3)
		pthread_setspecific(again, &rounds);
	give_up(truth_malloc(BYTES));
}

static void *worker(void *unused)
{
	if (!idle) {
		pthread_setspecific(key, truth_malloc(BYTES));
		pthread_setspecific(again, &key);
		truth_free(truth_malloc(12), 12);
	}
	return unused;
}

static void at_exit(void)
{
	if (!idle)
		truth_free(late, 99);
	truth_add(&sums, &truth);
	sums.peak_blocks = idle ? 0 : 1; /* threads live one at a time */
	sums.peak_bytes = idle ? 0 : 50000;
	truth_print(1, &sums);
}

int main(int argc, char **argv)
{
	idle = truth_is_baseline(argc, argv);
	atexit(at_exit);
	TRUTH_REQUIRE(!pthread_key_create(&key, give_up) && !pthread_key_create(&again, once_more));
	for (int i = 0; i < THREADS; i++) {
		pthread_t thread;

		TRUTH_REQUIRE(!pthread_create(&thread, NULL, worker, NULL));
		pthread_join(thread, NULL);
	}
	if (!idle) {
		truth_free(truth_malloc(50000), 50000);
		late = truth_malloc(99);
	}
	return 0;
}
