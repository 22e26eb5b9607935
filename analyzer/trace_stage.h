/*
 * The stage of a ring, as bytes: its parts put together are the payload of the EVENTS segment that
 * its owner would have appended next.
 */
#ifndef TRACE_STAGE_H
#define TRACE_STAGE_H

#include <memprof/trace.h>

#include <stddef.h>
#include <stdint.h>

enum trace_stage_state {
	TRACE_STAGE_WHOLE, /* all that is staged, or nothing is */
	TRACE_STAGE_CUT,   /* the bytes end before the last part does */
	TRACE_STAGE_UNSOUND,
};

struct trace_stage {
	uint8_t *payload; /* of the parts before the cut or what is unsound; NULL: none; heap */
	size_t payload_bytes;
	enum trace_stage_state state;
};

/*
 * Joins the parts in `bytes` whose positions are control->staged .. control->flushed; those two
 * are all that is taken from `control`. `ring` is the ring's number. The caller frees
 * stage->payload. Returns 0 or -ENOMEM.
 */
int trace_stage_join(struct trace_stage *stage, const uint8_t *bytes, size_t count, uint32_t ring,
		     const struct trace_ring *control);

#endif
