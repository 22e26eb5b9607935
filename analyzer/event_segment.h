/*
 * An EVENTS segment before its events are decoded (event_decode.h): the columns as they were before
 * compression, the tables it takes over from its group, and the memory for both.
 */
#ifndef EVENT_SEGMENT_H
#define EVENT_SEGMENT_H

#include <memprof/trace.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENT_TICK_BITS	     56
#define EVENT_DECODE_RECORDS 256			/* records a chunk */
#define EVENT_DECODE_EVENTS  (2 * EVENT_DECODE_RECORDS) /* events they may become */

/* What events of a segment have in common, and the size of the last of them. */
struct event_shape {
	uint64_t size;
	/* as in struct event */
	uint32_t stack;
	uint8_t kind;
	uint8_t op; /* or with EVENT_SHAPE_RARE */
	uint8_t aux;
	uint8_t family;
};

/* Instead of the op of a shape: its records are a release and an acquisition. */
#define EVENT_SHAPE_REALLOC 0x40
/* With the op of a shape: its records are something else again. */
#define EVENT_SHAPE_RARE 0x80

/* One EVENTS segment while it is decoded. All zero before the first segment of a stream. */
struct event_decoder {
	const uint8_t *at[TRACE_COLUMNS];
	const uint8_t *end[TRACE_COLUMNS];
	struct event_shape *shapes; /* these and `addresses` are of the buffers */
	uint64_t *addresses;
	uint64_t time;	   /* ticks >> shift of the record before */
	uint64_t step;	   /* RUNS: by which the next record after `same` is later */
	uint32_t same;	   /* RUNS: records that still have `time` */
	bool runs;	   /* TRACE_EVENTS_RUNS */
	bool mixed;	   /* of the last shorts, many took two bytes */
	bool sound;	   /* all of the group so far: a segment can continue it */
	uint64_t to;	   /* ring position where such a one begins */
	uint64_t bases[2]; /* what the next address of FRESH and of RELEASED is compared with */
	uint64_t floor;	   /* merge ticks of the last event: the stream never goes back */
	uint32_t stack;	   /* of the last definition */
	uint32_t shape_count, shape_room;
	uint32_t address_count;
	uint32_t records_left;
	unsigned shift; /* the segment's */
	unsigned widen; /* that less the merge shift */
};

/*
 * What all streams of a replay share. A small file may claim many segments that decompress to
 * much; `room` bounds what all columns and tables may take, far above what any recording needs.
 */
struct event_shared {
	struct ZSTD_DCtx_s *zstd;
	size_t room; /* bytes */
};
#define EVENT_SHARED_ROOM ((size_t)2 << 30)

/* Buffers of one stream, used again for each segment; event_buffers_fini() frees them. */
struct event_buffers {
	uint8_t *payload;
	size_t payload_capacity;
	uint8_t *columns;
	size_t columns_capacity;
	uint8_t *addresses; /* tables of the group */
	size_t addresses_capacity;
	uint8_t *shapes;
	size_t shapes_capacity;
	struct event_shared *shared; /* not owned */
};

/*
 * Begins the segment whose payload of `bytes` stands in buffers->payload (which must be
 * EVENT_COLUMN_PADDING longer). Views into `buffers` live in the decoder until the next call.
 * A segment that continues a group can be read only after the one before it, by the same decoder
 * and buffers. Returns 0, -EINVAL when the payload is not sound, -ENOMEM.
 */
int event_segment_begin(struct event_decoder *decoder, struct event_buffers *buffers, size_t bytes,
			unsigned merge_shift);

/*
 * How far past the end of a column may be read: by each record of a chunk, of which it is asked but
 * at its end whether a column had ended before, and by the last of them (varint.h).
 */
#define EVENT_USUAL_BYTES    2 /* of one column, by one record */
#define EVENT_COLUMN_PADDING (EVENT_USUAL_BYTES * EVENT_DECODE_RECORDS + 16)

/* Makes room for a payload of `bytes` and its padding. Returns 0 or -ENOMEM. */
int event_buffers_reserve(struct event_buffers *buffers, size_t bytes);
void event_buffers_fini(struct event_buffers *buffers);

#endif
