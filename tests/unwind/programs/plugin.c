/* For reload: FRAME makes the frames of different sizes, with and without a frame pointer. */
#include <alloca.h>
#include <stdlib.h>

void plugin_run(int depth);

static __attribute__((noinline)) void dive(int depth)
{
	volatile char pad[FRAME];

#ifdef WITH_ALLOCA
	char *memory = alloca((size_t)depth * 16 + 16);

	__asm__ volatile("" : : "r"(memory) : "memory");
#endif
	pad[0] = (char)depth;
	void *block = malloc((size_t)depth + FRAME);
	__asm__ volatile("" : : "r"(block) : "memory");
	free(block);
	if (depth > 0)
		dive(depth - 1);
	(void)pad[0];
}

__attribute__((aligned(4096))) void plugin_run(int depth)
{
	dive(depth);
	__asm__ volatile("");
}

/* For epochs: one block, never freed. */
void plugin_keep(int turn);

void plugin_keep(int turn)
{
	void *block = malloc((size_t)turn);

	__asm__ volatile("" : : "r"(block) : "memory");
}
