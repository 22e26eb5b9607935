/*
 * A C program that asks, weakly, whether there is an operator new: under recording there is ours,
 * and none after it to forward to.
 */
#include <stddef.h>
#include <stdlib.h>

extern void *_Znwm(size_t bytes) __attribute__((weak));

int main(void)
{
	void *block = _Znwm ? _Znwm(10) : NULL;

	free(block);
	return block ? EXIT_SUCCESS : EXIT_FAILURE;
}
