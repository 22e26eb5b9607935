/*
 * Recursion far beyond the depth that is recorded, through eight functions in no order that
 * repeats, with an allocation at each level.
 *
 *     abyss ROUNDS DEPTH
 */
#include <stdio.h>
#include <stdlib.h>

static unsigned seed = 1;
static volatile unsigned sum;

static unsigned pick(unsigned bound)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 16) % bound;
}

static void descend(int depth);

#define STEP(n)                                                                                    \
	__attribute__((noinline)) static void step##n(int depth)                                   \
	{                                                                                          \
		volatile char pad[8 + 16 * (n)];                                                   \
		pad[0] = (char)depth;                                                              \
		descend(depth - 1);                                                                \
		sum += (unsigned char)pad[0];                                                      \
	}

STEP(0)
STEP(1)
STEP(2)
STEP(3)
STEP(4)
STEP(5)
STEP(6)
STEP(7)

static void (*const steps[])(int) = {step0, step1, step2, step3, step4, step5, step6, step7};

__attribute__((noinline)) static void descend(int depth)
{
	void *block = malloc(24);

	if (depth > 0)
		steps[pick(8)](depth);
	free(block);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 1, depth = argc > 2 ? atoi(argv[2]) : 1000;

	while (rounds-- > 0)
		descend(depth);
	printf("%u\n", sum);
	return 0;
}
