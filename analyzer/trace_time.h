/* Ticks of a trace in seconds, and when it ends. */
#ifndef TRACE_TIME_H
#define TRACE_TIME_H

#include <stdint.h>

struct trace_reader;

struct trace_time {
	double seconds_per_tick;
	uint64_t end_tick; /* not shifted; never before the last event */
};

/*
 * Takes the rate from the clock pairs that lie farthest apart and can be believed: those of EVENTS
 * segments are covered by a hash, those in the changing part of the header are not. `last_tick` is
 * that of the last event.
 */
void trace_time_init(struct trace_time *time, const struct trace_reader *reader,
		     uint64_t last_tick);

static inline double trace_time_seconds(const struct trace_time *time, uint64_t tick)
{
	return (double)tick * time->seconds_per_tick;
}

#endif
