/*
 * The columns of EVENTS segments, from include/memprof/trace.h alone: not the recorder's code, and
 * unlike it exact: each shape is defined once, each address is fresh once.
 */
#ifndef TRACE_COLUMNS_H
#define TRACE_COLUMNS_H

#include <memprof/trace.h>

#include <stddef.h>
#include <stdint.h>

/*
 * Encodes events->events records, `count` words, at events->tick_shift; fills in column_bytes and
 * last_tick. Returns the columns, one after the other; the caller frees. Aborts on lack of memory.
 */
uint8_t *trace_columns_encode(const uint64_t *words, size_t count, struct trace_events *events);

#endif
