/* One rate for the whole trace: an invariant TSC and cntvct_el0 run evenly. */
#include "trace_time.h"

#include "trace_reader.h"

#define NS_PER_S 1e9

/* Pairs so far apart give a rate to some 1e-5: reading one takes below 100 ns. */
#define BASELINE_NS 10000000

/* Counters run at 1 MHz to 100 GHz; anything else is damage. */
#define RATE_MIN 1e-11
#define RATE_MAX 1e-6

/* A header pair that disagrees more than this with the hashed ones is not believed. */
#define RATE_TOLERANCE 0.01

/* Seconds a tick between two pairs, 0 when they make no sense. */
static double rate(const struct trace_clock *from, const struct trace_clock *to)
{
	double seconds;

	if (to->tick <= from->tick || to->monotonic_ns <= from->monotonic_ns)
		return 0;
	seconds = (double)(to->monotonic_ns - from->monotonic_ns) / NS_PER_S /
		  (double)(to->tick - from->tick);
	return seconds >= RATE_MIN && seconds <= RATE_MAX ? seconds : 0;
}

static bool agrees(double measured, double reference)
{
	return measured > reference * (1 - RATE_TOLERANCE) &&
	       measured < reference * (1 + RATE_TOLERANCE);
}

void trace_time_init(struct trace_time *time, const struct trace_reader *reader, uint64_t last_tick)
{
	const struct trace_header *header = &reader->header;
	const struct trace_clock *base =
	    reader->header_sound ? &header->start : &reader->clock_first;
	const struct trace_clock *last =
	    header->end != TRACE_END_NONE ? &header->end_clock : &header->latest;
	double hashed = rate(base, &reader->clock);
	double told = rate(&header->start, last);
	bool long_enough = reader->clock.monotonic_ns - base->monotonic_ns >= BASELINE_NS;
	double reference = 0;

	if (header->clock_kind == TRACE_CLOCK_MONOTONIC)
		reference = 1 / NS_PER_S;
	else if (hashed != 0 && long_enough)
		reference = hashed;
	if (reference != 0)
		time->seconds_per_tick = reference;
	else if (told != 0)
		time->seconds_per_tick = told;
	else
		time->seconds_per_tick = hashed != 0 ? hashed : 1 / NS_PER_S;
	time->end_tick = last_tick;
	if (last->tick > last_tick && (reference == 0 ? told != 0 : agrees(told, reference)))
		time->end_tick = last->tick;
}
