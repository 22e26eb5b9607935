#include "pack.h"

#include <string.h>

#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "codec.h"
#include "stage.h"

#define ALL_COLUMNS ((1U << TRACE_COLUMNS) - 1)
#define NOISE_BYTES 512

/* Where the columns come from. */
struct source {
	const struct stage *stage;
	const struct codec *codec; /* NULL: the stage's alone */
};

/* Copies the first `max` bytes at most of a column; returns how many. */
static size_t copy_column(const struct source *from, unsigned column, uint8_t *to, size_t max)
{
	size_t copied = stage_column(from->stage, column, to, max), more;

	if (!from->codec)
		return copied;
	more = from->codec->part.column_bytes[column];
	if (more > max - copied)
		more = max - copied;
	memcpy(to + copied, from->codec->space[column], more);
	return copied + more;
}

/* Puts the columns of `which` (bits) one after the other to `to`; returns their length. */
static size_t join_columns(const struct source *from, unsigned which, uint8_t *to, size_t room)
{
	size_t total = 0;

	for (unsigned i = 0; i < TRACE_COLUMNS; i++)
		if (which >> i & 1)
			total += copy_column(from, i, to + total, room - total);
	return total;
}

/*
 * Whether the bytes are about as frequent as each other: then no entropy coder gains on them, and
 * looking for matches among them would be in vain. By how often two of the first agree: 1 / 256
 * for noise, of NOISE_BYTES then about 511 pairs with a deviation of 23.
 */
static bool is_noise(const uint8_t *bytes, size_t count)
{
	uint16_t seen[256] = {0};
	uint64_t agree = 0;

	for (size_t i = 0; i < count; i++)
		agree += seen[bytes[i]]++;
	return agree * 2 * 256 <= (uint64_t)count * count * 3 / 2;
}

static unsigned noisy_columns(const struct source *from)
{
	uint8_t first[NOISE_BYTES];
	unsigned noisy = 0;

	for (unsigned i = TRACE_COLUMN_ADDRESS_LOW; i <= TRACE_COLUMN_SIZE_LOW; i++)
		if (is_noise(first, copy_column(from, i, first, sizeof(first))))
			noisy |= 1U << i;
	return noisy;
}

/*
 * What the columns are like decides what is worth its time. Chance (addresses and sizes of churn):
 * coding the literals would take half of the compressor's time or more, and not even half of the
 * columns goes away with it; matches are few, too. Regular (most programs): little is left to be
 * coded, so there is time to look for matches everywhere, short ones and long ones.
 * docs/encoding.md has the figures.
 */
#define CHANCE_PERCENT	56
#define REGULAR_PERCENT 25
#define CHANCE_SEGMENTS 15 /* then it is looked at again */

static void judge(struct pack_state *state, size_t packed, size_t total)
{
	if (state->likeness == PACK_CHANCE) {
		/* What is packed so tells nothing: the next one is packed as if nothing were known.
		 */
		if (--state->chance_left == 0)
			state->likeness = PACK_MIXED;
		return;
	}
	state->likeness = PACK_MIXED;
	if (packed * 100 > total * CHANCE_PERCENT) {
		state->likeness = PACK_CHANCE;
		state->chance_left = CHANCE_SEGMENTS;
	} else if (packed * 100 < total * REGULAR_PERCENT) {
		state->likeness = PACK_REGULAR;
	}
}

static void set_likeness(ZSTD_CCtx *zstd, enum pack_likeness likeness)
{
	bool regular = likeness == PACK_REGULAR;
	/* How many places are passed over where nothing matches. */
	int step = regular ? 0 : likeness == PACK_MIXED ? 2 : 4;

	ZSTD_CCtx_setParameter(zstd, ZSTD_c_strategy, regular ? ZSTD_dfast : ZSTD_fast);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_minMatch, regular ? 5 : 6);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_targetLength, step);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_literalCompressionMode,
			       likeness == PACK_CHANCE ? ZSTD_ps_disable : ZSTD_ps_enable);
}

/*
 * For bytes of which some are much more frequent than others, in no order: only their frequencies
 * count. With a step beyond any block no match is looked for.
 */
static void set_unordered(ZSTD_CCtx *zstd)
{
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_strategy, ZSTD_fast);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_minMatch, 7);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_targetLength, ZSTD_BLOCKSIZE_MAX);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_literalCompressionMode, ZSTD_ps_enable);
}

/* What is being put together of frames and columns that are left as they are. */
struct packed {
	struct codec_packer *packer;
	size_t read; /* of packer->joined */
	size_t bytes;
	bool failed;
};

/* A frame of the next `bytes` of what was joined. */
static void add_frame(struct packed *packed, size_t bytes)
{
	struct codec_packer *packer = packed->packer;
	size_t got = ZSTD_compress2(packer->zstd, packer->packed + packed->bytes,
				    sizeof(packer->packed) - packed->bytes,
				    packer->joined + packed->read, bytes);

	packed->failed |= ZSTD_isError(got) != 0;
	packed->read += bytes;
	packed->bytes += packed->failed ? 0 : got;
}

#define COLUMN(name) (1U << TRACE_COLUMN_##name)

/* The columns of each frame, in their order. */
struct frames {
	unsigned count;
	unsigned columns[7];
};

/*
 * What differs in kind is better apart: each has entropy tables of its own then. Fine times are,
 * whatever the others are like.
 */
static const struct frames by_column = {
    7,
    {COLUMN(SHAPE), COLUMN(TIME), COLUMN(ADDRESS),
     COLUMN(SIZE) | COLUMN(DEFINITION) | COLUMN(FRESH) | COLUMN(EXTRA),
     COLUMN(ADDRESS_LOW) | COLUMN(SIZE_LOW), COLUMN(RELEASED), COLUMN(FAR)}};
static const struct frames by_time = {
    3, {COLUMN(SHAPE), COLUMN(TIME), ALL_COLUMNS & ~(COLUMN(SHAPE) | COLUMN(TIME))}};
static const struct frames whole = {1, {ALL_COLUMNS}};

#define BY_COLUMN_MIN 4096 /* bytes: with less, a frame's own costs count */

static const struct frames *choose_frames(const struct trace_events *head,
					  enum pack_likeness likeness, size_t bytes)
{
	if (likeness != PACK_CHANCE && bytes >= BY_COLUMN_MIN)
		return &by_column;
	return head->flags & TRACE_EVENTS_RUNS ? &whole : &by_time;
}

static size_t columns_bytes(const struct trace_events *head, unsigned which)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < TRACE_COLUMNS; i++)
		if (which >> i & 1)
			bytes += head->column_bytes[i];
	return bytes;
}

/*
 * The columns worth compressing, compressed, and the others after them. 0: it did not work.
 * Among the noise of times the compressor would find only short matches, slowly, that the
 * frequencies of single bytes make up for (docs/encoding.md).
 */
static size_t compress_columns(struct codec_packer *packer, const struct source *from,
			       const struct trace_events *head, enum pack_likeness likeness,
			       unsigned noisy)
{
	size_t joined =
	    join_columns(from, ALL_COLUMNS & ~noisy, packer->joined, sizeof(packer->joined));
	const struct frames *frames = choose_frames(head, likeness, joined);
	struct packed packed = {.packer = packer};

	for (unsigned i = 0; i < frames->count; i++) {
		size_t bytes = columns_bytes(head, frames->columns[i] & ~noisy);

		if (bytes == 0)
			continue;
		if (frames->columns[i] == COLUMN(TIME))
			set_unordered(packer->zstd);
		else
			set_likeness(packer->zstd, likeness);
		add_frame(&packed, bytes);
	}
	if (packed.failed)
		return 0;
	return packed.bytes + join_columns(from, noisy, packer->packed + packed.bytes,
					   sizeof(packer->packed) - packed.bytes);
}

/* Returns how long all columns are together. */
static size_t measure(const struct source *from, struct trace_events *head)
{
	size_t total = 0;

	for (unsigned i = 0; i < TRACE_COLUMNS; i++) {
		head->column_bytes[i] = (uint32_t)stage_column_bytes(from->stage, i);
		if (from->codec)
			head->column_bytes[i] += from->codec->part.column_bytes[i];
		total += head->column_bytes[i];
	}
	return total;
}

const void *pack_columns(struct codec *codec, const struct stage *stage, bool with_codec,
			 bool compress, struct pack_state *state, struct trace_events *head,
			 size_t *bytes)
{
	struct source from = {stage, with_codec ? codec : NULL};
	struct codec_packer *packer = codec_packer(codec);
	size_t total = measure(&from, head), packed;
	unsigned noisy;

	head->compression = TRACE_COMPRESSION_NONE;
	head->stored = 0;
	if (compress && packer->zstd) {
		noisy = noisy_columns(&from);
		packed = compress_columns(packer, &from, head, state->likeness, noisy);
		judge(state, packed, total);
		if (packed && packed < total) {
			head->compression = TRACE_COMPRESSION_ZSTD;
			head->stored = (uint8_t)(noisy >> 1);
			*bytes = packed;
			return packer->packed;
		}
	}
	*bytes = join_columns(&from, ALL_COLUMNS, packer->joined, sizeof(packer->joined));
	return packer->joined;
}
