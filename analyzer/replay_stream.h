/* The events of one ring, from its segments and then from the words left in it. */
#ifndef REPLAY_STREAM_H
#define REPLAY_STREAM_H

#include "event_decode.h"
#include "replay.h"

struct trace_events_info;
struct trace_ring_copy;

struct replay_stream {
	uint32_t ring;
	uint32_t thread; /* of the events at hand */
	struct event *events;
	size_t next;
	size_t count;
	/* what comes after those */
	const struct trace_events_info *segment;
	const struct trace_events_info *segment_end;
	const struct trace_ring_copy *copy; /* NULL: none, or done with */
	struct event_decoder decoder;
	struct event_words words;
	struct event_buffers buffers;
	bool in_words;
};

/*
 * Makes one stream for each ring that has events; all use `shared`, which must
 * outlive them. Returns 0 or -ENOMEM; replay_streams_free()
 * releases all.
 */
int replay_streams_new(const struct trace_reader *reader, struct event_shared *shared,
		       struct replay_stream **streams, size_t *count);
void replay_streams_free(struct replay_stream *streams, size_t count);

/*
 * Decodes the next chunk into stream->events. Returns 1, 0 when the stream has ended, -ENOMEM.
 * Segments that turn out unsound are counted in `figures` and passed over.
 */
int replay_stream_refill(struct replay_stream *stream, const struct trace_reader *reader,
			 struct replay_figures *figures);

/* The tick, unshifted, of the last event in the words of the rings; 0: none. */
uint64_t replay_last_tick(const struct trace_reader *reader);

#endif
