/*
 * From the bytes of EVENTS segments and the words of rings to events.
 *
 * An event here is one half: a realloc comes out as a release and an acquisition, for the two lie
 * at different moments and another thread's events may belong between them. `order` is what
 * merging compares: ticks shifted by the header's `tick_shift`, then releases before acquisitions.
 * A segment with a greater shift tells earlier times than were, never later ones.
 *
 * Columns are decoded a chunk at a time, each in a loop of its own: the branches of one loop are
 * then alike and the chunk stays in the first-level cache.
 */
#ifndef EVENT_DECODE_H
#define EVENT_DECODE_H

#include <memprof/trace.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum event_op {
	EVENT_ACQUIRE,
	EVENT_RELEASE,
	EVENT_MAP,
	EVENT_UNMAP,
	EVENT_FAILED,
	EVENT_SAMPLE,
};

struct event {
	uint64_t order;	  /* merge ticks << 1 | 1 for ACQUIRE and MAP */
	uint64_t address; /* FAILED, SAMPLE: 0 */
	uint64_t bytes;	  /* SAMPLE: the value */
	uint32_t stack;
	uint8_t kind; /* enum trace_event_kind */
	uint8_t op;   /* enum event_op */
	uint8_t aux;  /* FAILED: the kind that failed */
	uint8_t has;  /* of a segment's: the shape's */
};

#define EVENT_DECODE_RECORDS 256			/* records a chunk */
#define EVENT_DECODE_EVENTS  (2 * EVENT_DECODE_RECORDS) /* events they may become */

/* Tables by kind number, from TRACE_EVENT_KINDS. */
extern const uint8_t event_class[256];	/* enum trace_event_class; NONE: no such kind */
extern const uint8_t event_family[256]; /* enum trace_family */

/* What events of a segment have in common, and the size of the last of them. */
struct event_shape {
	uint64_t size;
	/* as in struct event */
	uint32_t stack;
	uint8_t kind;
	uint8_t op;
	uint8_t aux;
	uint8_t has; /* enum in event_decode.c */
};

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
	bool sound;	   /* all of the group so far: a segment can continue it */
	uint64_t to;	   /* ring position where such a one begins */
	uint64_t expected; /* the next address of FRESH */
	uint64_t released; /* the last address of RELEASED */
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
 * EVENT_DECODE_PADDING longer). Views into `buffers` live in the decoder until the next call.
 * A segment that continues a group can be read only after the one before it, by the same decoder
 * and buffers. Returns 0, -EINVAL when the payload is not sound, -ENOMEM.
 */
int event_decode_begin(struct event_decoder *decoder, struct event_buffers *buffers, size_t bytes,
		       unsigned merge_shift);
#define EVENT_DECODE_PADDING 16

/* Makes room for a payload of `bytes` and its padding. Returns 0 or -ENOMEM. */
int event_buffers_reserve(struct event_buffers *buffers, size_t bytes);
void event_buffers_fini(struct event_buffers *buffers);

/*
 * Decodes the next chunk into events[EVENT_DECODE_EVENTS]; returns how many, 0 at the end. When the
 * columns turn out unsound it returns what came before and sets *bad_records to the number of
 * records that could not be read, the rest of the segment.
 */
size_t event_decode_next(struct event_decoder *decoder, struct event *events,
			 uint32_t *bad_records);

/* The words of a ring while they are decoded. */
struct event_words {
	const uint64_t *words;
	size_t count;
	size_t at;
	uint64_t records; /* decoded so far */
	uint64_t tick;	  /* of the record before; at first of what came before the words */
	unsigned merge_shift;
};

/*
 * Decodes records into events[EVENT_DECODE_EVENTS]; returns how many events, 0 at the end. Sets
 * *bad where a word is no event: nothing after it can be read.
 */
size_t event_words_next(struct event_words *words, struct event *events, bool *bad);

/* Words that the record beginning with `word` takes; 0: no such kind. */
size_t event_words_of(uint64_t word);

#endif
