#include "real.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>

struct real real;

/*
 * Not for other threads: the first call of a process is made before it has any. Volatile, since
 * dlsym is declared "leaf" (never calls back into this file), which with us is not so.
 */
static volatile int finding;

static const struct {
	const char *name;
	size_t offset;
} functions[] = {
#define REAL_ENTRY(result, name, parameters) {#name, offsetof(struct real, name)},
    REAL_FUNCTIONS(REAL_ENTRY)
#undef REAL_ENTRY
};

int real_is_finding(void)
{
	return finding;
}

void real_find(void)
{
	struct real found;
	int saved_errno = errno;

	finding = 1;
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		*(void **)((char *)&found + functions[i].offset) =
		    dlsym(RTLD_NEXT, functions[i].name);
	real = found;
	finding = 0;
	dlerror(); /* names that are not there left a message the program must not find */
	errno = saved_errno;
}

/* A program without libstdc++ that asks for operator new weakly gets ours, and finds only ours. */
static void *unless_ours(void *found)
{
	Dl_info there, here;

	if (found && dladdr(found, &there) && dladdr(&real, &here) &&
	    there.dli_fbase == here.dli_fbase)
		return NULL;
	return found;
}

void *real_find_for(const char *name, void *caller)
{
	void *found = dlsym(RTLD_NEXT, name);
	struct link_map *map;
	Dl_info info;
	void *library;

	if (found || !dladdr1(caller, &info, (void **)&map, RTLD_DL_LINKMAP))
		return found;
	library = dlopen(map->l_name, RTLD_NOLOAD | RTLD_LAZY);
	if (!library)
		return NULL;
	found = unless_ours(dlsym(library, name));
	real.dlclose(library);
	return found;
}
