/*
 * Where all the varints of a block are of one byte it is taken at once; which is found out by one
 * branch for all of them.
 */
#include "event_chunk.h"

#include "event_shape.h"
#include "varint.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define ALWAYS_INLINE inline __attribute__((always_inline))

#define BLOCK	    16
#define VARINT_BYTE 127 /* the greatest varint of one byte */
#define RUN_STEP    (EVENT_CHUNK_SLACK + 1)

/*
 * Whether all of a block are bytes from 1 to `most`: codes of shapes that are known. With SSE2
 * there is no other way to have it in some instructions.
 */
static ALWAYS_INLINE bool block_known(const uint8_t *at, uint32_t most)
{
#ifdef __SSE2__
	__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
	__m128i less = _mm_min_epu8(bytes, _mm_set1_epi8((char)most));

	return _mm_movemask_epi8(_mm_cmpeq_epi8(less, bytes)) == 0xffff &&
	       _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_setzero_si128())) == 0;
#else
	for (size_t i = 0; i < BLOCK; i++)
		if (at[i] == 0 || at[i] > most)
			return false;
	return true;
#endif
}

static ALWAYS_INLINE bool block_small(const uint8_t *at)
{
	uint64_t words[BLOCK / sizeof(uint64_t)];

	memcpy(words, at, sizeof(words));
	return ((words[0] | words[1]) & 0x8080808080808080ULL) == 0;
}

static ALWAYS_INLINE void widen_block(const uint8_t *at, uint32_t *codes)
{
#ifdef __SSE2__
	const __m128i zero = _mm_setzero_si128();
	__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
	__m128i *to = (__m128i *)(void *)codes;

	for (size_t i = 0; i < 2; i++) {
		__m128i half =
		    i == 0 ? _mm_unpacklo_epi8(bytes, zero) : _mm_unpackhi_epi8(bytes, zero);

		_mm_storeu_si128(to++, _mm_unpacklo_epi16(half, zero));
		_mm_storeu_si128(to++, _mm_unpackhi_epi16(half, zero));
	}
#else
	for (size_t i = 0; i < BLOCK; i++)
		codes[i] = at[i];
#endif
}

/* Takes codes of SHAPE one by one; returns how many come before one that is none. */
static size_t take_each_shape(struct event_decoder *decoder, uint32_t *shapes, size_t count)
{
	const uint8_t *at = decoder->at[TRACE_COLUMN_SHAPE];
	const uint8_t *end = decoder->end[TRACE_COLUMN_SHAPE];
	size_t i;

	for (i = 0; i < count; i++) {
		/* A copy: what is pointed to would not be in a register. */
		const uint8_t *next = at;
		uint64_t code = varint(&next, end);

		at = next;
		if (__builtin_expect(code - 1 >= decoder->shape_count, 0)) {
			if (code != 0 || event_shape_define(decoder) == NULL)
				break;
			code = decoder->shape_count;
		}
		shapes[i] = (uint32_t)code;
	}
	decoder->at[TRACE_COLUMN_SHAPE] = at;
	return i;
}

/* Likewise, a block at a time where that can be. */
static size_t take_shapes(struct event_decoder *decoder, uint32_t *shapes, size_t count)
{
	const uint8_t **at = &decoder->at[TRACE_COLUMN_SHAPE];

	for (size_t i = 0; i < count;) {
		size_t wanted = count - i < BLOCK ? count - i : BLOCK, taken = BLOCK;
		uint32_t most =
		    decoder->shape_count < VARINT_BYTE ? decoder->shape_count : VARINT_BYTE;

		if (wanted == BLOCK && block_known(*at, most)) {
			widen_block(*at, shapes + i);
			*at += BLOCK;
		} else {
			taken = take_each_shape(decoder, shapes + i, wanted);
			if (taken < wanted)
				return i + taken;
		}
		i += taken;
	}
	return count;
}

/* How long the present run of equal times is, and what follows it. Returns false if none can be. */
static bool next_run(struct event_decoder *decoder)
{
	const uint8_t **at = &decoder->at[TRACE_COLUMN_TIME];
	const uint8_t *end = decoder->end[TRACE_COLUMN_TIME];
	uint64_t same = TRACE_EVENTS_MAX;

	decoder->step = 0;
	if (*at < end) {
		same = varint_small(at, end);
		decoder->step = varint_small(at, end);
	}
	decoder->same = (uint32_t)same;
	return same != 0 && same <= TRACE_EVENTS_MAX && decoder->step >> EVENT_TICK_BITS == 0;
}

static bool time_sound(const struct event_decoder *decoder)
{
	return decoder->time >> (EVENT_TICK_BITS - decoder->shift) == 0;
}

/*
 * The order of what is acquired at a time that may be in a coarse segment, which may seem to begin
 * before what came before.
 */
static ALWAYS_INLINE uint64_t order_of(uint64_t time, unsigned widen, uint64_t floor)
{
	uint64_t order = time << widen << 1 | 1;

	return order < floor ? floor : order;
}

/* Times in runs. Returns false where one is none. */
static bool take_runs(struct event_decoder *decoder, uint64_t *orders, size_t count, uint64_t floor)
{
	for (size_t i = 0; i < count;) {
		uint64_t order;
		size_t to;

		if (decoder->same == 0) {
			decoder->time += decoder->step;
			if (!time_sound(decoder) || !next_run(decoder))
				return false;
		}
		order = order_of(decoder->time, decoder->widen, floor);
		to = decoder->same < count - i ? i + decoder->same : count;
		decoder->same -= (uint32_t)(to - i);
		/* Up to RUN_STEP - 1 more than those: they are the next run's, or nobody's. */
		for (; i < to; i += RUN_STEP)
			for (size_t k = 0; k < RUN_STEP; k++)
				orders[i + k] = order;
		i = to;
	}
	return true;
}

/* Times one by one. Returns false where one is none. */
static bool take_times(struct event_decoder *decoder, uint64_t *orders, size_t count,
		       uint64_t floor)
{
	const uint8_t *at = decoder->at[TRACE_COLUMN_TIME];
	const uint8_t *end = decoder->end[TRACE_COLUMN_TIME];
	uint64_t time = decoder->time;

	for (size_t i = 0; i < count;) {
		size_t to = count - i < BLOCK ? count : i + BLOCK;

		if (to == i + BLOCK && block_small(at)) {
			for (; i < to; i++)
				orders[i] = order_of(time += *at++, decoder->widen, floor);
			continue;
		}
		for (; i < to; i++) {
			const uint8_t *next = at;
			uint64_t step = varint(&next, end);

			at = next;
			if (step >> EVENT_TICK_BITS != 0)
				return false;
			time += step;
			orders[i] = order_of(time, decoder->widen, floor);
		}
	}
	decoder->at[TRACE_COLUMN_TIME] = at;
	decoder->time = time;
	return time_sound(decoder);
}

bool event_chunk_begin(struct event_decoder *decoder, struct event_chunk *chunk, size_t records,
		       uint64_t floor)
{
	uint64_t *orders = chunk->orders + 1;

	orders[-1] = floor << 1 | 1;
	chunk->records = take_shapes(decoder, chunk->shapes, records);
	return decoder->runs ? take_runs(decoder, orders, records, orders[-1])
			     : take_times(decoder, orders, records, orders[-1]);
}
