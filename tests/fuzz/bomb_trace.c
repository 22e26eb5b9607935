/*
 * Writes small traces that claim a great deal, to see what reading them costs:
 *
 *     bomb_trace KIND FILE
 */
#include "trace_builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define EVENTS_BYTES sizeof(struct trace_events)

/* Blocks 64 KiB apart, none freed, in segments that compress to almost nothing. */
static void blocks(struct trace_builder *builder)
{
	uint32_t ring = trace_builder_ring(builder, 0, TRACE_EVENTS_MAX * 4);
	uint32_t node = trace_builder_node(builder, 0, 0x1000);

	for (uint64_t i = 1; i < 40 * TRACE_EVENTS_MAX; i++)
		trace_builder_acquire(builder, ring, i, TRACE_EVENT_MALLOC, i << 16, 24, node);
}

/* Counts and lengths that nothing can have, hashes right. */
static void counts(struct trace_builder *builder)
{
	struct trace_header *header = trace_builder_header(builder);
	struct trace_events events = {.events = UINT32_MAX,
				      .to = UINT64_C(1) << 60,
				      .first_event = UINT64_C(1) << 60,
				      .last_tick = UINT64_C(1) << 55,
				      .tick_shift = 1};
	struct trace_process process = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
	struct trace_module module = {
	    .end = UINT64_MAX, .build_id_bytes = 4, .path_bytes = 1 << 31};
	uint64_t node = TRACE_NODE(1, 0, 0x1000);

	header->max_depth = UINT32_MAX;
	header->end_events = UINT64_C(1) << 60;
	for (uint32_t i = 0; i < 64; i++) {
		events.ring = i << 26;
		events.thread = UINT32_MAX - i;
		for (size_t column = 0; column < TRACE_COLUMNS; column++)
			events.column_bytes[column] = i & 1 ? UINT32_MAX : 1U << 20;
		events.events = i & 1 ? UINT32_MAX : TRACE_EVENTS_MAX;
		events.compression = TRACE_COMPRESSION_ZSTD;
		trace_builder_segment(builder, TRACE_SEGMENT_EVENTS, i, &events, sizeof(events));
		trace_builder_segment(builder, TRACE_SEGMENT_NODES, i * 127, &node, sizeof(node));
		trace_builder_segment(builder, TRACE_SEGMENT_WIDE, UINT32_MAX >> i % 32, &node,
				      sizeof(node));
		trace_builder_segment(builder, TRACE_SEGMENT_MODULE, i, &module, sizeof(module));
	}
	trace_builder_segment(builder, TRACE_SEGMENT_PROCESS, 0, &process, sizeof(process));
}

/* Frames that unpack to far more than their segment says, and say so, or not. */
static void inflate(struct trace_builder *builder)
{
	/* RFC 8878: magic; single segment with 8 bytes of content size, 2^42; a block of 128 KiB of
	   one byte, not the last. */
	static const uint8_t lies[] = {0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0,    0, 0,
				       0,    4,	   0,	 0,    0x02, 0, 0x10, 0};
	size_t bytes = (size_t)64 << 20, room = ZSTD_compressBound(bytes);
	uint8_t *zeros = calloc(1, bytes), *payload = calloc(1, EVENTS_BYTES + room);
	struct trace_events events = {.compression = TRACE_COMPRESSION_ZSTD};
	size_t packed;

	if (zeros == NULL || payload == NULL)
		exit(2);
	packed = ZSTD_compress(payload + EVENTS_BYTES, room, zeros, bytes, 19);
	for (uint32_t i = 0; i < 200; i++) {
		events.from = i;
		events.to = i + 1;
		events.first_event = (uint64_t)i * TRACE_EVENTS_MAX;
		events.events = TRACE_EVENTS_MAX;
		for (size_t column = 0; column < TRACE_COLUMNS; column++)
			events.column_bytes[column] = 2 << 20;
		if (i & 1) {
			memcpy(payload + EVENTS_BYTES, lies, sizeof(lies));
			packed = sizeof(lies);
		}
		events.ring = i / 2;
		memcpy(payload, &events, sizeof(events));
		trace_builder_segment(builder, TRACE_SEGMENT_EVENTS, 0, payload,
				      EVENTS_BYTES + packed);
	}
	free(zeros);
	free(payload);
}

/* Each node the caller of the next, and a site for each: as deep as there are nodes. */
static void chain(struct trace_builder *builder)
{
	uint32_t ring = trace_builder_ring(builder, 0, TRACE_EVENTS_MAX * 4);
	uint32_t node = 0;

	for (uint64_t i = 1; i < 20000; i++) {
		node = trace_builder_node(builder, node, 0x1000 + i);
		trace_builder_acquire(builder, ring, i, TRACE_EVENT_MALLOC, i << 4, 1, node);
	}
}

/* Nodes that call each other in a circle. */
static void cycle(struct trace_builder *builder)
{
	uint32_t ring = trace_builder_ring(builder, 0, TRACE_EVENTS_MAX * 4);

	for (uint32_t i = 0; i < 8000; i++) {
		uint32_t node = trace_builder_node(builder, 8 + (i + 1) % 8000, 0x1000 + i);

		trace_builder_acquire(builder, ring, i, TRACE_EVENT_MALLOC, i << 4 | 8, 1, node);
	}
}

/* Long names, many of them, none with an end. */
static void names(struct trace_builder *builder)
{
	static char text[65001];
	uint32_t ring = trace_builder_ring(builder, 0, TRACE_EVENTS_MAX * 4);

	memset(text, '\033', sizeof(text) - 1);
	text[0] = '/';
	trace_builder_process(builder, text, text, sizeof(text) - 1, text, text);
	for (uint32_t i = 0; i < 300; i++) {
		uint64_t at = UINT64_C(1) << 32 | i << 12;

		text[1] = (char)(i % 10 + '0');
		trace_builder_module(builder, text, at, at + 4096, at, 0);
		trace_builder_acquire(builder, ring, i, TRACE_EVENT_MALLOC, i << 4 | 8, 1,
				      trace_builder_node(builder, 0, at + 8));
	}
}

/* Four thousand million threads, by their serial numbers; as many segments as there is room. */
static void threads(struct trace_builder *builder)
{
	uint32_t ring = trace_builder_ring(builder, 0, 64);

	for (uint32_t i = 0; i < 20000; i++) {
		trace_builder_ring_thread(builder, ring, i * 214748U);
		trace_builder_acquire(builder, ring, i, TRACE_EVENT_MALLOC, i << 4 | 8, 1, 0);
		trace_builder_flush(builder, ring, TRACE_COMPRESSION_NONE, 0, 0);
	}
}

/* Puts bytes into a file, the rest of which takes no space on the disk. */
static void put_at(FILE *file, long at, const void *bytes, size_t count)
{
	if (fseek(file, at, SEEK_SET) != 0 || fwrite(bytes, count, 1, file) != 1)
		exit(2);
}

static void put_ring(FILE *file, long at, long bytes, uint32_t index, const struct trace_ring *ring)
{
	struct trace_segment head = {.magic = TRACE_SEGMENT_MAGIC,
				     .type = TRACE_SEGMENT_RING,
				     .index = index,
				     .bytes = (uint64_t)bytes,
				     .payload_bytes = (uint64_t)bytes - sizeof(head)};

	head.head_hash = XXH3_64bits(&head, offsetof(struct trace_segment, head_hash));
	put_at(file, at, &head, sizeof(head));
	put_at(file, at + (long)sizeof(head), ring, sizeof(*ring));
	put_at(file, at + bytes - 1, "", 1);
}

/* Rings of 64 MiB each behind the trace, full. */
static void rings(FILE *file)
{
	const long bytes = 64 << 20;

	for (uint32_t i = 0; i < 12; i++) {
		uint64_t words = (uint64_t)(bytes - TRACE_RING_DATA_OFFSET) / 8;
		struct trace_ring ring = {.head = words, .word_bytes = words * 8};

		put_ring(file, (1 << 20) + i * bytes, bytes, i, &ring);
	}
}

#define STAGE_EMPTY_PARTS 200000

/* One part of a stage that has no events: of many, each costs its reader a look. */
static void empty_parts(FILE *file, long at)
{
	struct trace_part part = {.bytes = sizeof(part)};

	for (uint64_t i = 0; i < STAGE_EMPTY_PARTS; i++) {
		part.from = i;
		part.to = i + 1;
		put_at(file, at + (long)(i * sizeof(part)), &part, sizeof(part));
	}
}

/* Rings whose stages are 16 MiB each, 750 of all, or say that they are far more. */
static void stages(FILE *file)
{
	const long bytes = 16 << 20;

	for (uint32_t i = 0; i < 80; i++) {
		long at = (1 << 20) + i * bytes, stage = at + TRACE_RING_DATA_OFFSET + 512;
		struct trace_ring ring = {.head = 1000, .flushed = 1000, .word_bytes = 512};
		struct trace_events head = {.ring = i};
		struct trace_part part = {.to = 1000, .events = TRACE_EVENTS_MAX};

		part.bytes = i % 8 == 1 ? UINT32_MAX - 7 : (uint32_t)bytes - 8192;
		for (size_t column = 0; column < TRACE_COLUMNS; column++)
			part.column_bytes[column] = i % 8 == 2 ? UINT32_MAX : 3 << 19;
		if (i == 3)
			ring.head = ring.flushed = STAGE_EMPTY_PARTS;
		if (i % 8 == 3)
			part.to = part.events = 1;
		put_ring(file, at, bytes, i, &ring);
		put_at(file, stage, &head, sizeof(head));
		put_at(file, stage + (long)sizeof(head), &part, sizeof(part));
		if (i == 3)
			empty_parts(file, stage + (long)sizeof(head));
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*make)(struct trace_builder *builder);
		void (*add)(FILE *file); /* behind the trace */
	} kinds[] = {
	    {"blocks", blocks, NULL},	{"counts", counts, NULL}, {"inflate", inflate, NULL},
	    {"chain", chain, NULL},	{"cycle", cycle, NULL},	  {"names", names, NULL},
	    {"threads", threads, NULL}, {"rings", NULL, rings},	  {"stages", NULL, stages},
	};
	const size_t count = sizeof(kinds) / sizeof(kinds[0]);
	struct trace_builder *builder = trace_builder_new();
	const uint8_t *image;
	size_t bytes, kind = 0;
	FILE *file;

	while (argc == 3 && kind < count && strcmp(kinds[kind].name, argv[1]) != 0)
		kind++;
	if (argc != 3 || kind == count) {
		fprintf(stderr, "usage: bomb_trace KIND FILE\n");
		return 2;
	}
	if (kinds[kind].make != NULL)
		kinds[kind].make(builder);
	image = trace_builder_finish(builder, &bytes);
	file = fopen(argv[2], "w");
	if (file != NULL && kinds[kind].add != NULL)
		kinds[kind].add(file);
	if (file == NULL || fseek(file, 0, SEEK_SET) != 0 ||
	    fwrite(image, 1, bytes, file) != bytes || fclose(file) != 0) {
		perror(argv[2]);
		return 2;
	}
	trace_builder_free(builder);
	return 0;
}
