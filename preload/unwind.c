#include "unwind.h"

#include <string.h>

#include "unwind_libunwind.h"
#include "unwind_rule.h"

/* The first is `auto`. */
static const struct {
	const char *name;
	const struct unwind_backend *backend;
} backends[] = {
    {"auto", &unwind_memo},
    {"libunwind", &unwind_libunwind},
    {"fp", &unwind_fp},
    {"verify", &unwind_verify},
};

const struct unwind_backend *unwind_find(const char *name)
{
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
		if (strcmp(backends[i].name, name) == 0)
			return backends[i].backend;
	return NULL;
}

void unwind_forget(uintptr_t start, uintptr_t end)
{
	unwind_rules_forget(start, end);
	/* Keyed on addresses alone and never flushed by itself (libunwind's Gtrace.c). */
	if (libunwind.flush_cache)
		libunwind.flush_cache(*libunwind.local_space, start, end);
}
