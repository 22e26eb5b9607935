#include "fuzz_image.h"

#include "fuzz_mutate.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* xorshift64* (Vigna 2016). */
size_t image_pick(struct image *image, size_t limit)
{
	uint64_t x = image->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	image->random = x;
	return limit == 0 ? 0 : (size_t)((x * 0x2545f4914f6cdd1dULL >> 20) % limit);
}

static size_t round_up(size_t bytes)
{
	return (bytes + TRACE_SEGMENT_ALIGN - 1) & ~(size_t)(TRACE_SEGMENT_ALIGN - 1);
}

bool image_head(const struct image *image, size_t at, struct trace_segment *head)
{
	if (at > image->size || image->size - at < sizeof(*head))
		return false;
	memcpy(head, image->bytes + at, sizeof(*head));
	return head->magic == TRACE_SEGMENT_MAGIC;
}

void image_put_head(struct image *image, size_t at, const struct trace_segment *head)
{
	memcpy(image->bytes + at, head, sizeof(*head));
}

size_t image_extent(const struct image *image, size_t at)
{
	struct trace_segment head;
	size_t left = image->size - at;

	if (!image_head(image, at, &head))
		return 0;
	return head.bytes < left
		   ? round_up((size_t)head.bytes) < left ? round_up((size_t)head.bytes) : left
		   : left;
}

static bool is_mapped(uint32_t type)
{
	return type == TRACE_SEGMENT_RING || type == TRACE_SEGMENT_NODES ||
	       type == TRACE_SEGMENT_WIDE || type == TRACE_SEGMENT_WINDOW;
}

void image_segments(struct image *image)
{
	size_t at = TRACE_HEADER_BYTES;
	struct trace_segment head;

	image->count = 0;
	while (at < image->size && image->count < SEGMENTS_MAX) {
		if (!image_head(image, at, &head)) {
			at += TRACE_SEGMENT_ALIGN;
			continue;
		}
		image->segments[image->count++] = at;
		at += head.bytes >= sizeof(head) && head.bytes < image->size
			  ? round_up((size_t)head.bytes)
			  : TRACE_SEGMENT_ALIGN;
	}
}

bool image_resize(struct image *image, size_t at, size_t old, size_t fresh)
{
	if (image->size - old + fresh > image->room)
		return false;
	memmove(image->bytes + at + fresh, image->bytes + at + old, image->size - at - old);
	image->size = image->size - old + fresh;
	return true;
}

bool image_set_payload(struct image *image, size_t at, const uint8_t *payload, size_t bytes)
{
	struct trace_segment head;
	size_t whole = round_up(sizeof(head) + bytes);

	if (!image_head(image, at, &head) ||
	    !image_resize(image, at, image_extent(image, at), whole))
		return false;
	head.bytes = whole;
	head.payload_bytes = bytes;
	image_put_head(image, at, &head);
	memcpy(image->bytes + at + sizeof(head), payload, bytes);
	memset(image->bytes + at + sizeof(head) + bytes, 0, whole - sizeof(head) - bytes);
	return true;
}

/* The payload as far as the file has it. */
size_t image_payload(const struct image *image, size_t at, struct trace_segment *head)
{
	size_t left;

	if (!image_head(image, at, head))
		return 0;
	left = image->size - at - sizeof(*head);
	return head->payload_bytes < left ? (size_t)head->payload_bytes : left;
}

/* ---- hashes ---- */

static void mend_segment(struct image *image, size_t at)
{
	struct trace_segment head;
	size_t bytes = image_payload(image, at, &head);

	head.payload_hash = 0;
	if (!is_mapped(head.type) && bytes == head.payload_bytes)
		head.payload_hash = XXH3_64bits(image->bytes + at + sizeof(head), bytes);
	head.head_hash = XXH3_64bits(&head, offsetof(struct trace_segment, head_hash));
	image_put_head(image, at, &head);
}

void fuzz_mend(uint8_t *data, size_t size)
{
	struct image image = {.bytes = data, .size = size, .room = size};
	uint64_t hash;

	if (size >= sizeof(struct trace_header)) {
		hash = XXH3_64bits(data, offsetof(struct trace_header, checksum));
		memcpy(data + offsetof(struct trace_header, checksum), &hash, sizeof(hash));
	}
	image_segments(&image);
	for (size_t i = 0; i < image.count; i++)
		mend_segment(&image, image.segments[i]);
}

/* A ring may not have more room for words than it has data. */
static void trim_ring(struct image *image, size_t at, size_t bytes)
{
	size_t field = at + sizeof(struct trace_segment) + offsetof(struct trace_ring, word_bytes);
	uint64_t word_bytes, most = (bytes - TRACE_RING_DATA_OFFSET) / 8 * 8;

	memcpy(&word_bytes, image->bytes + field, sizeof(word_bytes));
	if (word_bytes > most)
		memcpy(image->bytes + field, &most, sizeof(most));
}

size_t fuzz_trim(uint8_t *data, size_t size)
{
	struct image image = {.bytes = data, .size = size, .room = size};
	struct trace_segment head;
	uint64_t tail;

	image_segments(&image);
	for (size_t i = image.count; i-- > 0;) {
		size_t at = image.segments[i], bytes = image_extent(&image, at), used = bytes;

		image_head(&image, at, &head);
		if (!is_mapped(head.type))
			continue;
		while (used > sizeof(head) && image.bytes[at + used - 1] == 0)
			used--;
		used = round_up(used + 64);
		if (head.type == TRACE_SEGMENT_RING && used < TRACE_RING_DATA_OFFSET + 64)
			used = TRACE_RING_DATA_OFFSET + 64;
		if (used >= bytes)
			continue;
		head.bytes = used;
		head.payload_bytes = used - sizeof(head);
		image_put_head(&image, at, &head);
		image_resize(&image, at, bytes, used);
		if (head.type == TRACE_SEGMENT_RING)
			trim_ring(&image, at, used);
	}
	tail = image.size;
	if (size >= sizeof(struct trace_header))
		memcpy(data + offsetof(struct trace_header, tail), &tail, sizeof(tail));
	fuzz_mend(image.bytes, image.size);
	return image.size;
}
