/*
 * Publishes how many calls it has completed in a shared mapping of the file argv[1], one pair of
 * counters a thread, and works until it is killed. argv[2]: threads. argv[3]: microseconds after
 * which it kills itself; 0: somebody else will. The mapping's first word says that all run.
 */
#include <pthread.h>
#include <signal.h>

#include "published.h"

#define KEEP 64

TRUTH_NOINLINE static void *killed_worker(void *argument)
{
	struct published_thread *self = &published->threads[(intptr_t)argument];
	void *kept[KEEP] = {NULL};

	atomic_fetch_add(&published->running, 1);
	for (uint64_t i = 1;; i++) {
		void **slot = &kept[i * 7 % KEEP];

		if (*slot)
			published_free(self, *slot);
		*slot = published_malloc(self, i % 200);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int threads = argc > 3 ? atoi(argv[2]) : 0;
	useconds_t wait = argc > 3 ? (useconds_t)atol(argv[3]) : 0;

	if (threads < 1 || threads > PUBLISHED_THREADS)
		return 2;
	published_open(argv[1]);
	for (int i = wait ? 0 : 1; i < threads; i++) {
		pthread_t thread;

		TRUTH_REQUIRE(!pthread_create(&thread, NULL, killed_worker, (void *)(intptr_t)i));
	}
	if (!wait)
		killed_worker(NULL);
	usleep(wait);
	kill(getpid(), SIGKILL);
	return 0;
}
