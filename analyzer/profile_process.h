/* What the report says of the recorded process. */
#ifndef PROFILE_PROCESS_H
#define PROFILE_PROCESS_H

#include "profile.h"

struct trace_reader;

/*
 * Fills in all of `process`; its strings are the caller's, profile_process_fini() frees them.
 * Returns 0 or -ENOMEM.
 */
int profile_process_init(struct profile_process *process, const struct trace_reader *reader);
void profile_process_fini(struct profile_process *process);

#endif
