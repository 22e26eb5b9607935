/* The image is built in memory; nodes and rings are segments in it that are filled in place. */
#include "trace_builder.h"

#include "trace_rest.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define PAGE	   4096
#define RINGS_MAX  64
#define CHUNKS_MAX 64

struct builder_ring {
	uint64_t offset; /* of the segment */
	struct trace_ring control;
	uint64_t *words;
	size_t count, capacity;
	uint64_t events;	   /* in `words` */
	struct trace_words group;  /* of the segments of this group so far */
	struct trace_words staged; /* of the stage */
	struct trace_events head;  /* of the stage */
	uint8_t *stage;
	size_t stage_bytes, stage_room;
};

struct trace_builder {
	uint8_t *image;
	size_t bytes, capacity;
	struct trace_header header;
	uint32_t modules;
	uint32_t nodes; /* next id */
	uint64_t chunks[CHUNKS_MAX];
	struct builder_ring rings[RINGS_MAX];
	uint32_t ring_count;
	uint64_t last_tick;
};

static void *check(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

/* Appends zeros up to a multiple of `align`, then `bytes` of them; returns their offset. */
static uint64_t extend(struct trace_builder *builder, size_t bytes, size_t align)
{
	size_t offset = (builder->bytes + align - 1) / align * align;

	if (offset + bytes > builder->capacity) {
		size_t capacity = (offset + bytes) * 2;

		builder->image = check(realloc(builder->image, capacity));
		builder->capacity = capacity;
	}
	memset(builder->image + builder->bytes, 0, offset + bytes - builder->bytes);
	builder->bytes = offset + bytes;
	return offset;
}

struct trace_builder *trace_builder_new(void)
{
	struct trace_builder *builder = check(calloc(1, sizeof(*builder)));

	builder->header = (struct trace_header){.magic = TRACE_MAGIC,
						.version = TRACE_VERSION,
						.header_bytes = TRACE_HEADER_BYTES,
						.byte_order = TRACE_BYTE_ORDER,
						.machine = 62,
						.page_size = PAGE,
						.clock_kind = TRACE_CLOCK_MONOTONIC,
						.start = {0, 1000000000},
						.pid = 1,
						.max_depth = 256,
						.end = TRACE_END_EXIT};
	extend(builder, TRACE_HEADER_BYTES, 1);
	builder->nodes = 8;
	return builder;
}

void trace_builder_free(struct trace_builder *builder)
{
	for (uint32_t i = 0; i < builder->ring_count; i++) {
		free(builder->rings[i].words);
		free(builder->rings[i].group.words);
		free(builder->rings[i].staged.words);
		free(builder->rings[i].stage);
	}
	free(builder->image);
	free(builder);
}

struct trace_header *trace_builder_header(struct trace_builder *builder)
{
	return &builder->header;
}

static void write_head(struct trace_builder *builder, uint64_t offset,
		       struct trace_segment *segment)
{
	segment->magic = TRACE_SEGMENT_MAGIC;
	segment->head_hash = XXH3_64bits(segment, offsetof(struct trace_segment, head_hash));
	memcpy(builder->image + offset, segment, sizeof(*segment));
}

void trace_builder_segment(struct trace_builder *builder, uint32_t type, uint32_t index,
			   const void *payload, size_t bytes)
{
	size_t whole = sizeof(struct trace_segment) + bytes;
	struct trace_segment segment = {.type = type,
					.index = index,
					.bytes = (whole + 63) / 64 * 64,
					.payload_bytes = bytes,
					.payload_hash = XXH3_64bits(payload, bytes)};
	uint64_t offset = extend(builder, segment.bytes, TRACE_SEGMENT_ALIGN);

	write_head(builder, offset, &segment);
	memcpy(builder->image + offset + sizeof(segment), payload, bytes);
}

void trace_builder_process(struct trace_builder *builder, const char *exe, const char *cmdline,
			   size_t cmdline_bytes, const char *host, const char *cwd)
{
	struct trace_process process = {.exe_bytes = exe ? (uint32_t)strlen(exe) : 0,
					.cmdline_bytes = (uint32_t)cmdline_bytes,
					.host_bytes = host ? (uint32_t)strlen(host) : 0,
					.cwd_bytes = cwd ? (uint32_t)strlen(cwd) : 0};
	size_t bytes = sizeof(process) + process.exe_bytes + cmdline_bytes + process.host_bytes +
		       process.cwd_bytes;
	char *payload = check(malloc(bytes));
	char *to = mempcpy(payload, &process, sizeof(process));

	to = mempcpy(to, exe ? exe : "", process.exe_bytes);
	to = mempcpy(to, cmdline ? cmdline : "", cmdline_bytes);
	to = mempcpy(to, host ? host : "", process.host_bytes);
	memcpy(to, cwd ? cwd : "", process.cwd_bytes);
	trace_builder_segment(builder, TRACE_SEGMENT_PROCESS, 0, payload, bytes);
	free(payload);
}

uint32_t trace_builder_module(struct trace_builder *builder, const char *path, uint64_t start,
			      uint64_t end, uint64_t bias, uint32_t epoch)
{
	struct trace_module module = {.bias = bias,
				      .start = start,
				      .end = end,
				      .epoch = epoch,
				      .module = builder->modules,
				      .build_id_bytes = 4,
				      .path_bytes = (uint32_t)strlen(path)};
	size_t bytes = sizeof(module) + 4 + module.path_bytes;
	char *payload = check(malloc(bytes));
	char *to = mempcpy(payload, &module, sizeof(module));

	to = mempcpy(to, "\x01\x02\x03\x04", 4);
	memcpy(to, path, module.path_bytes);
	trace_builder_segment(builder, TRACE_SEGMENT_MODULE, 0, payload, bytes);
	free(payload);
	return builder->modules++;
}

static uint32_t find_region(struct trace_builder *builder, uint64_t pc, uint32_t epoch)
{
	for (uint32_t i = 0; i < TRACE_REGION_WIDE; i++) {
		struct trace_region *region = &builder->header.regions[i];

		if (region->epoch_1 == 0)
			*region = (struct trace_region){.pc_high = (uint32_t)(pc >> 32),
							.epoch_1 = epoch + 1};
		if (region->epoch_1 == epoch + 1 && region->pc_high == pc >> 32)
			return i;
	}
	abort();
}

uint32_t trace_builder_node_at(struct trace_builder *builder, uint32_t parent, uint64_t pc,
			       uint32_t epoch)
{
	uint32_t id = builder->nodes++;
	size_t chunk = id / TRACE_NODES_CHUNK_WORDS;
	uint64_t word;

	if (builder->nodes % TRACE_NODES_CHUNK_WORDS == 0)
		builder->nodes += 8;
	if (builder->chunks[chunk] == 0) {
		struct trace_segment segment = {.type = TRACE_SEGMENT_NODES,
						.index = (uint32_t)chunk,
						.bytes = TRACE_NODES_CHUNK_WORDS * 8};

		segment.payload_bytes = segment.bytes - sizeof(segment);
		builder->chunks[chunk] = extend(builder, segment.bytes, PAGE);
		write_head(builder, builder->chunks[chunk], &segment);
	}
	word = TRACE_NODE(parent, find_region(builder, pc, epoch), pc);
	memcpy(builder->image + builder->chunks[chunk] + id % TRACE_NODES_CHUNK_WORDS * 8, &word,
	       sizeof(word));
	return id;
}

uint32_t trace_builder_node(struct trace_builder *builder, uint32_t parent, uint64_t pc)
{
	return trace_builder_node_at(builder, parent, pc, 0);
}

uint32_t trace_builder_ring(struct trace_builder *builder, uint32_t thread, size_t words)
{
	return trace_builder_ring_staged(builder, thread, words, 0);
}

uint32_t trace_builder_ring_staged(struct trace_builder *builder, uint32_t thread, size_t words,
				   size_t stage_bytes)
{
	uint32_t index = builder->ring_count++;
	struct builder_ring *ring = &builder->rings[index];
	struct trace_segment segment = {.type = TRACE_SEGMENT_RING, .index = index};

	if (index >= RINGS_MAX)
		abort();
	segment.bytes = (TRACE_RING_DATA_OFFSET + words * 8 + stage_bytes + PAGE - 1) / PAGE * PAGE;
	segment.payload_bytes = segment.bytes - sizeof(segment);
	ring->offset = extend(builder, segment.bytes, PAGE);
	write_head(builder, ring->offset, &segment);
	ring->control.thread = thread;
	ring->control.tid = 100 + thread;
	ring->control.word_bytes = words * 8;
	ring->stage_room = stage_bytes;
	ring->stage = check(calloc(1, stage_bytes + 1));
	ring->capacity = words;
	ring->words = check(calloc(words, sizeof(uint64_t)));
	return index;
}

void trace_builder_ring_thread(struct trace_builder *builder, uint32_t ring, uint32_t thread)
{
	builder->rings[ring].control.thread = thread;
	builder->rings[ring].control.tid = 100 + thread;
}

void trace_builder_words(struct trace_builder *builder, uint32_t index, const uint64_t *words,
			 size_t count)
{
	struct builder_ring *ring = &builder->rings[index];

	if (ring->count + count > ring->capacity)
		trace_builder_flush(builder, index, TRACE_COMPRESSION_ZSTD, 0, TRACE_BUILDER_FREE);
	if (count > ring->capacity)
		abort();
	memcpy(ring->words + ring->count, words, count * sizeof(*words));
	ring->count += count;
	ring->events++;
	if (words[0] >> 8 > builder->last_tick)
		builder->last_tick = words[0] >> 8;
}

void trace_builder_acquire(struct trace_builder *builder, uint32_t ring, uint64_t tick,
			   enum trace_event_kind kind, uint64_t address, uint64_t bytes,
			   uint32_t stack)
{
	uint64_t words[] = {tick << 8 | kind, address, bytes, stack};

	trace_builder_words(builder, ring, words, 4);
}

void trace_builder_release(struct trace_builder *builder, uint32_t ring, uint64_t tick,
			   enum trace_event_kind kind, uint64_t address)
{
	uint64_t words[] = {tick << 8 | kind, address};

	trace_builder_words(builder, ring, words, 2);
}

void trace_builder_realloc(struct trace_builder *builder, uint32_t ring, uint64_t released,
			   uint64_t acquired, uint64_t old, uint64_t address, uint64_t bytes,
			   uint32_t stack)
{
	uint64_t words[] = {
	    acquired << 8 | TRACE_EVENT_REALLOC, address, bytes, stack, old, released};

	trace_builder_words(builder, ring, words, 6);
}

void trace_builder_failed(struct trace_builder *builder, uint32_t ring, uint64_t tick,
			  enum trace_event_kind function, uint64_t bytes, uint32_t stack)
{
	uint64_t words[] = {tick << 8 | TRACE_EVENT_FAILED, function, bytes, stack};

	trace_builder_words(builder, ring, words, 4);
}

void trace_builder_sample(struct trace_builder *builder, uint32_t ring, uint64_t tick,
			  uint64_t value)
{
	uint64_t words[] = {tick << 8 | TRACE_EVENT_RSS, value};

	trace_builder_words(builder, ring, words, 2);
}

/* What is in the ring and not in the stage; a view. */
static struct trace_words words_of(const struct builder_ring *ring)
{
	return (struct trace_words){ring->words, ring->count, (uint32_t)ring->events};
}

/* What a segment with that head goes on from. */
static const struct trace_words *group_of(const struct builder_ring *ring,
					  const struct trace_events *head)
{
	static const struct trace_words nothing;

	return head->flags & TRACE_EVENTS_CONTINUES ? &ring->group : &nothing;
}

static struct trace_events new_head(const struct trace_builder *builder, uint32_t index,
				    unsigned tick_shift, int how)
{
	const struct builder_ring *ring = &builder->rings[index];
	struct trace_events events = {
	    .ring = index,
	    .thread = ring->control.thread,
	    .tid = ring->control.tid,
	    .from = ring->control.flushed,
	    .first_event = ring->control.flushed_events,
	    .first_tick = ring->words[0] >> 8,
	    .lost_events = ring->control.lost_events,
	    .tick_shift = (uint8_t)tick_shift,
	    .flags = (how & TRACE_BUILDER_RUNS ? TRACE_EVENTS_RUNS : 0) |
		     (how & TRACE_BUILDER_CONTINUES ? TRACE_EVENTS_CONTINUES : 0),
	    .clock = {builder->last_tick, builder->header.start.monotonic_ns + builder->last_tick}};

	return events;
}

void trace_builder_stage(struct trace_builder *builder, uint32_t index, unsigned tick_shift,
			 int how)
{
	struct builder_ring *ring = &builder->rings[index];
	struct trace_part part = {.from = ring->control.flushed,
				  .to = ring->control.flushed + ring->count,
				  .last_tick = builder->last_tick,
				  .events = (uint32_t)ring->events};
	struct trace_words words = words_of(ring);
	struct trace_rest rest;

	if (ring->count == 0)
		return;
	if (ring->staged.count == 0) {
		ring->head = new_head(builder, index, tick_shift, how);
		ring->stage_bytes = sizeof(ring->head);
		if (ring->stage_room < ring->stage_bytes)
			abort();
		memcpy(ring->stage, &ring->head, sizeof(ring->head));
	}
	rest = trace_rest_encode(group_of(ring, &ring->head), &ring->staged, &words, &ring->head);
	part.bytes = (uint32_t)(sizeof(part) + trace_rest_bytes(&rest) + 7) / 8 * 8;
	if (ring->stage_room - ring->stage_bytes < part.bytes)
		abort();
	trace_rest_put(ring->stage + ring->stage_bytes + sizeof(part), &rest, part.column_bytes);
	memcpy(ring->stage + ring->stage_bytes, &part, sizeof(part));
	if (how & TRACE_BUILDER_KEEP)
		return;
	ring->stage_bytes += part.bytes;
	trace_words_add(&ring->staged, ring->words, ring->count, ring->events);
	ring->control.flushed += ring->count;
	ring->control.flushed_events += ring->events;
	ring->count = 0;
	ring->events = 0;
}

/* head and columns into one payload; the caller frees. */
static uint8_t *make_payload(struct trace_events *events, struct trace_rest *rest, size_t *bytes)
{
	size_t total = trace_rest_bytes(rest), room;
	uint8_t *columns = check(malloc(total + 1));
	uint8_t *payload;

	trace_rest_put(columns, rest, events->column_bytes);
	room = ZSTD_compressBound(total);
	payload = check(malloc(sizeof(*events) + room));
	memcpy(payload, events, sizeof(*events));
	if (events->compression == TRACE_COMPRESSION_ZSTD) {
		size_t packed = ZSTD_compress(payload + sizeof(*events), room, columns, total, 1);

		if (ZSTD_isError(packed))
			abort();
		total = packed;
	} else {
		memcpy(payload + sizeof(*events), columns, total);
	}
	free(columns);
	*bytes = sizeof(*events) + total;
	return payload;
}

/* The stage and the words become words alone, to be encoded at once. */
static void unstage(struct builder_ring *ring)
{
	size_t count = ring->staged.count;

	if (count == 0)
		return;
	ring->words = check(realloc(ring->words, (count + ring->capacity) * sizeof(*ring->words)));
	memmove(ring->words + count, ring->words, ring->count * sizeof(*ring->words));
	memcpy(ring->words, ring->staged.words, count * sizeof(*ring->words));
	ring->count += count;
	ring->events += ring->staged.events;
}

/* `how` a flush of `events` and `words`, staged ones and others, was ended. */
static void give_free(struct builder_ring *ring, const struct trace_events *events,
		      const struct trace_words *staged, int how)
{
	if (how & (TRACE_BUILDER_KEEP | TRACE_BUILDER_RESERVED | TRACE_BUILDER_GARBLE |
		   TRACE_BUILDER_UNSTAGED)) {
		ring->count -= staged->count;
		ring->events -= staged->events;
		memmove(ring->words, ring->words + staged->count,
			ring->count * sizeof(*ring->words));
		if (how & TRACE_BUILDER_UNSTAGED)
			ring->control.staged = events->to;
		return;
	}
	if (!(events->flags & TRACE_EVENTS_CONTINUES))
		ring->group.count = ring->group.events = 0;
	trace_words_add(&ring->group, ring->words, ring->count, ring->events);
	ring->staged.count = ring->staged.events = 0;
	ring->control.flushed_events += ring->events - staged->events;
	ring->control.flushed = ring->control.staged = events->to;
	ring->count = 0;
	ring->events = 0;
}

void trace_builder_flush(struct trace_builder *builder, uint32_t index,
			 enum trace_compression compression, unsigned tick_shift, int how)
{
	struct builder_ring *ring = &builder->rings[index];
	struct trace_words staged = ring->staged, nothing = {0}, words;
	struct trace_events events;
	struct trace_rest rest;
	uint8_t *payload;
	size_t bytes;

	if (ring->count == 0 && staged.count == 0)
		return;
	events = staged.count != 0 ? ring->head : new_head(builder, index, tick_shift, how);
	unstage(ring);
	events.to = events.from + ring->count;
	events.compression = (uint8_t)compression;
	words = words_of(ring);
	rest = trace_rest_encode(group_of(ring, &events), &nothing, &words, &events);
	events.events = (uint32_t)ring->events;
	events.last_tick = builder->last_tick;
	payload = make_payload(&events, &rest, &bytes);
	if (how & TRACE_BUILDER_RESERVED)
		extend(builder, (bytes + 127) / 64 * 64, TRACE_SEGMENT_ALIGN);
	else
		trace_builder_segment(builder, TRACE_SEGMENT_EVENTS, index, payload, bytes);
	if (how & TRACE_BUILDER_GARBLE)
		builder->image[builder->bytes - 64] ^= 1;
	free(payload);
	give_free(ring, &events, &staged, how);
}

const uint8_t *trace_builder_finish(struct trace_builder *builder, size_t *bytes)
{
	struct trace_header *header = &builder->header;

	for (uint32_t i = 0; i < builder->ring_count; i++) {
		struct builder_ring *ring = &builder->rings[i];

		ring->control.head = ring->control.flushed + ring->count;
		memcpy(builder->image + ring->offset + sizeof(struct trace_segment), &ring->control,
		       sizeof(ring->control));
		memcpy(builder->image + ring->offset + TRACE_RING_DATA_OFFSET, ring->words,
		       ring->count * sizeof(uint64_t));
		memcpy(builder->image + ring->offset + TRACE_RING_DATA_OFFSET +
			   ring->control.word_bytes,
		       ring->stage, ring->stage_room);
	}
	header->tail = builder->bytes;
	if (header->end != TRACE_END_NONE && header->end_clock.tick == 0)
		header->end_clock = (struct trace_clock){
		    builder->last_tick, header->start.monotonic_ns + builder->last_tick};
	header->checksum = XXH3_64bits(header, offsetof(struct trace_header, checksum));
	memcpy(builder->image, header, sizeof(*header));
	*bytes = builder->bytes;
	return builder->image;
}
