/*
 * Whether the program's calls of malloc come to us at all: a malloc of the executable's own, of a
 * library preloaded before us, or one that valgrind puts there takes them instead.
 */
#ifndef REACH_H
#define REACH_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Makes one call of malloc as the program would, and its free. False when it did not come to our
 * hook: then one line about who took it is in `why`. Under the guard, before the program's main;
 * the next allocator must be known (real_find). errno is not kept.
 */
bool reach_check(char *why, size_t why_bytes);

#endif
