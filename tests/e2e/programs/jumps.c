/*
 * Control flow that does not return the way it came: longjmp out of deep frames, coroutines that
 * switch between two allocator calls, a handler on an alternate stack that jumps out. Stacks of
 * the coroutines must name their own functions, whoever resumed them.
 */
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "truth.h"

#define COROUTINES  4
#define SWITCHES    2000
#define STACK_BYTES (64 * 1024)

static jmp_buf back;
static sigjmp_buf out_of_handler;
static ucontext_t scheduler, coroutines[COROUTINES];

static TRUTH_NOINLINE void dig(int depth)
{
	void *block = truth_malloc(111);

	if (depth == 0) {
		truth_free(block, 111);
		longjmp(back, 1);
	}
	truth_free(block, 111);
	if (depth < COROUTINES * 1000) /* always; the compiler is not to know */
		dig(depth - 1);
	__asm__ volatile("" ::: "memory");
}

static void long_jumps(void)
{
	for (volatile int i = 0; i < 1000; i++)
		if (setjmp(back) == 0)
			dig(i % 50);
		else
			truth_free(truth_malloc(222), 222);
}

static TRUTH_NOINLINE void *in_coroutine(size_t bytes)
{
	void *block = truth_malloc(bytes);

	__asm__ volatile("" ::: "memory");
	return block;
}

static void coroutine(int self)
{
	for (int i = 0; i < SWITCHES; i++) {
		size_t bytes = 1000 + (size_t)self;
		void *block = in_coroutine(bytes);

		swapcontext(&coroutines[self], &scheduler);
		truth_free(block, bytes);
	}
}

static void switch_coroutines(void)
{
	for (volatile int i = 0; i < COROUTINES; i++) {
		void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		TRUTH_REQUIRE(stack != MAP_FAILED && getcontext(&coroutines[i]) == 0);
		coroutines[i].uc_stack.ss_sp = stack;
		coroutines[i].uc_stack.ss_size = STACK_BYTES;
		coroutines[i].uc_link = &scheduler;
		makecontext(&coroutines[i], (void (*)(void))coroutine, 1, i);
	}
	for (int i = 0; i <= SWITCHES; i++)
		for (int which = 0; which < COROUTINES; which++)
			swapcontext(&scheduler, &coroutines[which]);
}

static void handler(int number)
{
	(void)number;
	truth_free(truth_malloc(333), 333); /* raise() is synchronous: malloc is safe here */
	siglongjmp(out_of_handler, 1);
}

static void alternate_stack(void)
{
	static char room[64 * 1024];
	stack_t stack = {.ss_sp = room, .ss_size = sizeof(room)};
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};

	TRUTH_REQUIRE(sigaltstack(&stack, NULL) == 0);
	TRUTH_REQUIRE(sigaction(SIGUSR1, &action, NULL) == 0);
	for (volatile int i = 0; i < 200; i++)
		if (sigsetjmp(out_of_handler, 1) == 0)
			raise(SIGUSR1);
		else
			truth_free(truth_malloc(444), 444);
}

int main(void)
{
	long_jumps();
	switch_coroutines();
	alternate_stack();
	truth_note(",\"names\":[[%d,\"in_coroutine\",\"coroutine\"],[66600,\"handler\"]]",
		   (1000 + 1001 + 1002 + 1003) * SWITCHES);
	truth_print(1, &truth);
	return 0;
}
