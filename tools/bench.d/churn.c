/*
 * churn PAIRS THREADS DEPTH LIVE: each thread makes PAIRS free/malloc pairs at a call depth of
 * about DEPTH with LIVE blocks alive, and prints the nanoseconds a pair took. Two leaf functions
 * and varying depths give it some dozens of call stacks; all randomness is seeded.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BATCH	    16
#define THREADS_MAX 64
#define KEEP_CALL() __asm__ volatile("") /* what follows a call keeps it from being a jump */

static long pairs = 2000000;
static int threads = 1;
static int depth = 20;
static int live = 1000;

static __thread uint64_t state;

static inline uint32_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16);
}

static __attribute__((noinline)) void churn_small(char **blocks)
{
	for (int i = 0; i < BATCH; i++) {
		uint32_t k = next_random() % (uint32_t)live;

		free(blocks[k]);
		blocks[k] = malloc(16 + (next_random() & 255));
		*(volatile char *)blocks[k] = 1;
	}
}

static __attribute__((noinline)) void churn_large(char **blocks)
{
	for (int i = 0; i < BATCH; i++) {
		uint32_t k = next_random() % (uint32_t)live;

		free(blocks[k]);
		blocks[k] = malloc(32 + (next_random() & 1023));
		*(volatile char *)blocks[k] = 2;
	}
}

static __attribute__((noinline)) void descend(int levels, char **blocks)
{
	volatile char frame[32];

	frame[0] = (char)levels;
	if (levels > 0)
		descend(levels - 1, blocks);
	else if (next_random() & 1)
		churn_small(blocks);
	else
		churn_large(blocks);
	KEEP_CALL();
	(void)frame[0];
}

static void *work(void *number)
{
	char **blocks = calloc((size_t)live, sizeof(*blocks));

	state = 88172645463325252ULL + (uintptr_t)number;
	for (long done = 0; done < pairs; done += BATCH)
		descend(depth + (int)(next_random() & 3), blocks);
	for (int i = 0; i < live; i++)
		free(blocks[i]);
	free(blocks);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t ids[THREADS_MAX];
	struct timespec from, to;

	if (argc > 1)
		pairs = atol(argv[1]);
	if (argc > 2)
		threads = atoi(argv[2]);
	if (argc > 3)
		depth = atoi(argv[3]);
	if (argc > 4)
		live = atoi(argv[4]);
	if (pairs < 1 || threads < 1 || threads > THREADS_MAX || depth < 0 || live < 1) {
		fputs("usage: churn PAIRS THREADS(1..64) DEPTH LIVE\n", stderr);
		return 2;
	}
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (intptr_t i = 0; i < threads; i++)
		pthread_create(&ids[i], NULL, work, (void *)(i + 1));
	for (int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	clock_gettime(CLOCK_MONOTONIC, &to);
	double ns = (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec);
	printf("%.3f s %.2f ns/pair\n", ns * 1e-9, ns / ((double)pairs * threads));
	return 0;
}
