/*
 * edges ROUNDS: coroutines that allocate with little left of their stack, and with a frame pointer
 * to what could be read a moment ago, in frames of other coroutines or in nothing.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define STACK_BYTES 65536
#define LEFT_BYTES  3072 /* what MEMPROF_UNWIND=auto is content with, and some */

static ucontext_t program, coroutine;
static char *stack;

static __attribute__((noinline)) void allocate(void)
{
	void *block = malloc(24);

	__asm__ volatile("" : : "r"(block) : "memory");
	free(block);
}

/* Calls itself as long as there is room. */
static __attribute__((noinline)) void go_down(void)
{
	volatile char here[64];

	here[0] = 0;
	if ((uintptr_t)here - (uintptr_t)stack > LEFT_BYTES + 256)
		go_down();
	else
		allocate();
	(void)here[0];
}

static void begin(void (*function)(void), void *frame_pointer)
{
	getcontext(&coroutine);
	coroutine.uc_stack.ss_sp = stack;
	coroutine.uc_stack.ss_size = STACK_BYTES;
	coroutine.uc_link = &program;
	makecontext(&coroutine, function, 0);
#if defined(__x86_64__)
	coroutine.uc_mcontext.gregs[REG_RBP] = (greg_t)frame_pointer;
#elif defined(__aarch64__)
	coroutine.uc_mcontext.regs[29] = (uintptr_t)frame_pointer;
#endif
	swapcontext(&program, &coroutine);
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 10;
	char *memory =
	    mmap(NULL, STACK_BYTES + 2 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return 1;
	stack = memory + 4096;
	mprotect(stack, STACK_BYTES + 4096, PROT_READ | PROT_WRITE);
	for (unsigned i = 0; i < rounds; i++) {
		uintptr_t *beyond = (uintptr_t *)(stack + STACK_BYTES);

		begin(go_down, NULL);
		beyond[1] = (uintptr_t)go_down + 8; /* as a return address */
		for (unsigned k = 0; k < 2; k++) {
			begin(allocate, beyond);
			begin(allocate, beyond);
			mprotect(beyond, 4096, PROT_NONE);
			begin(allocate, beyond);
			mprotect(beyond, 4096, PROT_READ | PROT_WRITE);
			beyond[1] = 0;
		}
	}
	puts("done");
	return 0;
}
