/*
 * The rings of a trace: what their owners had not put into EVENTS segments when we looked, or when
 * they were killed. Used by the reader only, and before anything else of the file is read: what is
 * flushed meanwhile is then found in the copy and in a segment, and the copy gives way.
 */
#ifndef TRACE_RINGS_H
#define TRACE_RINGS_H

#include "trace_reader.h"

/* Copies all rings into reader->rings, sorted by number. Returns 0 or -ENOMEM. */
int trace_rings_copy(struct trace_reader *reader);
void trace_rings_free(struct trace_reader *reader);

/* Whether the copy of that ring has all of the positions [from, to), so far as they were used. */
bool trace_rings_hold(const struct trace_reader *reader, uint32_t ring, uint64_t from, uint64_t to);

/*
 * Adds to reader->events, which are in order, the stages whose events are in none of these; they
 * have to be put in order again. An unsound one is added to reader->damage. Returns 0 or -ENOMEM.
 */
int trace_rings_add_stages(struct trace_reader *reader);

#endif
