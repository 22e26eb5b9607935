#include "stage.h"

#include <string.h>

#include "codec.h"
#include "ring.h"

#define PART_ALIGN 8

void stage_init(struct stage *stage, uint8_t *memory)
{
	*stage = (struct stage){.memory = memory};
}

static size_t part_bytes(const struct trace_part *part)
{
	size_t bytes = sizeof(*part);

	for (unsigned i = 0; i < TRACE_COLUMNS; i++)
		bytes += part->column_bytes[i];
	return (bytes + PART_ALIGN - 1) / PART_ALIGN * PART_ALIGN;
}

bool stage_add(struct stage *stage, const struct codec *codec)
{
	struct trace_part head = codec->part;
	size_t at = stage->used ? stage->used : sizeof(struct trace_events);
	struct stage_part *part = &stage->parts[stage->part_count];

	head.bytes = (uint32_t)part_bytes(&head);
	if (stage->part_count == STAGE_PARTS_MAX || head.bytes > RING_STAGE_BYTES - at)
		return false;
	if (stage_is_empty(stage))
		memcpy(stage->memory, &stage->segment.head, sizeof(stage->segment.head));
	memcpy(stage->memory + at, &head, sizeof(head));
	stage->used = at + head.bytes;
	at += sizeof(head);
	part->offset = (uint32_t)at;
	memcpy(part->column_bytes, head.column_bytes, sizeof(part->column_bytes));
	for (unsigned i = 0; i < TRACE_COLUMNS; i++) {
		memcpy(stage->memory + at, codec->space[i], part->column_bytes[i]);
		at += part->column_bytes[i];
	}
	stage->part_count++;
	return true;
}

size_t stage_column_bytes(const struct stage *stage, unsigned column)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < stage->part_count; i++)
		bytes += stage->parts[i].column_bytes[column];
	return bytes;
}

static size_t column_offset(const struct stage_part *part, unsigned column)
{
	size_t offset = part->offset;

	for (unsigned i = 0; i < column; i++)
		offset += part->column_bytes[i];
	return offset;
}

size_t stage_column(const struct stage *stage, unsigned column, uint8_t *to, size_t max)
{
	size_t copied = 0;

	for (unsigned i = 0; i < stage->part_count && copied < max; i++) {
		const struct stage_part *part = &stage->parts[i];
		size_t bytes = part->column_bytes[column];

		if (bytes > max - copied)
			bytes = max - copied;
		memcpy(to + copied, stage->memory + column_offset(part, column), bytes);
		copied += bytes;
	}
	return copied;
}

void stage_clear(struct stage *stage)
{
	stage->used = 0;
	stage->part_count = 0;
}
