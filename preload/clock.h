/*
 * Time stamps of events: the cheapest counter that all processors of the machine share. Ticks count
 * from the start of the recording; pairs with CLOCK_MONOTONIC, taken now and then, make them
 * seconds.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>
#include <time.h>

#include "memprof/trace.h"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

/* Which counter; fixed by clock_init, read by every thread. */
extern enum trace_clock_kind clock_kind;
extern uint64_t clock_start; /* raw counter at tick 0 */

/* Chooses the counter and sets tick 0. Before any other function here. */
void clock_init(void);

static inline uint64_t clock_monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static inline uint64_t clock_raw(void)
{
#if defined(__x86_64__)
	if (__builtin_expect(clock_kind == TRACE_CLOCK_TSC, 1))
		return __rdtsc();
#elif defined(__aarch64__)
	if (__builtin_expect(clock_kind == TRACE_CLOCK_CNTVCT, 1)) {
		uint64_t now;

		__asm__ volatile("mrs %0, cntvct_el0" : "=r"(now));
		return now;
	}
#endif
	return clock_monotonic_ns();
}

/* Now, as nearly as the processor cares to say. */
static inline uint64_t clock_ticks(void)
{
	return clock_raw() - clock_start;
}

/*
 * Where other threads have events, too: the stamp is taken after all loads before it. Without the
 * fence rdtsc may run ahead of the load that brought the block from another thread (Intel SDM vol.
 * 2B, RDTSC): an acquisition would seem older than its former owner's free, a free older than the
 * other thread's acquisition.
 */
static inline uint64_t clock_ticks_after(void)
{
#if defined(__x86_64__)
	_mm_lfence();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
	return clock_raw() - clock_start;
}

/*
 * Where no other thread's events need to be told from it, if loads keep their order: as they do on
 * x86, where a look at memory after this one tells whether it was so.
 */
static inline uint64_t clock_ticks_alone(void)
{
#if defined(__x86_64__)
	return clock_ticks();
#else
	return clock_ticks_after();
#endif
}

/*
 * How far ticks are shifted: to a quantum below any time in which a block can pass from one thread
 * to another (8 ns at most), or to one of 16 to 33 us, for what only one thread has a part in. The
 * rate is that of the ticks between the two pairs.
 */
#define CLOCK_SHIFT_MAX 16
unsigned clock_fine_shift(void);
unsigned clock_coarse_shift(const struct trace_clock *start, const struct trace_clock *now);

/* Both clocks at one moment. */
struct trace_clock clock_pair(void);

#endif
