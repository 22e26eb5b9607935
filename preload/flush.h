/*
 * From the words in a thread's ring to the trace file's segments: a full ring goes to its stage, a
 * full stage becomes an EVENTS segment. Inline in the thread whose ring it is; nobody waits for
 * anybody. Signals are held meanwhile.
 */
#ifndef FLUSH_H
#define FLUSH_H

#include <stdbool.h>

#include "thread.h"

/* Whether segments are compressed. Before the first event. */
void flush_init(bool compress);

/*
 * Makes room in the ring. What cannot be written is given up, and counted as lost. By the ring's
 * owner.
 */
void flush_ring(struct thread *thread);

/* The same, and empties the stage too: by the owner before it ends, or by its heir. */
void flush_all(struct thread *thread);

/* As flush_all() where no room is needed: what cannot be written stays there, for readers. */
void flush_last(struct thread *thread);

/* In a forked child: what other threads had is nobody's, and no ring goes on. */
void flush_forked(void);

#endif
