/*
 * Loads plugins in turn to one address and lets each allocate: rules and stacks kept of the one
 * must not answer for the other, whose frames look different at the same pcs.
 *
 *     reload ROUNDS PLUGIN...
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static __attribute__((noinline)) void use(void (*run)(int), int round)
{
	run(round % 7);
	__asm__ volatile("");
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 100;
	uintptr_t last = 0;
	int same = 0;

	for (int i = 0; i < rounds; i++) {
		void *library = dlopen(argv[2 + i % (argc - 2)], RTLD_NOW | RTLD_LOCAL);
		void (*run)(int);

		if (!library) {
			fprintf(stderr, "%s\n", dlerror());
			return 1;
		}
		*(void **)&run = dlsym(library, "plugin_run");
		same += last && ((uintptr_t)run ^ last) >> 12 == 0;
		last = (uintptr_t)run;
		for (int j = 0; j < 20; j++)
			use(run, i + j);
		dlclose(library);
	}
	printf("%d of %d at the address of the one before\n", same, rounds);
	return same == 0;
}
