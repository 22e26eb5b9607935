#include "codec.h"

#include <stdatomic.h>
#include <string.h>

#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "pages.h"

#define POOL_SLOTS 64

/* One that is always there: under a tight RLIMIT_AS nothing can be mapped any more. */
static struct codec first_codec;

/* Idle codecs: taken by exchange, put back where a slot is empty. */
static _Atomic(struct codec *) pool[POOL_SLOTS] = {&first_codec};

/*
 * Level 1 that looks for matches at two of three places, with a window and blocks that fit what a
 * ring encodes to: docs/encoding.md has what else was tried. NULL: store uncompressed.
 */
static ZSTD_CCtx *zstd_new(struct codec *codec)
{
	ZSTD_CCtx *zstd = ZSTD_initStaticCCtx(codec->workspace, sizeof(codec->workspace));

	if (!zstd)
		return NULL;
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, 1);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, 15);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_hashLog, 11);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_chainLog, 12);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_targetLength, 2);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_minMatch, 6);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_literalCompressionMode, ZSTD_ps_enable);
	return zstd;
}

struct codec *codec_take(void)
{
	struct codec *codec;

	for (unsigned i = 0; i < POOL_SLOTS; i++) {
		if (!atomic_load_explicit(&pool[i], memory_order_relaxed))
			continue;
		codec = atomic_exchange_explicit(&pool[i], NULL, memory_order_acquire);
		if (codec && !codec->zstd)
			codec->zstd = zstd_new(codec);
		if (codec)
			return codec;
	}
	codec = pages_map(sizeof(*codec));
	if (codec)
		codec->zstd = zstd_new(codec);
	return codec;
}

void codec_put(struct codec *codec)
{
	for (unsigned i = 0; i < POOL_SLOTS; i++) {
		struct codec *empty = NULL;

		if (atomic_compare_exchange_strong_explicit(
			&pool[i], &empty, codec, memory_order_release, memory_order_relaxed))
			return;
	}
	if (codec != &first_codec)
		pages_unmap(codec, sizeof(*codec));
}

void codec_forked(void)
{
	for (unsigned i = 0; i < POOL_SLOTS; i++)
		atomic_store_explicit(&pool[i], NULL, memory_order_relaxed);
	/* Whoever had it is not here; a flush left half-way begins its state afresh. */
	first_codec.zstd = NULL;
	atomic_store_explicit(&pool[0], &first_codec, memory_order_relaxed);
}

#define NOISE_BYTES 512

/*
 * Whether the bytes are about as frequent as each other: then no entropy coder gains on them, and
 * looking for matches among them would be in vain. By how often two of the first agree: 1 / 256
 * for noise, of NOISE_BYTES then about 511 pairs with a deviation of 23.
 */
static bool is_noise(const uint8_t *bytes, size_t count)
{
	uint16_t seen[256] = {0};
	uint64_t agree = 0;

	if (count > NOISE_BYTES)
		count = NOISE_BYTES;
	for (size_t i = 0; i < count; i++)
		agree += seen[bytes[i]]++;
	return agree * 2 * 256 <= (uint64_t)count * count * 3 / 2;
}

/* Puts the columns of `which` (bits) one after the other to `to`; returns their length. */
static size_t join_columns(const struct codec *codec, unsigned which, uint8_t *to)
{
	size_t total = 0;

	for (size_t i = 0; i < TRACE_COLUMNS; i++) {
		size_t bytes = (size_t)(codec->ends[i] - codec->space[i]);

		if (!(which >> i & 1))
			continue;
		memcpy(to + total, codec->space[i], bytes);
		total += bytes;
	}
	return total;
}

#define ALL_COLUMNS ((1U << TRACE_COLUMNS) - 1)

static unsigned noisy_columns(const struct codec *codec)
{
	unsigned noisy = 0;

	for (unsigned i = TRACE_COLUMN_ADDRESS_LOW; i <= TRACE_COLUMN_SIZE_LOW; i++)
		if (is_noise(codec->space[i], (size_t)(codec->ends[i] - codec->space[i])))
			noisy |= 1U << i;
	return noisy;
}

#define LITERALS_PERCENT 53
#define LITERALS_SKIPPED 15

/*
 * Coding the literals takes half of the compressor's time or more. Where not even half of the
 * columns goes away with it (addresses and sizes are chance), it is left out for some segments:
 * churn 2.44 -> 2.79 bytes and 16 -> 12 ns an event, what is regular as before.
 */
static void choose_literals(struct encode_tables *tables, size_t packed, size_t total)
{
	if (tables->literals_skipped > 0)
		tables->literals_skipped--;
	else if (packed * 100 > total * LITERALS_PERCENT)
		tables->literals_skipped = LITERALS_SKIPPED;
}

/* The columns worth compressing, compressed, and the others after them. 0: it did not work. */
static size_t compress_columns(struct codec *codec, bool literals, unsigned noisy)
{
	size_t packed;

	ZSTD_CCtx_setParameter(codec->zstd, ZSTD_c_literalCompressionMode,
			       literals ? ZSTD_ps_enable : ZSTD_ps_disable);
	packed = ZSTD_compress2(codec->zstd, codec->packed, sizeof(codec->packed), codec->joined,
				join_columns(codec, ALL_COLUMNS & ~noisy, codec->joined));
	if (ZSTD_isError(packed))
		return 0;
	return packed + join_columns(codec, noisy, codec->packed + packed);
}

const void *codec_pack(struct codec *codec, struct encode_tables *tables, bool compress,
		       struct trace_events *head, size_t *bytes)
{
	size_t total = 0, packed;
	unsigned noisy;

	head->compression = TRACE_COMPRESSION_NONE;
	head->stored = 0;
	for (size_t i = 0; i < TRACE_COLUMNS; i++)
		total += head->column_bytes[i] = (uint32_t)(codec->ends[i] - codec->space[i]);
	if (compress && codec->zstd) {
		noisy = noisy_columns(codec);
		packed = compress_columns(codec, tables->literals_skipped == 0, noisy);
		choose_literals(tables, packed, total);
		if (packed && packed < total) {
			head->compression = TRACE_COMPRESSION_ZSTD;
			head->stored = (uint8_t)(noisy >> 1);
			*bytes = packed;
			return codec->packed;
		}
	}
	*bytes = join_columns(codec, ALL_COLUMNS, codec->joined);
	return codec->joined;
}
