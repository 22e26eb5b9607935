/*
 * The memory of one flush: the columns of a part, and what packs a segment's. Codecs come from a
 * pool that never has more than were in use at once, and of those keeps the memory of a few.
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
/* The columns of a stage's parts and of one more. */
#define CODEC_SEGMENT_ROOM (RING_STAGE_BYTES + TRACE_COLUMNS * COLUMN_ROOM)

/* What only the packing of a segment takes: five times what its columns do, but seldom. */
struct codec_packer {
	void *zstd; /* its context; NULL: none was made yet, or store uncompressed */
	bool touched;
	uint8_t joined[CODEC_SEGMENT_ROOM];
	uint8_t packed[CODEC_SEGMENT_ROOM + CODEC_ZSTD_ROOM];
	_Alignas(64) uint8_t workspace[CODEC_ZSTD_BYTES];
};

/* Virtual sizes are those of the worst ring; what is touched follows from what is encoded. */
struct codec {
	struct encode_tables own;		   /* for rings that have none */
	struct trace_part part;			   /* of the columns */
	uint8_t space[TRACE_COLUMNS][COLUMN_ROOM]; /* the columns */
	struct codec_packer packer;
};

/* A codec, the caller's alone until codec_put(); NULL: no memory. Any thread, signal-safe. */
struct codec *codec_take(void);
void codec_put(struct codec *codec);

/* The codec's packer, about to be used. */
struct codec_packer *codec_packer(struct codec *codec);

/*
 * The process has this many threads that record: bounds how many idle codecs keep their memory, so
 * that threads that were preempted in the middle of a flush, one after the other, do not leave one
 * for each of them. Any thread, signal-safe.
 */
void codec_threads(unsigned count);

/* In a forked child: another thread of the parent may have had the codec, so forget them all. */
void codec_forked(void);

#endif
