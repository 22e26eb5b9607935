#include "encode.h"

#include <stdatomic.h>
#include <string.h>

#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "clock.h"
#include "pages.h"
#include "ring.h"

/* The shortest event has two words. */
#define EVENTS_MAX (RING_WORDS / 2)
#define VARINT_MAX 10
/* Most bytes one event adds to a column: EXTRA of REMAP has a byte and three varints. */
#define COLUMN_ROOM (EVENTS_MAX * (1 + 3 * VARINT_MAX))
#define POOL_SLOTS  64

#define ZSTD_WORKSPACE_BYTES (256 * 1024)

/* A column under construction, and the value before the next one where it codes differences. */
struct column {
	uint8_t *next;
	uint64_t last;
};

struct codec {
	ZSTD_CCtx *zstd;
	struct column columns[TRACE_COLUMNS];
	uint8_t space[TRACE_COLUMNS][COLUMN_ROOM];
	uint8_t joined[TRACE_COLUMNS * COLUMN_ROOM];
	uint8_t compressed[ZSTD_COMPRESSBOUND(TRACE_COLUMNS * COLUMN_ROOM)];
	_Alignas(64) uint8_t workspace[ZSTD_WORKSPACE_BYTES];
};

/* Idle codecs: taken by exchange, put back where a slot is empty. */
static _Atomic(struct codec *) pool[POOL_SLOTS];

static const uint8_t kind_class[TRACE_EVENT_KIND_MAX] = {
#define KIND_CLASS(symbol, number, name, class, family) [number] = TRACE_CLASS_##class,
    TRACE_EVENT_KINDS(KIND_CLASS)
#undef KIND_CLASS
};

static const uint8_t class_words[] = {
    [TRACE_CLASS_NONE] = 0,    [TRACE_CLASS_ACQUIRE] = 4, [TRACE_CLASS_RELEASE] = 2,
    [TRACE_CLASS_REALLOC] = 6, [TRACE_CLASS_MAP] = 4,	  [TRACE_CLASS_UNMAP] = 3,
    [TRACE_CLASS_REMAP] = 7,   [TRACE_CLASS_FAILED] = 4,  [TRACE_CLASS_SAMPLE] = 2,
};

size_t event_words(uint64_t first)
{
	return class_words[kind_class[first & (TRACE_EVENT_KIND_MAX - 1)]];
}

/* Level 1, with a window and blocks that fit what a ring encodes to. NULL: store uncompressed. */
static ZSTD_CCtx *zstd_new(struct codec *codec)
{
	ZSTD_CCtx *zstd = ZSTD_initStaticCCtx(codec->workspace, sizeof(codec->workspace));

	if (!zstd)
		return NULL;
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, 1);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, 15);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_hashLog, 13);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_chainLog, 12);
	return zstd;
}

struct codec *encode_take(void)
{
	struct codec *codec;

	for (unsigned i = 0; i < POOL_SLOTS; i++) {
		if (!atomic_load_explicit(&pool[i], memory_order_relaxed))
			continue;
		codec = atomic_exchange_explicit(&pool[i], NULL, memory_order_acquire);
		if (codec)
			return codec;
	}
	codec = pages_map(sizeof(*codec));
	if (codec)
		codec->zstd = zstd_new(codec);
	return codec;
}

void encode_put(struct codec *codec)
{
	for (unsigned i = 0; i < POOL_SLOTS; i++) {
		struct codec *empty = NULL;

		if (atomic_compare_exchange_strong_explicit(
			&pool[i], &empty, codec, memory_order_release, memory_order_relaxed))
			return;
	}
	pages_unmap(codec, sizeof(*codec));
}

void encode_forked(void)
{
	for (unsigned i = 0; i < POOL_SLOTS; i++)
		atomic_store_explicit(&pool[i], NULL, memory_order_relaxed);
}

static inline void put_byte(struct column *column, uint8_t byte)
{
	*column->next++ = byte;
}

static inline void put_varint(struct column *column, uint64_t value)
{
	uint8_t *next = column->next;

	while (value >= 0x80) {
		*next++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*next++ = (uint8_t)value;
	column->next = next;
}

static inline uint64_t zigzag(int64_t value)
{
	return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

/* Most blocks are aligned to 16: then four bits need not be written. */
static inline void put_address_difference(struct column *column, uint64_t address, uint64_t from)
{
	int64_t difference = (int64_t)(address - from);

	if (difference & 15)
		put_varint(column, zigzag(difference) << 1 | 1);
	else
		put_varint(column, zigzag(difference >> 4) << 1);
}

static inline void put_address(struct column *column, uint64_t address)
{
	put_address_difference(column, address, column->last);
	column->last = address;
}

static inline void put_stack(struct column *column, uint32_t stack)
{
	put_varint(column, zigzag((int64_t)stack - (int64_t)column->last));
	column->last = stack;
}

/* `tick` is that written in TIME, which the reader takes the difference from. */
static void put_realloc(struct column *extra, const uint64_t *words, uint64_t tick, unsigned shift)
{
	uint64_t acquired = tick >> shift;
	uint64_t released = words[5] >> shift;

	put_byte(extra, (uint8_t)(words[3] >> 32));
	put_varint(extra, acquired > released ? acquired - released : 0);
	put_address_difference(extra, words[4], words[1]);
}

static void put_event(struct column *columns, const uint64_t *words, unsigned class, uint64_t tick,
		      unsigned shift)
{
	struct column *extra = &columns[TRACE_COLUMN_EXTRA];

	if (class == TRACE_CLASS_FAILED)
		put_byte(extra, (uint8_t)words[1]);
	else if (class != TRACE_CLASS_SAMPLE)
		put_address(&columns[TRACE_COLUMN_ADDRESS], words[1]);
	if (class == TRACE_CLASS_RELEASE)
		return;
	put_varint(&columns[TRACE_COLUMN_SIZE], words[class == TRACE_CLASS_SAMPLE ? 1 : 2]);
	if (class == TRACE_CLASS_SAMPLE || class == TRACE_CLASS_UNMAP)
		return;
	put_stack(&columns[TRACE_COLUMN_STACK], (uint32_t)words[3]);
	if (class == TRACE_CLASS_ACQUIRE)
		put_byte(extra, (uint8_t)(words[3] >> 32));
	if (class == TRACE_CLASS_REALLOC || class == TRACE_CLASS_REMAP)
		put_realloc(extra, words, tick, shift);
	if (class == TRACE_CLASS_REMAP)
		put_varint(extra, words[6]);
}

/* A quantum below any time in which a block can pass from one thread to another. */
static unsigned tick_shift(void)
{
	return clock_kind == TRACE_CLOCK_TSC ? 3 : 0;
}

static void fill_columns(struct codec *codec, const uint64_t *words, size_t count,
			 struct trace_events *head)
{
	struct column *time = &codec->columns[TRACE_COLUMN_TIME];
	const uint64_t *end = words + count;
	unsigned shift = tick_shift();

	head->first_tick = count ? words[0] >> 8 : 0;
	head->last_tick = head->first_tick;
	head->tick_shift = shift;
	for (size_t i = 0; i < TRACE_COLUMNS; i++)
		codec->columns[i] = (struct column){codec->space[i], 0};
	while (words < end) {
		unsigned kind = (unsigned)(words[0] & (TRACE_EVENT_KIND_MAX - 1));
		size_t size = class_words[kind_class[kind]];
		uint64_t tick = words[0] >> 8;

		/* The ring is a file that anybody can have written to. */
		if (size == 0 || size > (size_t)(end - words))
			break;
		put_byte(&codec->columns[TRACE_COLUMN_KIND], (uint8_t)kind);
		/* A counter that went back (another processor, a bad machine) stands still. */
		if (tick < head->last_tick)
			tick = head->last_tick;
		head->last_tick = tick;
		put_varint(time, (tick >> shift) - time->last);
		time->last = tick >> shift;
		put_event(codec->columns, words, kind_class[kind], tick, shift);
		words += size;
		head->events++;
	}
}

static size_t join_columns(struct codec *codec, struct trace_events *head)
{
	size_t total = 0;

	for (size_t i = 0; i < TRACE_COLUMNS; i++) {
		size_t bytes = (size_t)(codec->columns[i].next - codec->space[i]);

		memcpy(codec->joined + total, codec->space[i], bytes);
		head->column_bytes[i] = (uint32_t)bytes;
		total += bytes;
	}
	return total;
}

const void *encode_words(struct codec *codec, const uint64_t *words, size_t count, bool compress,
			 struct trace_events *head, size_t *bytes)
{
	size_t total, packed;

	fill_columns(codec, words, count, head);
	total = join_columns(codec, head);
	head->compression = TRACE_COMPRESSION_NONE;
	*bytes = total;
	if (!compress || !codec->zstd)
		return codec->joined;
	packed = ZSTD_compress2(codec->zstd, codec->compressed, sizeof(codec->compressed),
				codec->joined, total);
	if (ZSTD_isError(packed) || packed >= total)
		return codec->joined;
	head->compression = TRACE_COMPRESSION_ZSTD;
	*bytes = packed;
	return codec->compressed;
}
