/*
 * A trace as bytes that may be changed: its segments, and room to make them longer or shorter. The
 * heads are believed as far as the bytes reach.
 */
#ifndef FUZZ_IMAGE_H
#define FUZZ_IMAGE_H

#include <memprof/trace.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEGMENTS_MAX 64

struct image {
	uint8_t *bytes;
	size_t size, room;
	uint64_t random;
	size_t segments[SEGMENTS_MAX]; /* offsets of heads */
	size_t count;
};

/* A number below `limit` (0 for 0), from image->random. */
size_t image_pick(struct image *image, size_t limit);

/* Finds the segments again, after a change. */
void image_segments(struct image *image);

/* The head at an offset; false when the file ends before or there is none. */
bool image_head(const struct image *image, size_t at, struct trace_segment *head);
void image_put_head(struct image *image, size_t at, const struct trace_segment *head);

/* Of a segment, what the file has: head and all. */
size_t image_extent(const struct image *image, size_t at);

/* The head at an offset and, of its payload, how much the file has. */
size_t image_payload(const struct image *image, size_t at, struct trace_segment *head);

/* Replaces [at, at + old) by room for `fresh` bytes, left as they are; false when too long. */
bool image_resize(struct image *image, size_t at, size_t old, size_t fresh);

/* Gives the segment at `at` another payload and lengths that fit it; false when too long. */
bool image_set_payload(struct image *image, size_t at, const uint8_t *payload, size_t bytes);

#endif
