/* Two walks over the parts: the first checks and counts, the second copies the columns. */
#include "trace_stage.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PART_ALIGN 8

static uint64_t columns_bytes(const uint32_t *column_bytes, size_t columns)
{
	uint64_t total = 0;

	for (size_t i = 0; i < columns; i++)
		total += column_bytes[i];
	return total;
}

static bool head_sound(const struct trace_events *head, uint32_t ring,
		       const struct trace_ring *control)
{
	return head->ring == ring && head->from == control->staged &&
	       head->compression == TRACE_COMPRESSION_NONE;
}

/* Whether the part goes on where `head` ends, up to `until` at most. */
static bool part_sound(const struct trace_part *part, const struct trace_events *head,
		       uint64_t until)
{
	return part->from == head->to && part->to > part->from && part->to <= until &&
	       part->events <= TRACE_EVENTS_MAX - head->events && part->bytes % PART_ALIGN == 0 &&
	       columns_bytes(part->column_bytes, TRACE_COLUMNS) + sizeof(*part) <= part->bytes;
}

/* Counts the sound parts into `head`, all of which lie before `count`. */
static enum trace_stage_state count_parts(struct trace_events *head, const uint8_t *bytes,
					  size_t count, uint64_t until)
{
	size_t at = sizeof(*head);
	struct trace_part part;

	while (head->to != until) {
		if (count - at < sizeof(part))
			return TRACE_STAGE_CUT;
		memcpy(&part, bytes + at, sizeof(part));
		if (!part_sound(&part, head, until))
			return TRACE_STAGE_UNSOUND;
		if (count - at < part.bytes)
			return TRACE_STAGE_CUT;
		head->to = part.to;
		head->events += part.events;
		head->last_tick = part.last_tick;
		for (size_t i = 0; i < TRACE_COLUMNS; i++)
			head->column_bytes[i] += part.column_bytes[i];
		at += part.bytes;
	}
	return TRACE_STAGE_WHOLE;
}

/* Copies one column of the parts that `head` counts; returns where it ends. */
static uint8_t *copy_column(uint8_t *to, const struct trace_events *head, const uint8_t *bytes,
			    size_t column)
{
	const uint8_t *at = bytes + sizeof(*head);
	struct trace_part part = {.to = head->from};

	while (part.to != head->to) {
		memcpy(&part, at, sizeof(part));
		to = mempcpy(to, at + sizeof(part) + columns_bytes(part.column_bytes, column),
			     part.column_bytes[column]);
		at += part.bytes;
	}
	return to;
}

int trace_stage_join(struct trace_stage *stage, const uint8_t *bytes, size_t count, uint32_t ring,
		     const struct trace_ring *control)
{
	struct trace_events head;
	uint8_t *to;

	*stage = (struct trace_stage){.state = TRACE_STAGE_WHOLE};
	if (control->staged >= control->flushed)
		return 0;
	stage->state = TRACE_STAGE_CUT;
	if (count < sizeof(head))
		return 0;
	memcpy(&head, bytes, sizeof(head));
	stage->state = TRACE_STAGE_UNSOUND;
	if (!head_sound(&head, ring, control))
		return 0;
	head.to = head.from;
	head.events = 0;
	memset(head.column_bytes, 0, sizeof(head.column_bytes));
	stage->state = count_parts(&head, bytes, count, control->flushed);
	if (head.events == 0)
		return 0;
	stage->payload_bytes =
	    sizeof(head) + (size_t)columns_bytes(head.column_bytes, TRACE_COLUMNS);
	stage->payload = malloc(stage->payload_bytes);
	if (stage->payload == NULL)
		return -ENOMEM;
	to = mempcpy(stage->payload, &head, sizeof(head));
	for (size_t i = 0; i < TRACE_COLUMNS; i++)
		to = copy_column(to, &head, bytes, i);
	return 0;
}
