/*
 * A program that has libraries in unusual ways, by argv[1]:
 *
 * "deepbind" PLUGIN: its malloc is libc's own, past all preloads: what it allocates is not seen,
 * and freed here it is foreign. "namespace" PLUGIN: in a namespace with a libc, and a heap, of its
 * own. "static-tls" LIB: whose thread-local storage has to fit what the loader kept for such
 * libraries. "unload" ONE TWO THREE: a thread loads, calls and unloads ONE and TWO by turns, which
 * come to lie at one address, while main allocates in THREE.
 *
 * Prints its truth; what the loader allocates is not in it.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>

#include "truth.h"

#define CALLS 20000

typedef void *allocate_function(size_t bytes);

static atomic_int over;
static char **unloaded;

static void work(void)
{
	for (int i = 0; i < CALLS; i++)
		truth_free(truth_malloc(64), 64);
}

static void *load(const char *path, int flags)
{
	void *library = dlopen(path, RTLD_NOW | flags);

	if (!library)
		fprintf(stderr, "%s\n", dlerror());
	TRUTH_REQUIRE(library);
	return library;
}

static allocate_function *function_of(void *library)
{
	allocate_function *allocate = (allocate_function *)dlsym(library, "plugin_allocate");

	TRUTH_REQUIRE(allocate);
	return allocate;
}

static void deepbind(char **paths)
{
	allocate_function *allocate = function_of(load(paths[0], RTLD_DEEPBIND));

	for (int i = 0; i < 1000; i++) {
		free(allocate(100));
		truth.foreign_frees++;
	}
}

static void in_namespace(char **paths)
{
	void *library = dlmopen(LM_ID_NEWLM, paths[0], RTLD_NOW);
	allocate_function *allocate;

	TRUTH_REQUIRE(library);
	allocate = function_of(library);
	for (int i = 0; i < 1000; i++)
		TRUTH_REQUIRE(allocate(100));
	work();
	TRUTH_REQUIRE(dlclose(library) == 0);
}

static void static_tls(char **paths)
{
	load(paths[0], 0);
}

static uint64_t bytes_in[2];
static int same_address;

static void *load_and_unload(void *memory)
{
	allocate_function *before = NULL;

	for (int round = 0; round < 300 || !atomic_load(&over); round++) {
		void *library = load(unloaded[round % 2], 0);
		allocate_function *allocate = function_of(library);
		void *block = allocate(1111);

		truth_got(block, 1111);
		truth_free(block, 1111);
		bytes_in[round % 2] += 1111;
		same_address += allocate == before;
		before = allocate;
		dlclose(library);
		if (round == 300)
			atomic_store(&over, 1);
	}
	*(struct truth *)memory = truth;
	return NULL;
}

static void unload(char **paths)
{
	allocate_function *allocate = function_of(load(paths[2], 0));
	struct truth other = {0};
	pthread_t thread;
	uint64_t here;

	unloaded = paths;
	TRUTH_REQUIRE(pthread_create(&thread, NULL, load_and_unload, &other) == 0);
	for (here = 0; here < 1000 || !atomic_load(&over); here++) {
		void *block = allocate(2222);

		truth_got(block, 2222);
		truth_free(block, 2222);
		if (here == 200000)
			atomic_store(&over, 1);
	}
	pthread_join(thread, NULL);
	truth_note(",\"same_address\":%d,"
		   "\"names\":[[%ju,\"inside_one\",\"plugin_allocate\",\"load_and_unload\"],"
		   "[%ju,\"inside_two\",\"plugin_allocate\",\"load_and_unload\"],"
		   "[%ju,\"inside_two\",\"plugin_allocate\",\"main\"]]",
		   same_address, (uintmax_t)bytes_in[0], (uintmax_t)bytes_in[1],
		   (uintmax_t)truth.bytes_allocated);
	truth_add(&truth, &other);
}

int main(int argc, char **argv)
{
	TRUTH_REQUIRE(argc >= 3);
	if (strcmp(argv[1], "unload") == 0)
		unload(argv + 2);
	else
		work();
	if (strcmp(argv[1], "deepbind") == 0)
		deepbind(argv + 2);
	if (strcmp(argv[1], "namespace") == 0)
		in_namespace(argv + 2);
	if (strcmp(argv[1], "static-tls") == 0)
		static_tls(argv + 2);
	if (strcmp(argv[1], "unload"))
		work();
	truth_print(1, &truth);
	return 0;
}
