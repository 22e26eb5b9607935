/*
 * One function a segment type. The head was found sound by the scan; the payload is hashed here,
 * then every length in it is checked against what is there.
 *
 * An EVENTS segment with a wrong hash is no loss while the ring still holds its events: that is a
 * flush cut short by SIGKILL, or one that is going on right now.
 */
#include "trace_segments.h"

#include "trace_nodes.h"
#include "trace_rings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define MODULES_MAX	  65536
#define WIDE_CHUNKS_MAX	  4096
#define BUILD_ID_MAX	  64
#define PATH_BYTES_MAX	  65536
#define CMDLINE_BYTES_MAX (4U * 1024 * 1024)

void *trace_grow(void *array, size_t count, size_t bytes)
{
	/* Grows when count is a power of two, so no capacity needs keeping. */
	if (count != 0 && (count & (count - 1)) != 0)
		return array;
	return reallocarray(array, count == 0 ? 1 : count * 2, bytes);
}

int trace_scratch_reserve(struct trace_scratch *scratch, size_t bytes)
{
	uint8_t *larger;

	if (bytes <= scratch->capacity)
		return 0;
	larger = realloc(scratch->bytes, bytes);
	if (larger == NULL)
		return -ENOMEM;
	scratch->bytes = larger;
	scratch->capacity = bytes;
	return 0;
}

void trace_segment_bad(struct trace_reader *reader, const struct trace_head *head, const char *what)
{
	uint64_t there = reader->file.size > head->offset ? reader->file.size - head->offset : 0;

	/* What lies beyond the end of the file is counted from the header. */
	trace_damage_add(&reader->damage, head->segment.bytes < there ? head->segment.bytes : there,
			 "%s at offset %llu", what, (unsigned long long)head->offset);
}

/* Reads the payload. Returns 1 when it is there, whole and right; 0 when not; -ENOMEM. */
static int read_payload(struct trace_reader *reader, const struct trace_head *head,
			struct trace_scratch *scratch, size_t *got)
{
	size_t bytes = head->segment.payload_bytes;

	*got = 0;
	if (head->segment.payload_bytes > TRACE_PAYLOAD_BYTES_MAX)
		return 0;
	if (trace_scratch_reserve(scratch, bytes) != 0)
		return -ENOMEM;
	if (bytes == 0)
		return 0;
	*got = trace_file_read(&reader->file, head->offset + sizeof(head->segment), scratch->bytes,
			       bytes);
	if (*got != bytes)
		return 0;
	return XXH3_64bits(scratch->bytes, bytes) == head->segment.payload_hash;
}

static char *copy_string(const uint8_t *bytes, size_t count)
{
	char *copy = malloc(count + 1);

	if (copy != NULL) {
		memcpy(copy, bytes, count);
		copy[count] = '\0';
	}
	return copy;
}

static int index_process(struct trace_reader *reader, const struct trace_head *head,
			 const uint8_t *payload, size_t bytes)
{
	struct trace_process process;
	struct trace_process_info *info = &reader->process;
	uint64_t total;
	char **into[] = {&info->exe, &info->cmdline, &info->host, &info->cwd};

	if (bytes < sizeof(process)) {
		trace_segment_bad(reader, head, "unsound process segment");
		return 0;
	}
	memcpy(&process, payload, sizeof(process));
	total = (uint64_t)process.exe_bytes + process.cmdline_bytes + process.host_bytes +
		process.cwd_bytes;
	if (total > bytes - sizeof(process) || info->exe != NULL) {
		trace_segment_bad(reader, head, "unsound process segment");
		return 0;
	}
	const uint32_t lengths[] = {process.exe_bytes, process.cmdline_bytes, process.host_bytes,
				    process.cwd_bytes};

	payload += sizeof(process);
	for (size_t i = 0; i < 4; i++) {
		*into[i] = copy_string(payload, lengths[i]);
		if (*into[i] == NULL)
			return -ENOMEM;
		payload += lengths[i];
	}
	info->cmdline_bytes = process.cmdline_bytes;
	return 0;
}

static int index_module(struct trace_reader *reader, const struct trace_head *head,
			const uint8_t *payload, size_t bytes)
{
	struct trace_module_info info = {0};
	void *larger;

	if (bytes >= sizeof(info.head))
		memcpy(&info.head, payload, sizeof(info.head));
	if (bytes < sizeof(info.head) || info.head.build_id_bytes > BUILD_ID_MAX ||
	    info.head.path_bytes > PATH_BYTES_MAX || info.head.start >= info.head.end ||
	    reader->module_count >= MODULES_MAX ||
	    (uint64_t)info.head.build_id_bytes + info.head.path_bytes > bytes - sizeof(info.head)) {
		trace_segment_bad(reader, head, "unsound module segment");
		return 0;
	}
	payload += sizeof(info.head);
	larger = trace_grow(reader->modules, reader->module_count, sizeof(*reader->modules));
	if (larger == NULL)
		return -ENOMEM;
	reader->modules = larger;
	info.build_id = (uint8_t *)copy_string(payload, info.head.build_id_bytes);
	info.path = copy_string(payload + info.head.build_id_bytes, info.head.path_bytes);
	if (info.build_id == NULL || info.path == NULL) {
		free(info.build_id);
		free(info.path);
		return -ENOMEM;
	}
	reader->modules[reader->module_count++] = info;
	return 0;
}

static int index_unload(struct trace_reader *reader, const struct trace_head *head,
			const uint8_t *payload, size_t bytes)
{
	void *larger;

	if (bytes < sizeof(*reader->unloads)) {
		trace_segment_bad(reader, head, "unsound unload segment");
		return 0;
	}
	larger = trace_grow(reader->unloads, reader->unload_count, sizeof(*reader->unloads));
	if (larger == NULL)
		return -ENOMEM;
	reader->unloads = larger;
	memcpy(&reader->unloads[reader->unload_count++], payload, sizeof(*reader->unloads));
	return 0;
}

static bool events_sound(const struct trace_reader *reader, const struct trace_events *events,
			 size_t payload_bytes)
{
	uint64_t columns = 0;

	for (size_t i = 0; i < TRACE_COLUMNS; i++)
		columns += events->column_bytes[i];
	if (columns > TRACE_PAYLOAD_BYTES_MAX || events->events == 0 ||
	    events->events > TRACE_EVENTS_MAX ||
	    events->column_bytes[TRACE_COLUMN_SHAPE] < events->events ||
	    (!(events->flags & TRACE_EVENTS_RUNS) &&
	     events->column_bytes[TRACE_COLUMN_TIME] < events->events) ||
	    events->tick_shift > TRACE_TICK_SHIFT_MAX || events->from >= events->to)
		return false;
	if (reader->header_sound && events->tick_shift < reader->header.tick_shift)
		return false;
	if (events->compression == TRACE_COMPRESSION_NONE)
		return columns <= payload_bytes - sizeof(*events);
	return events->compression == TRACE_COMPRESSION_ZSTD;
}

int trace_segment_add_events(struct trace_reader *reader, const uint8_t *payload, size_t bytes,
			     uint64_t offset, bool in_memory)
{
	struct trace_events events;
	struct trace_events_info *info;
	void *larger;

	if (bytes >= sizeof(events))
		memcpy(&events, payload, sizeof(events));
	if (bytes < sizeof(events) || !events_sound(reader, &events, bytes))
		return -EINVAL;
	larger = trace_grow(reader->events, reader->event_segments, sizeof(*reader->events));
	if (larger == NULL)
		return -ENOMEM;
	reader->events = larger;
	info = &reader->events[reader->event_segments++];
	*info = (struct trace_events_info){
	    .payload = in_memory ? payload : NULL,
	    .offset = offset,
	    .payload_bytes = bytes,
	    .from = events.from,
	    .to = events.to,
	    .first_event = events.first_event,
	    .first_tick = events.first_tick,
	    .last_tick = events.last_tick,
	    .unrecorded = events.lost_events,
	    .clock = events.clock,
	    .events = events.events,
	    .ring = events.ring,
	    .thread = events.thread,
	    .tick_shift = events.tick_shift,
	};
	return 0;
}

static int index_events(struct trace_reader *reader, const struct trace_head *head,
			const uint8_t *payload, size_t bytes)
{
	int rc = trace_segment_add_events(reader, payload, bytes,
					  head->offset + sizeof(head->segment), false);

	if (rc == -EINVAL)
		trace_segment_bad(reader, head, "unsound events segment");
	return rc == -ENOMEM ? rc : 0;
}

/* A flush cut short or going on: the copy of the ring has the events. */
static bool ring_has(const struct trace_reader *reader, const uint8_t *payload, size_t bytes)
{
	struct trace_events events;

	if (bytes < sizeof(events))
		return false;
	memcpy(&events, payload, sizeof(events));
	return trace_rings_hold(reader, events.ring, events.from, events.to);
}

/* Nothing written after the head yet. */
static bool chunk_empty(const struct trace_reader *reader, uint64_t offset)
{
	static const uint8_t zeros[4096];
	uint8_t bytes[sizeof(zeros)];
	size_t got = trace_file_read(&reader->file, offset + sizeof(struct trace_segment), bytes,
				     sizeof(bytes));

	return memcmp(bytes, zeros, got) == 0;
}

/*
 * Two threads may make the same chunk at once; one of them wins and the other takes its own back,
 * unless it is killed before. Nothing was ever written into that one.
 */
static void index_second_chunk(struct trace_reader *reader, const struct trace_head *head,
			       uint64_t *offset)
{
	if (chunk_empty(reader, head->offset))
		return;
	if (chunk_empty(reader, *offset))
		*offset = head->offset;
	else
		trace_segment_bad(reader, head, "second stack segment of one number");
}

static int index_chunk(struct trace_reader *reader, const struct trace_head *head,
		       struct trace_chunks *chunks, size_t max)
{
	size_t index = head->segment.index;

	if (index >= max) {
		trace_segment_bad(reader, head, "unsound stack segment");
		return 0;
	}
	if (index < chunks->count && chunks->offsets[index] != 0) {
		index_second_chunk(reader, head, &chunks->offsets[index]);
		return 0;
	}
	if (index >= chunks->count) {
		size_t count = index + 1 > chunks->count * 2 ? index + 1 : chunks->count * 2;
		uint64_t *larger = reallocarray(chunks->offsets, count, sizeof(*larger));

		if (larger == NULL)
			return -ENOMEM;
		memset(larger + chunks->count, 0, (count - chunks->count) * sizeof(*larger));
		chunks->offsets = larger;
		chunks->count = count;
	}
	chunks->offsets[index] = head->offset;
	return 0;
}

static int index_packed(struct trace_reader *reader, const struct trace_head *head, size_t bytes)
{
	int rc = trace_nodes_add_packed(reader, head->segment.index,
					head->offset + sizeof(head->segment), bytes);

	if (rc == -EINVAL)
		trace_segment_bad(reader, head, "unsound packed stacks");
	return rc == -ENOMEM ? rc : 0;
}

/*
 * The process ended while it wrote so many segments: what was in one is in the ring still, or was
 * not used yet. That events are missing all the same would show in the ordinals.
 */
static bool was_on_its_way(struct trace_reader *reader)
{
	if (reader->unfinished >= reader->header.writing)
		return false;
	reader->unfinished++;
	return true;
}

static int index_appended(struct trace_reader *reader, const struct trace_head *head,
			  struct trace_scratch *scratch)
{
	size_t got;
	int right = read_payload(reader, head, scratch, &got);

	if (right < 0)
		return right;
	if (right == 0) {
		if (head->segment.type == TRACE_SEGMENT_EVENTS &&
		    ring_has(reader, scratch->bytes, got))
			return 0;
		if (head->segment.type == TRACE_SEGMENT_PACKED &&
		    (reader->running || trace_nodes_in_window(reader, head->segment.index)))
			return 0;
		if (was_on_its_way(reader))
			return 0;
		if (head->cut && !reader->running)
			reader->damage.cut = true;
		trace_segment_bad(reader, head,
				  head->cut ? "the file ends within the segment" : "bad segment");
		return 0;
	}
	switch (head->segment.type) {
	case TRACE_SEGMENT_PROCESS:
		return index_process(reader, head, scratch->bytes, got);
	case TRACE_SEGMENT_MODULE:
		return index_module(reader, head, scratch->bytes, got);
	case TRACE_SEGMENT_UNLOAD:
		return index_unload(reader, head, scratch->bytes, got);
	case TRACE_SEGMENT_PACKED:
		return index_packed(reader, head, got);
	default:
		return index_events(reader, head, scratch->bytes, got);
	}
}

int trace_segment_index(struct trace_reader *reader, const struct trace_head *head,
			struct trace_scratch *scratch)
{
	if (trace_segment_mapped(head->segment.type) && head->cut && !reader->running)
		reader->damage.cut = true;
	switch (head->segment.type) {
	case TRACE_SEGMENT_PROCESS:
	case TRACE_SEGMENT_MODULE:
	case TRACE_SEGMENT_UNLOAD:
	case TRACE_SEGMENT_EVENTS:
	case TRACE_SEGMENT_PACKED:
		return index_appended(reader, head, scratch);
	case TRACE_SEGMENT_NODES:
		return index_chunk(reader, head, &reader->nodes, TRACE_NODE_CHUNKS_MAX);
	case TRACE_SEGMENT_WINDOW:
		return trace_nodes_add_window(reader, head->offset);
	case TRACE_SEGMENT_WIDE:
		return index_chunk(reader, head, &reader->wide, WIDE_CHUNKS_MAX);
	default:
		/* RING was copied before; what we do not know is skipped by its length. */
		return 0;
	}
}
