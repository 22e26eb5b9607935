/*
 * One address, two threads: each in turn takes a block and frees it, and the allocator hands the
 * same address to the other. If the release were recorded after the real call, or an acquisition
 * before it, the order would come out wrong and a free would look foreign. Runs for a second.
 * jemalloc and its like keep caches per thread; then addresses differ and the test is weaker.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "truth.h"

static _Atomic(void *) box;
static atomic_int stop;
static struct truth sums[2];

/*
 * Large enough to go past the thread caches of glibc: both threads draw on one arena. Each block
 * may be freed by the thread that finds it in the box.
 */
#define BYTES 3000

static void *worker(void *argument)
{
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		void *block = truth_malloc(BYTES);
		void *other = atomic_exchange(&box, block);

		if (other)
			truth_free(other, BYTES);
	}
	*(struct truth *)argument = truth;
	return NULL;
}

int main(int argc, char **argv)
{
	struct timespec second = {.tv_sec = 1};
	struct truth all = {0};
	pthread_t threads[2];

	if (truth_is_baseline(argc, argv)) {
		atomic_store(&stop, 1);
		second.tv_sec = 0;
	}
	for (int i = 0; i < 2; i++)
		TRUTH_REQUIRE(!pthread_create(&threads[i], NULL, worker, &sums[i]));
	nanosleep(&second, NULL);
	atomic_store(&stop, 1);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		truth_add(&all, &sums[i]);
	}
	if (atomic_load(&box)) {
		memset(&truth, 0, sizeof(truth));
		truth_free(atomic_load(&box), BYTES);
		truth_add(&all, &truth);
	}
	truth_note(",\"unknown\":[\"peak_bytes\",\"peak_blocks\",\"temporary\"]");
	truth_print(1, &all);
	return 0;
}
