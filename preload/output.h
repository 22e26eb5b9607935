/*
 * The name of the trace file: MEMPROF_OUT's pattern filled in, and what to do when it is taken.
 */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "memprof/trace.h"
#include "process.h"

/*
 * Creates the trace file by `pattern` (%p pid, %e name of the executable, %h host, %n a number that
 * makes it new, %q{VAR} environment variable, %% percent). A name that is taken by an old memprof
 * trace is taken over, unless `forked`; one that belongs to this run or cannot be judged makes us
 * put the pid or a number before the suffix. Anything else is left alone. 0 or -errno, with one
 * line about it in `error`. One thread at a time.
 */
int output_create(const char *pattern, const struct process *process, bool forked,
		  const struct trace_header *fixed, char *error, size_t error_bytes);

#endif
