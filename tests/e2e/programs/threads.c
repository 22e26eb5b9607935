/*
 * Eight threads. In the churn phase each takes blocks and puts them into its neighbours' queues,
 * who release them: almost every block is freed by another thread than its own. The hold phase
 * makes the peak known: after a barrier, with nothing live, each thread takes HOLD blocks and frees
 * none before the next barrier; that is more than the queues can ever hold. Then each frees its
 * neighbour's, but keeps one in sixteen for ever.
 *
 * "baseline" runs the same threads through the same barriers without a call.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "truth.h"

#define THREADS	    8
#define ROUNDS	    10000
#define QUEUE	    64
#define CHURN_BYTES 512 /* at most */
#define HOLD	    1000
#define HOLD_BYTES  600 /* HOLD * HOLD_BYTES > (QUEUE + 1) * CHURN_BYTES */

struct item {
	void *block;
	size_t bytes;
};

/* One producer, one consumer: thread t puts into queues[t][u], thread u takes out. */
static struct queue {
	_Atomic size_t in, out;
	struct item items[QUEUE / THREADS];
} queues[THREADS][THREADS];

static struct item held[THREADS][HOLD];
static struct truth sums[THREADS];
static pthread_barrier_t barrier;
static _Atomic int churning = THREADS;
static int idle;

/* Memory orders: release publishes the item, acquire takes it over. */
static int put(struct queue *queue, struct item item)
{
	size_t in = atomic_load_explicit(&queue->in, memory_order_relaxed);

	if (in - atomic_load_explicit(&queue->out, memory_order_acquire) == QUEUE / THREADS)
		return 0;
	queue->items[in % (QUEUE / THREADS)] = item;
	atomic_store_explicit(&queue->in, in + 1, memory_order_release);
	return 1;
}

static int take(struct queue *queue, struct item *item)
{
	size_t out = atomic_load_explicit(&queue->out, memory_order_relaxed);

	if (out == atomic_load_explicit(&queue->in, memory_order_acquire))
		return 0;
	*item = queue->items[out % (QUEUE / THREADS)];
	atomic_store_explicit(&queue->out, out + 1, memory_order_release);
	return 1;
}

static void drain(int self)
{
	struct item item;

	for (int from = 0; from < THREADS; from++)
		while (take(&queues[from][self], &item))
			truth_free(item.block, item.bytes);
}

static void churn(int self)
{
	uint64_t state = 1234567 + (uint64_t)self * 7919;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t r = truth_random(&state);
		struct item item = {NULL, r % CHURN_BYTES};

		item.block = truth_malloc(item.bytes);
		if (r >> 60 == 0) {
			uintptr_t old = (uintptr_t)item.block;

			item.block = realloc(item.block, CHURN_BYTES);
			truth_moved((void *)old, item.bytes, item.block, CHURN_BYTES);
			item.bytes = CHURN_BYTES;
		}
		while (!put(&queues[self][(r >> 32) % THREADS], item)) {
			drain(self);
			sched_yield();
		}
	}
	atomic_fetch_sub(&churning, 1);
	while (atomic_load(&churning)) /* others may wait for room in our queues */
		drain(self), sched_yield();
}

static void *worker(void *argument)
{
	int self = (int)(intptr_t)argument;
	struct item *mine = held[self], *theirs = held[(self + 1) % THREADS];

	pthread_barrier_wait(&barrier);
	if (!idle)
		churn(self);
	pthread_barrier_wait(&barrier); /* nobody puts any more */
	drain(self);
	pthread_barrier_wait(&barrier); /* nothing is live */
	for (int i = 0; i < HOLD && !idle; i++) {
		mine[i].block = truth_malloc(HOLD_BYTES);
		mine[i].bytes = HOLD_BYTES;
	}
	pthread_barrier_wait(&barrier); /* the peak */
	for (int i = 0; i < HOLD && !idle; i++)
		if (i % 16)
			truth_free(theirs[i].block, theirs[i].bytes);
	pthread_barrier_wait(&barrier);
	sums[self] = truth;
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	struct truth all = {0};

	idle = truth_is_baseline(argc, argv);
	TRUTH_REQUIRE((size_t)HOLD * HOLD_BYTES > (size_t)(QUEUE + 1) * CHURN_BYTES);
	TRUTH_REQUIRE(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
	for (int i = 0; i < THREADS; i++)
		TRUTH_REQUIRE(!pthread_create(&threads[i], NULL, worker, (void *)(intptr_t)i));
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < THREADS; i++)
		truth_add(&all, &sums[i]);
	all.peak_blocks = idle ? 0 : THREADS * HOLD;
	all.peak_bytes = all.peak_blocks * HOLD_BYTES;
	truth_note(",\"threads\":%d,\"unknown\":[\"temporary\"]", THREADS + 1);
	truth_print(1, &all);
	return 0;
}
