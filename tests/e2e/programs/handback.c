/*
 * One address, two threads: each in turn takes a block and frees it, and the allocator hands the
 * same address to the other. If the release were recorded after the real call, or an acquisition
 * before it, the order would come out wrong and a free would look foreign. Runs for a second.
 * jemalloc and its like keep caches per thread; then addresses differ and the test is weaker.
 *
 * "bursts": the second thread does so for a moment only, and then sleeps until the first one must
 * be taken for the sole recorder. Each of its bursts revokes that in the middle of the other's
 * work.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
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
#define BURST 40

static bool in_bursts;

static void hand_back(void)
{
	void *block = truth_malloc(BYTES);
	void *other = atomic_exchange(&box, block);

	if (other)
		truth_free(other, BYTES);
}

/* Takes the other's block away by a realloc, whose release is noted after the call. */
static void take_away(void)
{
	void *block = atomic_exchange(&box, NULL);
	void *moved;

	if (!block)
		return;
	moved = realloc(block, 3 * BYTES);
	TRUTH_REQUIRE(moved);
	truth_moved(block, BYTES, moved, 3 * BYTES);
	truth_free(moved, 3 * BYTES);
}

static void *worker(void *argument)
{
	bool rests = in_bursts && argument == &sums[1];
	struct timespec rest = {.tv_nsec = 1500000};

	for (unsigned turn = 0; !atomic_load_explicit(&stop, memory_order_relaxed); turn++) {
		if (rests && turn % BURST == 0)
			nanosleep(&rest, NULL);
		if (rests && turn / BURST % 2)
			take_away();
		else
			hand_back();
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
	in_bursts = argc > 1 && strcmp(argv[1], "bursts") == 0;
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
