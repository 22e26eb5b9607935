/*
 * Known counts and stacks: threads that allocate, a handler that does, blocks that move; its own
 * counts as JSON.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 4
#define ROUNDS	20000
#define SIGNALS 500
#define KEPT	5000 /* bytes, by each thread */

static atomic_long allocations, bytes, frees;

static __attribute__((noinline)) void *allocate(size_t size)
{
	void *block = malloc(size);

	__asm__ volatile("" : : "r"(block) : "memory");
	allocations++;
	bytes += (long)size;
	return block;
}

static __attribute__((noinline)) void release(void *block)
{
	free(block);
	frees++;
}

static __attribute__((noinline)) void nest(int depth, size_t size)
{
	volatile char pad[32];

	pad[0] = (char)depth;
	if (depth > 0)
		nest(depth - 1, size);
	else
		release(allocate(size));
	(void)pad[0];
}

static void handler(int number)
{
	release(allocate((size_t)number));
}

static __attribute__((noinline)) void interrupted(void)
{
	raise(SIGUSR1);
	__asm__ volatile("");
}

static void *work(void *unused)
{
	(void)unused;
	for (int i = 0; i < ROUNDS; i++)
		nest(i % 11, (size_t)(i % 100 + 200));
	return allocate(KEPT);
}

int main(void)
{
	pthread_t threads[THREADS];
	char *block;

	signal(SIGUSR1, handler);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, work, NULL);
	for (int i = 0; i < SIGNALS; i++)
		interrupted();
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	block = allocate(11);
	block = realloc(block, 22222);
	__asm__ volatile("" : : "r"(block) : "memory");
	printf("{\"allocations\": %ld, \"bytes\": %ld, \"frees\": %ld, \"kept\": %d}\n",
	       (long)allocations, (long)bytes, (long)frees, KEPT);
	fflush(stdout);
	_Exit(0);
}
