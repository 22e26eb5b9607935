/*
 * A process's recording from its first event to its end: start, fork, exec, exit, and switching it
 * off when it cannot go on. The program runs on in every case.
 */
#ifndef LIFECYCLE_H
#define LIFECYCLE_H

#include <stdbool.h>

/* When the loader has us ready: what may take its locks. From the library's constructor. */
void lifecycle_construct(void);

/* The first event of the process: reads the options, makes the file. */
void lifecycle_start(void);

/* The first event after a fork, in the child: a file of its own, or nothing. */
void lifecycle_forked(void);

/* In the child of a fork, at once: it may go on in a hook, and must leave its parent's trace alone.
 */
void lifecycle_fork_child(void);

/* Stops recording for good and says why, once. Any thread, signal-safe. */
void lifecycle_disable(const char *why);

/* Recording pauses (blocks allocated meanwhile are foreign) or goes on. */
void lifecycle_pause(void);
void lifecycle_resume(void);
bool lifecycle_is_recording(void);

/*
 * Just before the process is replaced by another program; lifecycle_exec_failed() when it was not.
 * Ignored in a vfork child, which runs in its parent's memory.
 */
void lifecycle_exec(void);
void lifecycle_exec_failed(void);

/* Just before the process ends with `status` by _exit. */
void lifecycle_exit(int status);

/* Before quick_exit() with `status`, whose handlers are not told it. */
void lifecycle_quick_exit(int status);

#endif
