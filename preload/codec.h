/*
 * The memory of one flush: the columns, and the compressor that packs them. Codecs come from a pool
 * that never has more than were in use at once.
 */
#ifndef CODEC_H
#define CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "encode_tables.h"

#define VARINT_MAX 10
/* Most bytes one event adds to a column: two varints, each with a byte, and what put_long()
 * stores beyond its last one. */
#define COLUMN_ROOM	 (EVENTS_MAX * 2 * (VARINT_MAX + 1) + 8)
#define CODEC_ZSTD_BYTES (256 * 1024)
#define CODEC_ZSTD_ROOM	 4096 /* what a frame may be longer than its content */

/* Virtual sizes are those of the worst ring; what is touched follows from what is encoded. */
struct codec {
	void *zstd;				   /* its context; NULL: store uncompressed */
	uint8_t *ends[TRACE_COLUMNS];		   /* of the columns */
	struct encode_tables own;		   /* for rings that have none */
	uint8_t space[TRACE_COLUMNS][COLUMN_ROOM]; /* the columns */
	uint8_t joined[TRACE_COLUMNS * COLUMN_ROOM];
	uint8_t packed[TRACE_COLUMNS * COLUMN_ROOM + CODEC_ZSTD_ROOM];
	_Alignas(64) uint8_t workspace[CODEC_ZSTD_BYTES];
};

/* A codec, the caller's alone until codec_put(); NULL: no memory. Any thread, signal-safe. */
struct codec *codec_take(void);
void codec_put(struct codec *codec);

/* In a forked child: another thread of the parent may have had the codec, so forget them all. */
void codec_forked(void);

/*
 * Joins the columns, compressed if that makes them shorter. Fills column_bytes, compression and
 * stored of `head`; what is returned, `*bytes` long, is the codec's until its next use. Never
 * fails. `tables` carries what worked from a ring's segment to its next.
 */
const void *codec_pack(struct codec *codec, struct encode_tables *tables, bool compress,
		       struct trace_events *head, size_t *bytes);

#endif
