#include "clock.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

enum trace_clock_kind clock_kind = TRACE_CLOCK_MONOTONIC;
uint64_t clock_start;

/* Intel SDM vol. 3B 18.17.1: bit 8 says the counter runs at one rate in every state. */
static enum trace_clock_kind best_kind(void)
{
#if defined(__x86_64__)
	unsigned a, b, c, d;

	if (__get_cpuid(0x80000007, &a, &b, &c, &d) && (d & 1U << 8))
		return TRACE_CLOCK_TSC;
	return TRACE_CLOCK_MONOTONIC;
#elif defined(__aarch64__)
	return TRACE_CLOCK_CNTVCT;
#endif
}

void clock_init(void)
{
	clock_kind = best_kind();
	clock_start = clock_raw();
}

struct trace_clock clock_pair(void)
{
	uint64_t before = clock_raw();
	uint64_t ns = clock_monotonic_ns();
	uint64_t after = clock_raw();

	return (struct trace_clock){before + (after - before) / 2 - clock_start, ns};
}
