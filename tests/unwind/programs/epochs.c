/*
 * Loads libraries in turn, each into the place of the one before, and has each allocate a block
 * that is never freed, of as many bytes as its turn tells.
 *
 *     epochs PLUGIN...
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	uintptr_t places[2] = {0};
	int same = 0;

	for (int i = 1; i < argc; i++) {
		void *library = dlopen(argv[i], RTLD_NOW | RTLD_LOCAL);
		void (*run)(int);

		if (!library) {
			fprintf(stderr, "%s\n", dlerror());
			return 1;
		}
		*(void **)&run = dlsym(library, "plugin_keep");
		run(i);
		places[i % 2] = (uintptr_t)run;
		same += places[0] == places[1];
		dlclose(library);
	}
	printf("%d\n", same);
	return 0;
}
