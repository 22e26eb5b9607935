/*
 * What one stack costs, by backend, depth and pattern; nothing of it is recorded.
 *
 *     bench_unwind [BACKEND [DEPTH [PATTERN]]]
 *
 * Patterns: same (one allocation site, one stack), sites (eight sites in turn), wander (eight
 * sites, below a stack whose inner half changes all the time).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "modules.h"
#include "pages.h"
#include "stacks.h"
#include "trace_file.h"
#include "unwind.h"

#define EVENTS 2000000

static const struct unwind_backend *backend;
static void *state;
static struct unwind_counts counts;
static uint32_t seed = 1, sum;
static enum { SAME, SITES, WANDER } pattern;
static const char *const pattern_names[] = {"same", "sites", "wander"};

static unsigned pick(unsigned bound)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 16) % bound;
}

/* A hook, as the recorder's are compiled: with a frame pointer. */
__attribute__((noinline)) static void hook(void)
{
	struct unwind_origin origin = {(uintptr_t)__builtin_return_address(0),
				       (uintptr_t)__builtin_dwarf_cfa(),
				       *(uintptr_t *)__builtin_frame_address(0)};

	sum += backend->stack(state, &origin, 256, &counts);
}

#define SITE(n)                                                                                    \
	static __attribute__((noinline)) void site##n(void)                                        \
	{                                                                                          \
		volatile char pad[16 * (n % 4) + 8];                                               \
		pad[0] = n;                                                                        \
		hook();                                                                            \
		(void)pad[0];                                                                      \
	}
/* clang-format off */
SITE(0) SITE(1) SITE(2) SITE(3) SITE(4) SITE(5) SITE(6) SITE(7)
    /* clang-format on */

    static void (*const sites[])(void) = {site0, site1, site2, site3, site4, site5, site6, site7};

static __attribute__((noinline)) long leaves(long events)
{
	if (pattern == SAME)
		site0();
	else
		sites[pick(8)]();
	return events - 1;
}

static long run(int depth, long events);

static __attribute__((noinline)) long other(int depth, long events)
{
	volatile char pad[40];

	pad[0] = (char)depth;
	events = run(depth - 1, events);
	(void)pad[0];
	return events;
}

/* Runs events at `depth` frames further in; with WANDER the inner half is left and entered anew. */
static __attribute__((noinline)) long run(int depth, long events)
{
	volatile char pad[24];

	pad[0] = (char)depth;
	if (depth <= 0) {
		events = leaves(events);
		while (pattern != WANDER && events > 0)
			events = leaves(events);
	} else if (pattern == WANDER && depth < 4 && pick(2)) {
		events = other(depth, events);
	} else {
		events = run(depth - 1, events);
	}
	(void)pad[0];
	return events;
}

static __attribute__((noinline)) void outer(int depth, long events)
{
	volatile char pad[24];

	pad[0] = (char)depth;
	if (depth > 0)
		outer(depth - 1, events);
	else
		while (events > 0)
			events = run(6, events);
	(void)pad[0];
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void measure(int depth)
{
	double best = 1e9;
	int reps = getenv("BENCH_ONCE") ? 1 : 5;
	long events = getenv("BENCH_ONCE") ? 100000 : EVENTS / 4;

	for (int i = 0; i < reps; i++) {
		double start = now();

		outer(depth > 10 ? depth - 10 : 0, events);
		start = (now() - start) / (double)events;
		best = start < best ? start : best;
	}
	printf("%-9s depth %3d %-6s %7.1f ns a stack\n", backend->name, depth,
	       pattern_names[pattern], best);
}

int main(int argc, char **argv)
{
	struct trace_header header = {.magic = TRACE_MAGIC, .pid = (uint32_t)getpid()};
	char path[] = "/tmp/bench_unwind.XXXXXX";
	static const int depths[] = {10, 24, 60, 100};

	backend = unwind_find(argc > 1 ? argv[1] : "auto");
	if (!backend || backend->init() < 0 || mkstemp(path) < 0)
		return 2;
	clock_init();
	modules_init("/proc/self/exe");
	unlink(path);
	if (trace_file_create(path, &header) < 0 || stacks_init() < 0)
		return 2;
	state = pages_map(backend->state_bytes);
	for (unsigned p = 0; p < 3; p++) {
		if (argc > 3 && strcmp(argv[3], pattern_names[p]) != 0)
			continue;
		pattern = p;
		for (unsigned i = 0; i < 4; i++)
			if (argc < 3 || atoi(argv[2]) == depths[i])
				measure(depths[i]);
	}
	unlink(path);
	return 0;
}
