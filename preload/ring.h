/*
 * A ring of 8-byte words that lies in the trace file (struct trace_ring). It knows nothing of what
 * the words mean. One owner thread writes; a killed process leaves every committed word readable.
 *
 * The data is always used from its beginning: emptying the ring moves `flushed` up to `head` in one
 * store, and position P then stands at data[P - flushed].
 */
#ifndef RING_H
#define RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memprof/trace.h"
#include "stop.h"

#define RING_DATA_BYTES	 (16 * 1024)
#define RING_WORDS	 (RING_DATA_BYTES / sizeof(uint64_t))
#define RING_STAGE_BYTES (56 * 1024)

/* The owner's view; caller's storage. `next` and `head` say the same in two forms. */
struct ring {
	struct trace_ring *control; /* in the mapped segment */
	uint64_t *data;		    /* ring words, RING_WORDS of them */
	uint8_t *stage;		    /* the RING_STAGE_BYTES behind them: stage.h */
	uint64_t *next;		    /* where the next word goes */
	uint64_t *end;
	uint64_t head;	 /* position of `next` */
	uint32_t index;	 /* of the RING segment */
	bool is_private; /* not in the file, which had no room: what is not flushed is lost */
};

/*
 * Makes the RING segment numbered `index`; a private ring where the file cannot grow, so that what
 * cannot be written is counted at least. 0 or -errno.
 */
int ring_init(struct ring *ring, uint32_t index);

/* Room for `words`, or NULL when the ring must be emptied first. Owner only. */
static inline uint64_t *ring_reserve(struct ring *ring, size_t words)
{
	return (size_t)(ring->end - ring->next) >= words ? ring->next : NULL;
}

/* Makes the `words` written at the place reserved part of the trace: one release store. Owner only.
 */
static inline void ring_commit(struct ring *ring, size_t words)
{
	ring->next += words;
	ring->head += words;
	STOP_POINT("event.written");
	__atomic_store_n(&ring->control->head, ring->head, __ATOMIC_RELEASE);
	STOP_POINT("event.committed");
}

/* Words committed and not yet flushed. Owner only. */
static inline size_t ring_used(const struct ring *ring)
{
	return (size_t)(ring->next - ring->data);
}

/* Takes up from what is committed, after a write was left half-way. Owner only. */
void ring_resume(struct ring *ring);

/* Empties the ring of its `events` events, which are in the stage now. Owner only. */
void ring_release(struct ring *ring, uint64_t events);

/* The same where they, and all that was in the stage, are in a segment, or given up. Owner only. */
void ring_release_all(struct ring *ring, uint64_t events);

/* What was in the stage is in a segment, or given up; the words stay. Owner only. */
void ring_release_stage(struct ring *ring);

#endif
