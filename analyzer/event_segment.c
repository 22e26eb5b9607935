#include "event_segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

static int reserve(uint8_t **buffer, size_t *capacity, size_t bytes)
{
	uint8_t *larger;

	if (bytes <= *capacity)
		return 0;
	larger = realloc(*buffer, bytes);
	if (larger == NULL)
		return -ENOMEM;
	*buffer = larger;
	*capacity = bytes;
	return 0;
}

int event_buffers_reserve(struct event_buffers *buffers, size_t bytes)
{
	return reserve(&buffers->payload, &buffers->payload_capacity, bytes + EVENT_COLUMN_PADDING);
}

/* Makes room that counts against what all streams share. -EINVAL: more than any trace needs. */
static int reserve_shared(struct event_buffers *buffers, uint8_t **buffer, size_t *capacity,
			  size_t bytes)
{
	size_t had = *capacity;
	int rc;

	if (bytes > had && bytes - had > buffers->shared->room)
		return -EINVAL;
	rc = reserve(buffer, capacity, bytes);
	buffers->shared->room -= *capacity - had;
	return rc;
}

void event_buffers_fini(struct event_buffers *buffers)
{
	free(buffers->payload);
	free(buffers->columns);
	free(buffers->addresses);
	free(buffers->shapes);
	buffers->shared->room +=
	    buffers->columns_capacity + buffers->addresses_capacity + buffers->shapes_capacity;
	*buffers = (struct event_buffers){.shared = buffers->shared};
}

/*
 * Finds the columns as they were before compression, each followed by EVENT_COLUMN_PADDING bytes
 * that can be read. Returns 0, -EINVAL, -ENOMEM.
 */
static int unpack(struct event_decoder *decoder, struct event_buffers *buffers,
		  const struct trace_events *head, size_t packed_bytes)
{
	const uint8_t *packed = buffers->payload + sizeof(*head);
	unsigned stored = head->compression == TRACE_COMPRESSION_NONE ? ~0U : head->stored * 2U;
	const uint8_t *compressed, *plain;
	size_t compressed_bytes = 0, stored_bytes = 0;
	int rc;

	for (size_t i = 0; i < TRACE_COLUMNS; i++)
		*(stored >> i & 1 ? &stored_bytes : &compressed_bytes) += head->column_bytes[i];
	if (head->compression > TRACE_COMPRESSION_ZSTD || stored_bytes > packed_bytes)
		return -EINVAL;
	rc = reserve_shared(buffers, &buffers->columns, &buffers->columns_capacity,
			    compressed_bytes + EVENT_COLUMN_PADDING);
	if (rc != 0)
		return rc;
	compressed = buffers->columns;
	plain = packed +
		(head->compression == TRACE_COMPRESSION_NONE ? 0 : packed_bytes - stored_bytes);
	if (head->compression == TRACE_COMPRESSION_ZSTD &&
	    ZSTD_decompressDCtx(buffers->shared->zstd, buffers->columns, compressed_bytes, packed,
				packed_bytes - stored_bytes) != compressed_bytes)
		return -EINVAL;
	memset(buffers->columns + compressed_bytes, 0, EVENT_COLUMN_PADDING);
	memset(buffers->payload + sizeof(*head) + packed_bytes, 0, EVENT_COLUMN_PADDING);
	for (size_t i = 0; i < TRACE_COLUMNS; i++) {
		const uint8_t **from = stored >> i & 1 ? &plain : &compressed;

		decoder->at[i] = *from;
		*from += head->column_bytes[i];
		decoder->end[i] = *from;
	}
	return 0;
}

/* Makes room for `count` items, and where there is some already for half as many more. */
static int reserve_items(struct event_buffers *buffers, uint8_t **buffer, size_t *capacity,
			 size_t count, size_t item_bytes)
{
	size_t bytes = count * item_bytes;

	if (bytes > *capacity && *capacity != 0)
		bytes += bytes / 2;
	return reserve_shared(buffers, buffer, capacity, bytes);
}

/* Each shape and each address took a byte at least: that bounds the tables. */
static int make_tables(struct event_decoder *decoder, struct event_buffers *buffers,
		       const struct trace_events *head)
{
	size_t shapes = head->column_bytes[TRACE_COLUMN_DEFINITION];
	size_t addresses = head->column_bytes[TRACE_COLUMN_ADDRESS];
	int rc;

	if (shapes > head->events)
		shapes = head->events;
	if (addresses > (size_t)head->events * 2)
		addresses = (size_t)head->events * 2;
	shapes += decoder->shape_count;
	/* A chunk is decoded to its end before a column that ended within it is noticed. */
	addresses += decoder->address_count + EVENT_DECODE_EVENTS;
	rc = reserve_items(buffers, &buffers->addresses, &buffers->addresses_capacity, addresses,
			   sizeof(*decoder->addresses));
	if (rc == 0)
		rc = reserve_items(buffers, &buffers->shapes, &buffers->shapes_capacity, shapes,
				   sizeof(*decoder->shapes));
	if (rc != 0)
		return rc;
	decoder->addresses = (uint64_t *)(void *)buffers->addresses;
	decoder->shapes = (struct event_shape *)(void *)buffers->shapes;
	decoder->shape_room = (uint32_t)shapes;
	return 0;
}

/* Takes up the group the segment says it is of. Returns false when it is not known to its end. */
static bool join_group(struct event_decoder *decoder, const struct trace_events *head, bool sound)
{
	if (head->flags & TRACE_EVENTS_CONTINUES)
		return sound && decoder->to == head->from &&
		       decoder->address_count < TRACE_GROUP_ADDRESSES;
	decoder->bases[0] = 0;
	decoder->bases[1] = 0;
	decoder->stack = 0;
	decoder->shape_count = 0;
	decoder->address_count = 0;
	return true;
}

int event_segment_begin(struct event_decoder *decoder, struct event_buffers *buffers, size_t bytes,
			unsigned merge_shift)
{
	struct trace_events head;
	bool sound = decoder->sound;
	int rc;

	decoder->records_left = 0;
	decoder->sound = false;
	if (bytes < sizeof(head))
		return -EINVAL;
	memcpy(&head, buffers->payload, sizeof(head));
	if (head.tick_shift < merge_shift || head.tick_shift >= EVENT_TICK_BITS ||
	    head.events > TRACE_EVENTS_MAX || head.first_tick >> EVENT_TICK_BITS != 0 ||
	    !join_group(decoder, &head, sound))
		return -EINVAL;
	rc = unpack(decoder, buffers, &head, bytes - sizeof(head));
	if (rc != 0)
		return rc;
	rc = make_tables(decoder, buffers, &head);
	if (rc != 0)
		return rc;
	decoder->time = head.first_tick >> head.tick_shift;
	decoder->step = 0;
	decoder->same = 0;
	decoder->runs = (head.flags & TRACE_EVENTS_RUNS) != 0;
	decoder->sound = true;
	decoder->to = head.to;
	decoder->records_left = head.events;
	decoder->shift = head.tick_shift;
	decoder->widen = head.tick_shift - merge_shift;
	return 0;
}
