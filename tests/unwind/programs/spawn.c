/*
 * spawn TURNS: coroutines that make coroutines, on stacks side by side without a page between them,
 * which are given back as soon as their coroutine is done. A coroutine begins with the frame
 * pointer of who made it, and some call through code without CFI that keeps one.
 */
#include <alloca.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define COROUTINES  48
#define STACK_BYTES 16384

struct coroutine {
	ucontext_t context;
	int lives, done;
};

static ucontext_t scheduler;
static struct coroutine coroutines[COROUTINES];
static char *stacks;
static void (*through)(void (*function)(int, int), int depth, int self);

static unsigned any_below(unsigned end)
{
	static uint64_t seed = 88172645463325252u;

	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)((seed >> 11) % end);
}

static __attribute__((noinline)) void allocate(void)
{
	void *block = malloc(1 + any_below(500));

	__asm__ volatile("" : : "r"(block) : "memory");
	free(block);
}

static void run(int self);

static __attribute__((noinline)) void spawn(int number)
{
	struct coroutine *made = &coroutines[number];
	char *stack = stacks + number * STACK_BYTES;

	mprotect(stack, STACK_BYTES, PROT_READ | PROT_WRITE);
	made->lives = 1;
	made->done = 0;
	getcontext(&made->context);
	made->context.uc_stack.ss_sp = stack;
	made->context.uc_stack.ss_size = STACK_BYTES;
	made->context.uc_link = &scheduler;
	makecontext(&made->context, (void (*)(void))run, 1, number);
}

static __attribute__((noinline)) void pause_it(int self)
{
	swapcontext(&coroutines[self].context, &scheduler);
}

static __attribute__((noinline)) void go_down(int depth, int self)
{
	unsigned bytes = 16 + any_below(200);
	volatile char *here = alloca(bytes);
	int other = (int)any_below(COROUTINES);

	here[bytes - 1] = 0;
	if (any_below(2))
		allocate();
	if (any_below(6) == 0 && !coroutines[other].lives)
		spawn(other);
	if (any_below(5) == 0)
		pause_it(self);
	if (depth > 0 && through && any_below(4) == 0)
		through(go_down, depth - 1, self);
	else if (depth > 0)
		go_down(depth - 1, self);
	if (any_below(3) == 0)
		pause_it(self);
	allocate();
	(void)here[0];
}

static void run(int self)
{
	for (int i = 0; i < 5; i++) {
		go_down((int)any_below(14), self);
		allocate();
	}
	coroutines[self].done = 1;
}

/* Code that keeps a frame pointer and passes on three arguments. */
static void *make_code(void)
{
	static const unsigned char code[] = {
#if defined(__x86_64__)
		0x55,
		0x48,
		0x89,
		0xe5,
		0x48,
		0x83,
		0xec,
		0x20,
		0x48,
		0x89,
		0xf8,
		0x89,
		0xf7,
		0x89,
		0xd6,
		0xff,
		0xd0,
		0xc9,
		0xc3,
#endif
	};
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED || sizeof(code) == 0)
		return NULL;
	return memcpy(page, code, sizeof(code));
}

static void give_back(void)
{
	for (int i = 0; i < COROUTINES; i++) {
		if (!coroutines[i].lives || !coroutines[i].done)
			continue;
		mprotect(stacks + i * STACK_BYTES, STACK_BYTES, PROT_NONE);
		coroutines[i].lives = 0;
	}
}

int main(int argc, char **argv)
{
	int turns = argc > 1 ? atoi(argv[1]) : 1000;

	through = (void (*)(void (*)(int, int), int, int))make_code();
	stacks =
	    mmap(NULL, COROUTINES * STACK_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stacks == MAP_FAILED)
		return 1;
	while (turns-- > 0) {
		int next = (int)any_below(COROUTINES);

		if (coroutines[next].lives)
			swapcontext(&scheduler, &coroutines[next].context);
		else if (any_below(10) == 0)
			spawn(next);
		if (any_below(9) == 0)
			allocate();
		give_back();
	}
	puts("done");
	return 0;
}
