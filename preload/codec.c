#include "codec.h"

#include <stdatomic.h>
#include <string.h>

#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "pages.h"
#include "trace_file.h"

#define POOL_SLOTS 64
/* Threads flush for a third of their time at most, and pack for a tenth. */
#define THREADS_A_CODEC	 2
#define THREADS_A_PACKER 5

/* One that is always there: under a tight RLIMIT_AS nothing can be mapped any more. */
static struct codec first_codec;

/* Idle codecs: taken by exchange, put back where a slot is empty. */
static _Atomic(struct codec *) pool[POOL_SLOTS] = {&first_codec};
static atomic_uint threads; /* relaxed: a thread more or less does not matter */

/*
 * A window and blocks that hold the largest columns of a stage: each has a frame of its own. pack.c
 * sets the rest for each segment; the workspace fits the most of it. NULL: store uncompressed.
 */
static ZSTD_CCtx *zstd_new(struct codec_packer *packer)
{
	ZSTD_CCtx *zstd = ZSTD_initStaticCCtx(packer->workspace, sizeof(packer->workspace));

	if (!zstd)
		return NULL;
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, 1);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, 15);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_hashLog, 12);
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_chainLog, 12);
	return zstd;
}

struct codec_packer *codec_packer(struct codec *codec)
{
	struct codec_packer *packer = &codec->packer;

	packer->touched = true;
	if (!packer->zstd)
		packer->zstd = zstd_new(packer);
	return packer;
}

void codec_threads(unsigned count)
{
	atomic_store_explicit(&threads, count, memory_order_relaxed);
}

struct codec *codec_take(void)
{
	struct codec *codec;

	for (unsigned i = 0; i < POOL_SLOTS; i++) {
		if (!atomic_load_explicit(&pool[i], memory_order_relaxed))
			continue;
		codec = atomic_exchange_explicit(&pool[i], NULL, memory_order_acquire);
		if (codec)
			return codec;
	}
	return pages_map(sizeof(*codec));
}

/* The pages that are its alone, up to the end of the codec. */
static void drop_packer(struct codec_packer *packer)
{
	size_t page = trace_file_page();
	uintptr_t from = ((uintptr_t)packer + page - 1) / page * page;

	packer->zstd = NULL;
	packer->touched = false;
	pages_drop((void *)from, (uintptr_t)(packer + 1) - from);
}

/* Gives back what an idle codec in a slot is not to keep; it is as it was at first then. */
static void shrink(struct codec *codec, unsigned slot)
{
	unsigned count = atomic_load_explicit(&threads, memory_order_relaxed);

	if (slot > count / THREADS_A_CODEC)
		pages_drop(codec, sizeof(*codec));
	else if (slot > count / THREADS_A_PACKER && codec->packer.touched)
		drop_packer(&codec->packer);
}

void codec_put(struct codec *codec)
{
	for (unsigned i = 0; i < POOL_SLOTS; i++) {
		struct codec *empty = NULL;

		if (atomic_load_explicit(&pool[i], memory_order_relaxed))
			continue;
		if (codec != &first_codec)
			shrink(codec, i);
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
	first_codec.packer.zstd = NULL;
	atomic_store_explicit(&pool[0], &first_codec, memory_order_relaxed);
}
