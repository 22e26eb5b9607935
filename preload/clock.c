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

#define FINE_NS	  8
#define COARSE_NS 33000 /* CLOCK_SHIFT_MAX bits of 2 GHz */
/* Two pairs have to lie so far apart to give a rate. */
#define BASELINE_NS 1000000

/* The greatest shift whose quantum is at most `ns`, at `ticks` in `elapsed_ns`. */
static unsigned shift_of(uint64_t ns, uint64_t ticks, uint64_t elapsed_ns)
{
	unsigned shift = 0;

	while (ticks >> 32 || elapsed_ns >> 32) {
		ticks >>= 1;
		elapsed_ns >>= 1;
	}
	while (shift < CLOCK_SHIFT_MAX && elapsed_ns << (shift + 1) <= ns * ticks)
		shift++;
	return shift;
}

/* Known before there is a rate: the TSC of no machine we run on is slower than 2 GHz by much. */
unsigned clock_fine_shift(void)
{
	if (clock_kind == TRACE_CLOCK_TSC)
		return 4;
#if defined(__aarch64__)
	if (clock_kind == TRACE_CLOCK_CNTVCT) {
		uint64_t hertz;

		__asm__("mrs %0, cntfrq_el0" : "=r"(hertz));
		return shift_of(FINE_NS, hertz, 1000000000);
	}
#endif
	return shift_of(FINE_NS, 1, 1);
}

unsigned clock_coarse_shift(const struct trace_clock *start, const struct trace_clock *now)
{
	uint64_t ticks = now->tick - start->tick;
	uint64_t ns = now->monotonic_ns - start->monotonic_ns;
	unsigned fine = clock_fine_shift();
	unsigned shift = fine + 8;

	if (ns >= BASELINE_NS && ns < INT64_MAX)
		shift = shift_of(COARSE_NS, ticks, ns);
	return shift > fine ? shift : fine;
}
