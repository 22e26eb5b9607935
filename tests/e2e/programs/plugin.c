/* A plugin that allocates. Built twice, with PLUGIN one and two: same layout, other names. */
#include <stdlib.h>

#define NAME2(a, b) a##b
#define NAME(a, b)  NAME2(a, b)

void *plugin_allocate(size_t bytes);

__attribute__((noinline)) static void *NAME(inside_, PLUGIN)(size_t bytes)
{
	void *block = malloc(bytes);

	__asm__ volatile("" ::: "memory");
	return block;
}

void *plugin_allocate(size_t bytes)
{
	void *block = NAME(inside_, PLUGIN)(bytes);

	__asm__ volatile("" ::: "memory");
	return block;
}
