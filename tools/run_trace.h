/*
 * The trace files of a run, seen from the launcher: making room before it, and after it finding
 * the program's file and writing into its header what only a parent can know.
 */
#ifndef RUN_TRACE_H
#define RUN_TRACE_H

#include "child.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Gets the place named by a MEMPROF_OUT pattern ready: the directory must be there, and an old
 * trace by exactly that name is removed. Never removes anything else. Returns false after a message
 * on stderr.
 */
bool run_trace_prepare(const char *pattern);

struct run_trace {
	char path[4096];			 /* absolute, as the recorder tells it */
	uint64_t bytes;				 /* disk space in use */
	uint32_t end;				 /* enum trace_end */
	uint64_t started_ns;			 /* start_realtime_ns of the header */
	uint32_t flags;				 /* enum trace_flag */
	uint64_t events, blocks, peak_rss_bytes; /* as the recorder counted them at the end */
};

/*
 * Finds the trace of the child among the files the pattern can name: the newest one of that pid
 * and start time (a process that becomes another program leaves several). Returns false when there
 * is none.
 */
bool run_trace_find(const char *pattern, const struct child *child, struct run_trace *found);

/*
 * Writes into the trace how its process has just ended, by a signal or by a system call of its own
 * with a status, unless it holds an end already. Returns 0 or -errno.
 */
int run_trace_mark_end(const struct run_trace *trace, const struct child *child);

#endif
