/*
 * The words of a ring may be in EVENTS segments already, when its owner was killed between writing
 * a segment and giving the space free, or flushed while we read. Those words are passed over by
 * their positions.
 */
#include "replay_stream.h"

#include "trace_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Words of the copy at the front that segments already hold. */
static uint64_t covered_until(const struct replay_stream *stream)
{
	uint64_t until = 0;

	/* Segments are in order and do not overlap: the last one reaches farthest. */
	if (stream->segment != stream->segment_end)
		until = stream->segment_end[-1].to;
	return until;
}

static void set_words(struct replay_stream *stream, const struct trace_ring_copy *copy,
		      unsigned merge_shift)
{
	uint64_t until = covered_until(stream);
	uint64_t skip = until > copy->control.flushed ? until - copy->control.flushed : 0;

	stream->copy = copy;
	stream->words =
	    (struct event_words){.words = copy->words,
				 .count = copy->word_count,
				 .at = skip < copy->word_count ? skip : copy->word_count,
				 .merge_shift = merge_shift};
}

int replay_streams_new(const struct trace_reader *reader, struct event_shared *shared,
		       struct replay_stream **out, size_t *count)
{
	const struct trace_events_info *info = reader->events;
	const struct trace_events_info *end =
	    reader->event_segments ? info + reader->event_segments : info;
	const struct trace_ring_copy *ring = reader->rings;
	const struct trace_ring_copy *rings_end =
	    reader->ring_count ? ring + reader->ring_count : ring;
	struct replay_stream *streams = NULL;
	size_t n = 0;

	while (info != end || ring != rings_end) {
		bool has_ring = ring != rings_end && (info == end || ring->index <= info->ring);
		uint32_t index = has_ring ? ring->index : info->ring;

		if ((n & (n - 1)) == 0) {
			void *larger = reallocarray(streams, n == 0 ? 1 : n * 2, sizeof(*streams));

			if (larger == NULL) {
				replay_streams_free(streams, n);
				return -ENOMEM;
			}
			streams = larger;
		}
		streams[n] = (struct replay_stream){
		    .ring = index, .segment = info, .buffers = {.shared = shared}};
		while (info != end && info->ring == index)
			info++;
		streams[n].segment_end = info;
		if (has_ring)
			set_words(&streams[n], ring++, reader->tick_shift);
		n++;
	}
	*out = streams;
	*count = n;
	return 0;
}

static void stream_fini(struct replay_stream *stream)
{
	free(stream->events);
	stream->events = NULL;
	event_buffers_fini(&stream->buffers);
}

void replay_streams_free(struct replay_stream *streams, size_t count)
{
	for (size_t i = 0; i < count; i++)
		stream_fini(&streams[i]);
	free(streams);
}

static bool read_payload(const struct trace_reader *reader, const struct trace_events_info *info,
			 uint8_t *into)
{
	if (info->payload == NULL)
		return trace_file_read(&reader->file, info->offset, into, info->payload_bytes) ==
		       info->payload_bytes;
	memcpy(into, info->payload, info->payload_bytes);
	return true;
}

/* Begins the next segment. Returns 1 with one begun, 0 when none is left, -ENOMEM. */
static int next_segment(struct replay_stream *stream, const struct trace_reader *reader,
			struct replay_figures *figures)
{
	while (stream->segment != stream->segment_end) {
		const struct trace_events_info *info = stream->segment++;
		int rc = event_buffers_reserve(&stream->buffers, info->payload_bytes);

		if (rc != 0)
			return rc;
		if (read_payload(reader, info, stream->buffers.payload))
			rc = event_segment_begin(&stream->decoder, &stream->buffers,
						 info->payload_bytes, reader->tick_shift);
		else
			rc = -EINVAL;
		if (rc == -ENOMEM)
			return rc;
		if (rc == 0) {
			stream->thread = info->thread;
			return 1;
		}
		figures->unreadable_segments++;
		figures->unreadable_events += info->events;
	}
	return 0;
}

static int refill_words(struct replay_stream *stream, struct replay_figures *figures)
{
	uint64_t records = stream->words.records;
	bool bad;

	if (stream->copy == NULL)
		return 0;
	stream->thread = stream->copy->thread;
	stream->count = event_words_next(&stream->words, stream->events, &bad);
	figures->events += stream->words.records - records;
	if (bad)
		figures->unreadable_ring = true;
	return stream->count != 0;
}

int replay_stream_refill(struct replay_stream *stream, const struct trace_reader *reader,
			 struct replay_figures *figures)
{
	int rc = 0;

	stream->next = 0;
	stream->count = 0;
	if (stream->events == NULL) {
		stream->events = malloc(EVENT_DECODE_EVENTS * sizeof(*stream->events));
		if (stream->events == NULL)
			return -ENOMEM;
	}
	while (!stream->in_words) {
		uint32_t left = stream->decoder.records_left;
		uint32_t bad;

		stream->count = event_decode_next(&stream->decoder, stream->events, &bad);
		figures->events += left - stream->decoder.records_left - bad;
		figures->unreadable_segments += bad != 0;
		figures->unreadable_events += bad;
		if (stream->count != 0)
			return 1;
		if (stream->decoder.records_left != 0)
			continue;
		rc = next_segment(stream, reader, figures);
		if (rc < 0)
			return rc;
		stream->in_words = rc == 0;
		if (stream->in_words)
			stream->words.tick = stream->decoder.floor << reader->tick_shift;
	}
	rc = refill_words(stream, figures);
	if (rc == 0)
		stream_fini(stream);
	return rc;
}

uint64_t replay_last_tick(const struct trace_reader *reader)
{
	uint64_t last = 0;

	for (size_t i = 0; i < reader->ring_count; i++) {
		const struct trace_ring_copy *copy = &reader->rings[i];
		size_t at = 0, length;

		while (at < copy->word_count && (length = event_words_of(copy->words[at])) != 0) {
			if (copy->words[at] >> 8 > last)
				last = copy->words[at] >> 8;
			at += length;
		}
	}
	return last;
}
