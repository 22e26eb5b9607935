/*
 * Frames without unwind information: code made at run time with and without a frame pointer, which
 * calls back into a function that allocates; coroutines whose first frame has no caller and no CFI.
 * libunwind only guesses here, so what counts is that nothing is read that is not there, and that
 * the stack with frame pointers is whole.
 *
 *     nocfi ROUNDS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static __attribute__((noinline)) void allocate(void)
{
	void *block = malloc(24);

	__asm__ volatile("" : : "r"(block) : "memory");
	free(block);
}

static char *code_page(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
}

#if defined(__x86_64__)
/* push rbp; mov rbp, rsp; call rdi; pop rbp; ret */
static const unsigned char with_fp[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};
/* sub rsp, 40; call rdi; add rsp, 40; ret */
static const unsigned char without_fp[] = {0x48, 0x83, 0xec, 0x28, 0xff, 0xd7,
					   0x48, 0x83, 0xc4, 0x28, 0xc3};

static void *saved_sp __attribute__((used));

/* Runs `start` on a new stack that ends right above it, and comes back. */
void on_stack(void *top, void (*start)(void));
__asm__(
    "on_stack:\n"
    "	push %rbp\n	push %rbx\n	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
    "	mov %rsp, saved_sp(%rip)\n"
    "	mov %rdi, %rsp\n"
    "	mov %rdi, %rbp\n" /* points past the stack */
    "	call *%rsi\n"
    "	mov saved_sp(%rip), %rsp\n"
    "	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbx\n	pop %rbp\n"
    "	ret\n");

static void coroutines(int rounds)
{
	for (int i = 0; i < rounds; i++) {
		/* The page after the stack cannot be read; then the stack goes away. */
		char *memory = mmap(NULL, 5 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		mprotect(memory, 4 * 4096, PROT_READ | PROT_WRITE);
		on_stack(memory + 4 * 4096, allocate);
		munmap(memory, 5 * 4096);
	}
}
#else
static const unsigned char with_fp[4], without_fp[4];

static void coroutines(int rounds)
{
	(void)rounds;
}
#endif

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 1000;
	char *page = code_page();
	void (*call)(void (*)(void)) = (void (*)(void (*)(void)))(void *)page;

#if defined(__x86_64__)
	memcpy(page, with_fp, sizeof(with_fp));
	for (int i = 0; i < rounds; i++)
		call(allocate);
	memcpy(page, without_fp, sizeof(without_fp));
	for (int i = 0; i < rounds; i++)
		call(allocate);
#endif
	(void)call;
	coroutines(rounds);
	printf("%d rounds\n", rounds);
	return 0;
}
