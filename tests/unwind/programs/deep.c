/*
 * One allocation in a nest of DEPTH calls, on the stack of a coroutine: outermost is no function
 * that a report could know programs begin in.
 *
 *     deep DEPTH
 */
#include <stdlib.h>
#include <ucontext.h>

static ucontext_t outside, inside;
static int depth;

static __attribute__((noinline)) void nest(int left)
{
	void *block;

	if (left > 1) {
		nest(left - 1);
		__asm__ volatile("");
		return;
	}
	block = malloc(4321);
	__asm__ volatile("" : : "r"(block) : "memory");
}

static void begin(void)
{
	nest(depth);
	__asm__ volatile("");
}

int main(int argc, char **argv)
{
	static char stack[1 << 20];

	depth = argc > 1 ? atoi(argv[1]) : 1;
	getcontext(&inside);
	inside.uc_stack.ss_sp = stack;
	inside.uc_stack.ss_size = sizeof(stack);
	inside.uc_link = &outside;
	makecontext(&inside, begin, 0);
	swapcontext(&outside, &inside);
	return 0;
}
