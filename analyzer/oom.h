/*
 * What to do when memory runs out inside a library that does not survive it.
 *
 * Our own code passes -ENOMEM up. elfutils and the C++ demangler do not: some calls leave symbols
 * out without a word, some abort. Between oom_fatal_begin() and oom_fatal_end(), which may be
 * nested, an allocation that fails ends the command with one line and status 2, in the programs
 * that have oom_main.c; elsewhere nothing changes.
 */
#ifndef OOM_H
#define OOM_H

#include <stddef.h>

void oom_fatal_begin(void);
void oom_fatal_end(void);

/* Whether a request of `bytes` that failed must end the command. Absurd ones, made by damaged
 * files, are for the library to refuse. */
int oom_is_fatal(size_t bytes);

/*
 * Bounds what this process may take to three quarters of the machine's memory, so that a trace
 * made to exhaust it ends the command and not the machine. A lower limit that is set stays.
 */
void oom_limit(void);

#endif
