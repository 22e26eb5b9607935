/*
 * A frame of hand-written code without CFI, which keeps a frame pointer and has locals below it, as
 * assembly in libraries does. The frame pointer is all there is to tell its caller by.
 *
 * With -DWITH_LIBUNWIND and -lunwind: says which stack libunwind sees instead.
 */
#include <stdlib.h>

#ifdef WITH_LIBUNWIND
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#include <stdio.h>

static void *show_stack(size_t bytes)
{
	unw_context_t context;
	unw_cursor_t cursor;

	(void)bytes;
	unw_getcontext(&context);
	unw_init_local(&cursor, &context);
	while (unw_step(&cursor) > 0) {
		char name[64] = "?";
		unw_word_t offset;

		unw_get_proc_name(&cursor, name, sizeof(name), &offset);
		puts(name);
	}
	return NULL;
}
#define malloc show_stack
#endif

__attribute__((noinline)) void allocates(void)
{
	void *block = malloc(24);

	__asm__ volatile("" : : "r"(block) : "memory");
	free(block);
}

void without_cfi(void);
__asm__(".text\n"
	".globl without_cfi\n"
	".type without_cfi, @function\n"
	"without_cfi:\n"
	"	push %rbp\n	mov %rsp, %rbp\n	sub $208, %rsp\n"
	"	movq $0, (%rsp)\n"
	"	call allocates\n"
	"	leave\n	ret\n"
	".size without_cfi, . - without_cfi\n");

/* Callers without a frame pointer: found by their sp alone. */
__attribute__((noinline)) void inner_caller(void)
{
	volatile char pad[72];

	pad[0] = 1;
	without_cfi();
	(void)pad[0];
}

__attribute__((noinline)) void outer_caller(void)
{
	volatile char pad[40];

	pad[0] = 1;
	inner_caller();
	(void)pad[0];
}

int main(void)
{
	outer_caller();
	return 0;
}
