/*
 * How much memory the process has resident, looked at every ten milliseconds or so by whichever
 * thread has an event then.
 */
#ifndef RESIDENT_H
#define RESIDENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Ticks of the next look; relaxed: looking a little early or late does not matter. */
extern _Atomic uint64_t resident_next;

static inline bool resident_due(uint64_t tick)
{
	return tick >= atomic_load_explicit(&resident_next, memory_order_relaxed);
}

/* Starts afresh, with the clock of this process. Opens /proc/self/statm if it can. */
void resident_init(void);

/*
 * Resident bytes now, and the next look in 10 ms; 0 when another thread is looking or there is no
 * way to tell. Also refreshes the header's peak_rss_bytes and clock. Any thread, signal-safe.
 */
uint64_t resident_take(uint64_t tick);

/* At the end: the kernel's own high-water mark into the header. */
void resident_final(void);

#endif
