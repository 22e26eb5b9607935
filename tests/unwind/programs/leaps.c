/*
 * Control that leaves its stack: longjmp, ucontext coroutines that switch between allocations on
 * stacks from mmap and malloc, signal handlers on the normal and on an alternate stack, threads
 * with the smallest stacks there are.
 *
 *     leaps ROUNDS
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define COROUTINES  12
#define STACK_BYTES 32768

static ucontext_t main_context, contexts[COROUTINES];
static int rounds;

static void *keep(void *block)
{
	__asm__ volatile("" : : "r"(block) : "memory");
	return block;
}

static __attribute__((noinline)) void allocate(size_t bytes)
{
	free(keep(malloc(bytes)));
	__asm__ volatile("");
}

static jmp_buf target;

static __attribute__((noinline)) void dive(int depth)
{
	volatile char pad[24];

	pad[0] = (char)depth;
	allocate((size_t)depth + 1);
	if (depth == 0)
		longjmp(target, 1);
	dive(depth - 1);
	(void)pad[0];
}

static void leap(void)
{
	for (int i = 0; i < rounds; i++) {
		if (setjmp(target) == 0)
			dive(i % 17);
		allocate(3);
	}
}

static __attribute__((noinline)) void work(int number, int depth)
{
	volatile char pad[40];

	pad[0] = (char)depth;
	allocate((size_t)(number + 1));
	if (depth > 0)
		work(number, depth - 1);
	else
		swapcontext(&contexts[number], &main_context);
	allocate((size_t)(depth + 1));
	(void)pad[0];
}

static void coroutine(int number)
{
	for (;;)
		work(number, number % 5 + 1);
}

static void *new_stack(int number)
{
	char *memory;

	if (number % 2)
		return malloc(STACK_BYTES);
	memory = mmap(NULL, STACK_BYTES + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(memory + 4096, STACK_BYTES, PROT_READ | PROT_WRITE);
	return memory + 4096; /* pages that cannot be read on both sides */
}

static void switch_about(void)
{
	for (int i = 0; i < COROUTINES; i++) {
		getcontext(&contexts[i]);
		contexts[i].uc_stack.ss_sp = new_stack(i);
		contexts[i].uc_stack.ss_size = STACK_BYTES;
		contexts[i].uc_link = &main_context;
		makecontext(&contexts[i], (void (*)(void))coroutine, 1, i);
	}
	for (int i = 0; i < rounds; i++) {
		swapcontext(&main_context, &contexts[(unsigned)i * 7 % COROUTINES]);
		allocate(5);
	}
}

/* What lies beyond a handler must be asked for each time; what it calls itself comes and goes. */
static __attribute__((noinline)) void serve(int depth)
{
	volatile char pad[40];

	pad[0] = (char)depth;
	allocate((size_t)depth + 1);
	if (depth > 0)
		serve(depth - 1);
	allocate(4);
	(void)pad[0];
}

static void handler(int number)
{
	static int calls;

	allocate((size_t)number);
	serve(calls++ % 7);
	allocate(2);
}

static __attribute__((noinline)) void interrupted(int depth)
{
	volatile char pad[16];

	pad[0] = 1;
	if (depth > 0)
		interrupted(depth - 1);
	else
		raise(SIGUSR1);
	allocate(6);
	(void)pad[0];
}

static void signals(bool on_alternate)
{
	static char stack[65536];
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_handler = handler,
				   .sa_flags = on_alternate ? SA_ONSTACK : 0};

	sigaltstack(&alternate, NULL);
	sigaction(SIGUSR1, &action, NULL);
	for (int i = 0; i < rounds / 10; i++)
		interrupted(i % 6);
}

static void *small(void *argument)
{
	for (int i = 0; i < rounds / 100 + 1; i++)
		allocate((size_t)(uintptr_t)argument + 1);
	return NULL;
}

static void threads(void)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, (size_t)sysconf(_SC_THREAD_STACK_MIN));
	for (uintptr_t i = 0; i < 40; i++) {
		if (pthread_create(&thread, &attributes, small, (void *)i) != 0)
			continue;
		pthread_join(thread, NULL);
	}
}

int main(int argc, char **argv)
{
	rounds = argc > 1 ? atoi(argv[1]) : 1000;
	leap();
	switch_about();
	signals(false);
	signals(true);
	threads();
	printf("%d rounds\n", rounds);
	return 0;
}
