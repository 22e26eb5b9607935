/*
 * Named points where a test may have the process killed, to see what the trace then holds. In the
 * library that is installed they are nothing at all; with MEMPROF_STOP_POINTS (tests/e2e/) they ask
 * MEMPROF_STOP_AT, see tests/e2e/stop_points.c.
 */
#ifndef STOP_H
#define STOP_H

#ifdef MEMPROF_STOP_POINTS
void stop_point(const char *name);
#define STOP_POINT(name)   stop_point(name)
#define STOP_PIECES(count) 1 /* one at a time, with a point after each */
#else
#define STOP_POINT(name)   ((void)0)
#define STOP_PIECES(count) (count)
#endif

#endif
