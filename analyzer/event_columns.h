/* Single values of columns, whatever their length, as event_decode.h has them. */
#ifndef EVENT_COLUMNS_H
#define EVENT_COLUMNS_H

#include "event_segment.h"
#include "varint.h"

/* The next varint of a column. */
static inline uint64_t event_varint(struct event_decoder *decoder, size_t column)
{
	return varint(&decoder->at[column], decoder->end[column]);
}

/* A byte of a column. */
static inline uint8_t event_byte(struct event_decoder *decoder, size_t column)
{
	const uint8_t **at = &decoder->at[column];

	if (*at < decoder->end[column])
		return *(*at)++;
	*at = decoder->end[column] + 1;
	return 0;
}

/* The next short of a column whose low bytes stand in another. */
static inline uint64_t event_short(struct event_decoder *decoder, size_t column, size_t low)
{
	uint8_t byte = event_byte(decoder, column);

	if (byte < TRACE_SHORT_HIGH)
		return byte;
	if (byte == TRACE_SHORT_LONG)
		return event_varint(decoder, column);
	return (uint64_t)(byte - TRACE_SHORT_HIGH) << 8 | event_byte(decoder, low);
}

/* The size of a record of that shape, which is its last one from now on. */
static inline uint64_t event_size(struct event_decoder *decoder, struct event_shape *shape)
{
	uint64_t code = event_short(decoder, TRACE_COLUMN_SIZE, TRACE_COLUMN_SIZE_LOW);

	if (code == TRACE_SIZE_RAW)
		shape->size = event_varint(decoder, TRACE_COLUMN_SIZE);
	else if (code != TRACE_SIZE_SAME)
		shape->size = code - TRACE_SIZE_BASE;
	return shape->size;
}

#endif
