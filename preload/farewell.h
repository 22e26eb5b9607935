/*
 * What the process leaves at its end: sums of the threads' counters in the trace's header, and a
 * few lines for the user.
 */
#ifndef FAREWELL_H
#define FAREWELL_H

/* Counters of all threads into the header. Other threads may still count. */
void farewell_counts(void);

/* The closing lines on stderr: file, events, peak, live at end, next command. Once a process. */
void farewell_say(void);

#endif
