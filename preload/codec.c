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
 * A window and blocks that hold the largest columns of a stage: each has a frame of its own. pack.c
 * sets the rest for each segment; the workspace fits the most of it. NULL: store uncompressed.
 */
static ZSTD_CCtx *zstd_new(struct codec *codec)
{
	ZSTD_CCtx *zstd = ZSTD_initStaticCCtx(codec->workspace, sizeof(codec->workspace));

	if (!zstd)
		return NULL;
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, 1);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, 15);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_hashLog, 12);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_chainLog, 12);
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
