/*
 * Publishes how many calls it has completed in a shared mapping of the file argv[1], one pair of
 * counters a thread, and works until it is killed. argv[2]: threads. argv[3]: microseconds after
 * which it kills itself; 0: somebody else will. The mapping's first word says that all run.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "truth.h"

#define THREADS 64
#define KEEP	64

static struct {
	_Alignas(64) _Atomic uint64_t running;
	struct {
		_Alignas(64) _Atomic uint64_t allocated; /* after each malloc; release */
		_Atomic uint64_t freed;
	} threads[THREADS];
} * published;

TRUTH_NOINLINE static void *killed_worker(void *argument)
{
	size_t self = (size_t)(intptr_t)argument;
	void *kept[KEEP] = {NULL};

	atomic_fetch_add(&published->running, 1);
	for (uint64_t i = 1;; i++) {
		void **slot = &kept[i * 7 % KEEP];

		if (*slot) {
			free(*slot);
			atomic_fetch_add_explicit(&published->threads[self].freed, 1,
						  memory_order_release);
		}
		*slot = malloc(i % 200);
		atomic_store_explicit(&published->threads[self].allocated, i, memory_order_release);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int threads = argc > 3 ? atoi(argv[2]) : 0, fd;
	useconds_t wait = argc > 3 ? (useconds_t)atol(argv[3]) : 0;

	if (threads < 1 || threads > THREADS)
		return 2;
	fd = open(argv[1], O_RDWR | O_CREAT, 0600);
	TRUTH_REQUIRE(fd >= 0 && ftruncate(fd, sizeof(*published)) == 0);
	published = mmap(NULL, sizeof(*published), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TRUTH_REQUIRE(published != MAP_FAILED);
	close(fd);
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
