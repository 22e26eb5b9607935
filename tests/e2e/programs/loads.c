/*
 * Two plugins that take turns: dlopen, allocate, dlclose. The loader maps the second where the
 * first was; "same_address" says whether it did. Arguments: the paths of the two plugins. The
 * loader allocates for itself, so only the sites in the plugins and here are known.
 */
#include <dlfcn.h>

#include "truth.h"

#define ROUNDS 50

int main(int argc, char **argv)
{
	uintptr_t addresses[2] = {0, 0};
	int same = 0;

	if (argc != 3)
		return 2;
	for (int round = 0; round < ROUNDS; round++)
		for (int which = 0; which < 2; which++) {
			void *plugin = dlopen(argv[1 + which], RTLD_NOW);
			void *(*allocate)(size_t);
			size_t bytes = which ? 2222 : 1111;
			void *block;

			TRUTH_REQUIRE(plugin);
			allocate = (void *(*)(size_t))dlsym(plugin, "plugin_allocate");
			TRUTH_REQUIRE(allocate);
			addresses[which] = (uintptr_t)allocate;
			block = allocate(bytes);
			truth_got(block, bytes);
			truth_free(truth_malloc(10), 10);
			if (round % 10)
				truth_free(block, bytes);
			same += which && addresses[0] == addresses[1];
			dlclose(plugin);
		}
	truth_note(
	    ",\"same_address\":%d,\"names\":[[%d,\"inside_one\",\"plugin_allocate\",\"main\"],"
	    "[%d,\"inside_two\",\"plugin_allocate\",\"main\"]]",
	    same, 1111 * ROUNDS, 2222 * ROUNDS);
	truth_print(1, &truth);
	return 0;
}
