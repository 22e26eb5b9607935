/*
 * Publishes how many calls it has completed in a shared mapping of the file argv[1], one pair of
 * counters a thread, and works until it is killed. argv[2]: threads. argv[3]: microseconds after
 * which it kills itself; 0: somebody else will. The mapping's first word says that all run. With
 * argv[4], a library to load again and again, threads come and go, too; with argv[5], so many
 * frames deep, stacks are many. SIGUSR2 makes a thread leave what it is at by siglongjmp, and go
 * on.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>

#include "published.h"

#define KEEP	64
#define WAYS	10
#define BURST	50
#define CURRENT 8 /* short threads at once */

static int frames; /* of the recursion before each malloc */

/*
 * Ways to a malloc, as many as WAYS has bits, which part far from it: so that nodes of stacks are
 * many more than stacks.
 */
typedef void *way_to(struct published_thread *self, uint64_t way, int depth, size_t bytes);
static way_to killed_left, killed_right;

#define GO_ON                                                                                      \
	(depth ? (way & 1 ? killed_left : killed_right)(self, way >> 1, depth - 1, bytes)          \
	       : published_malloc(self, bytes))

TRUTH_NOINLINE static void *killed_left(struct published_thread *self, uint64_t way, int depth,
					size_t bytes)
{
	void *block = GO_ON;

	__asm__ volatile("# left" ::: "memory");
	return block;
}

TRUTH_NOINLINE static void *killed_right(struct published_thread *self, uint64_t way, int depth,
					 size_t bytes)
{
	void *block = GO_ON;

	__asm__ volatile("# right" ::: "memory");
	return block;
}

static __thread sigjmp_buf out;
static __thread volatile sig_atomic_t may_jump;

static void leave(int signal)
{
	(void)signal;
	if (may_jump)
		siglongjmp(out, 1);
}

static void *make(struct published_thread *self, uint64_t i)
{
	uint64_t way = (i + (uint64_t)(uintptr_t)self) * 0x9e3779b97f4a7c15U >> (64 - WAYS);

	return killed_left(self, way, frames, i % 200);
}

TRUTH_NOINLINE static void *killed_worker(void *argument)
{
	struct published_thread *self = &published->threads[(intptr_t)argument];
	void *volatile kept[KEEP] = {NULL};
	volatile uint64_t i = 0;

	atomic_fetch_add(&published->running, 1);
	sigsetjmp(out, 1);
	may_jump = 1;
	for (;;) {
		uint64_t now = ++i;
		void *volatile *slot = &kept[now * 7 % KEEP];
		void *block = *slot;

		*slot = NULL; /* a free that was left is not done again */
		if (block)
			published_free(self, block);
		*slot = make(self, now);
	}
	return NULL;
}

/* Each has published what it did when it is gone, and its place is free for another. */
TRUTH_NOINLINE static void *killed_short(void *argument)
{
	struct published_thread *self = argument;

	volatile uint64_t i = 0;

	sigsetjmp(out, 1);
	may_jump = 1;
	while (i < BURST) {
		uint64_t now = i;

		i = now + 1;
		published_free(self, make(self, now));
	}
	may_jump = 0;
	return NULL;
}

static void *make_short_threads(void *unused)
{
	for (;;) {
		pthread_t threads[CURRENT];

		for (int i = 0; i < CURRENT; i++)
			TRUTH_REQUIRE(
			    !pthread_create(&threads[i], NULL, killed_short,
					    &published->threads[PUBLISHED_THREADS - CURRENT + i]));
		for (int i = 0; i < CURRENT; i++)
			pthread_join(threads[i], NULL);
	}
	return unused;
}

static void *load_again(void *path)
{
	for (;;) {
		void *library = dlopen(path, RTLD_NOW);

		TRUTH_REQUIRE(library && dlclose(library) == 0);
	}
	return NULL;
}

static void begin(void *(*life)(void *), void *argument)
{
	pthread_t thread;

	TRUTH_REQUIRE(!pthread_create(&thread, NULL, life, argument));
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = leave};
	int threads = argc > 3 ? atoi(argv[2]) : 0;
	useconds_t wait = argc > 3 ? (useconds_t)atol(argv[3]) : 0;

	if (threads < 1 || threads > PUBLISHED_THREADS)
		return 2;
	sigaction(SIGUSR2, &action, NULL);
	published_open(argv[1]);
	frames = argc > 5 ? atoi(argv[5]) : 0;
	if (argc > 4) {
		begin(make_short_threads, NULL);
		begin(load_again, argv[4]);
	}
	for (int i = wait ? 0 : 1; i < threads; i++)
		begin(killed_worker, (void *)(intptr_t)i);
	if (!wait)
		killed_worker(NULL);
	usleep(wait);
	kill(getpid(), SIGKILL);
	return 0;
}
