/* Whether the process that a trace tells of still runs and writes. */
#ifndef TRACE_LIVE_H
#define TRACE_LIVE_H

#include <memprof/trace.h>

#include <stdbool.h>

/*
 * True when a process with the header's pid and start time exists on this host. `host` is the name
 * recorded, "" when unknown. Wrong only where /proc is missing: false then.
 */
bool trace_live(const struct trace_header *header, const char *host);

#endif
