#include "reach.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

#include "log.h"
#include "real.h"

static void *(*next_malloc)(size_t);
static volatile bool reached;

static void *probe(size_t bytes)
{
	reached = true;
	return next_malloc(bytes);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_sanitizer(const char *name)
{
	static const char *const names[] = {"libasan.", "libtsan.", "liblsan.", "libhwasan.",
					    "libclang_rt."};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(name, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

/* Who has the malloc at `address`; NULL: we do, and what is there is not what is called. */
static const char *explain(void *address, struct text *text)
{
	struct link_map *map = NULL;
	Dl_info taker, own;

	if (!dladdr1(address, &taker, (void **)&map, RTLD_DL_LINKMAP) || !map)
		return "malloc is in no module: its calls cannot be seen";
	if (dladdr((void *)reach_check, &own) && own.dli_fbase == taker.dli_fbase)
		return "calls of malloc are taken away before they come here, as valgrind does: "
		       "use one of the two";
	if (!map->l_name[0])
		return "the program has a malloc of its own, whose calls cannot be seen";
	text_add(text, "malloc is that of ");
	text_add_printable(text, base_name(map->l_name));
	if (is_sanitizer(base_name(map->l_name)))
		return ", a sanitizer's, and not to be seen: use one of the two";
	return ", which is loaded first: name libmemprof.so before it in LD_PRELOAD";
}

bool reach_check(char *why, size_t why_bytes)
{
	void *(*first_malloc)(size_t) = (void *(*)(size_t))dlsym(RTLD_DEFAULT, "malloc");
	void (*first_free)(void *) = (void (*)(void *))dlsym(RTLD_DEFAULT, "free");
	struct text text;

	if (!first_malloc || !first_free)
		return true;
	next_malloc = real.malloc;
	real.malloc = probe;
	first_free(first_malloc(1));
	real.malloc = next_malloc;
	if (reached)
		return true;
	text_init(&text, why, why_bytes);
	text_add(&text, explain((void *)first_malloc, &text));
	text_add(&text, ": recording is off");
	text_end(&text, why);
	return false;
}
