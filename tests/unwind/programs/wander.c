/* New stacks all the time, some 100,000 nodes a second, until it is killed. */
#include <stdlib.h>
#include <unistd.h>

typedef void step(int depth);

static step wander_a, wander_b, wander_c, wander_d;
static step *const steps[] = {wander_a, wander_b, wander_c, wander_d};
static unsigned seed = 1;

static __attribute__((noinline)) void onward(int depth)
{
	void *block;

	if (depth > 0) {
		seed = seed * 1103515245 + 12345;
		steps[seed >> 16 & 3](depth - 1);
	} else {
		block = malloc(10);
		__asm__ volatile("" : : "r"(block) : "memory");
		free(block);
	}
	__asm__ volatile("");
}

#define WANDER(name)                                                                               \
	static __attribute__((noinline)) void name(int depth)                                      \
	{                                                                                          \
		onward(depth);                                                                     \
		__asm__ volatile("" : : "r"(#name) : "memory");                                    \
	}
WANDER(wander_a)
WANDER(wander_b)
WANDER(wander_c)
WANDER(wander_d)

int main(void)
{
	for (;;) {
		for (int i = 0; i < 100; i++)
			onward(40);
		usleep(40000);
	}
}
