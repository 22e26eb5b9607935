#include "ring.h"

#include <errno.h>

#include "pages.h"
#include "stop.h"
#include "trace_file.h"

int ring_init(struct ring *ring, uint32_t index)
{
	size_t head_bytes =
	    trace_file_page() > TRACE_RING_DATA_OFFSET ? trace_file_page() : TRACE_RING_DATA_OFFSET;
	size_t bytes = head_bytes + RING_DATA_BYTES + RING_STAGE_BYTES;
	char *segment = trace_file_map(TRACE_SEGMENT_RING, index, bytes);

	ring->is_private = !segment;
	if (!segment)
		segment = pages_map(bytes);
	if (!segment)
		return -ENOMEM;
	ring->control = (struct trace_ring *)(segment + sizeof(struct trace_segment));
	ring->control->word_bytes = RING_DATA_BYTES;
	ring->data = (uint64_t *)(segment + head_bytes);
	ring->stage = (uint8_t *)segment + head_bytes + RING_DATA_BYTES;
	ring->next = ring->data;
	ring->end = ring->data + RING_WORDS;
	ring->head = 0;
	ring->index = index;
	return 0;
}

void ring_release(struct ring *ring, uint64_t events)
{
	struct trace_ring *control = ring->control;

	__atomic_store_n(&control->flushed, ring->head, __ATOMIC_RELEASE);
	STOP_POINT("release.moved");
	/* After it: readers take more of these than they find for events lost. */
	__atomic_store_n(&control->flushed_events, control->flushed_events + events,
			 __ATOMIC_RELAXED);
	ring->next = ring->data;
}

void ring_release_all(struct ring *ring, uint64_t events)
{
	__atomic_store_n(&ring->control->staged, ring->head, __ATOMIC_RELEASE);
	STOP_POINT("release.unstaged");
	ring_release(ring, events);
}

void ring_release_stage(struct ring *ring)
{
	__atomic_store_n(&ring->control->staged, ring->control->flushed, __ATOMIC_RELEASE);
}

void ring_resume(struct ring *ring)
{
	ring->head = __atomic_load_n(&ring->control->head, __ATOMIC_RELAXED);
	ring->next = ring->data + (ring->head - ring->control->flushed);
}
