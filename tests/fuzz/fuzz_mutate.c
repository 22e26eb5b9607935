/*
 * A change picks a segment, or the header, and does one thing to it. Columns of EVENTS segments are
 * unpacked first and packed again afterwards, most of the time without compression, so that what
 * libFuzzer learns by comparing is at the same place next time.
 */
#include "fuzz_mutate.h"

#include "fuzz_image.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define COLUMNS_BYTES (256 * 1024) /* what is unpacked at most */

/* Numbers that counts, ids and lengths go wrong at. */
static uint64_t odd_number(struct image *image)
{
	static const uint64_t numbers[] = {0,
					   1,
					   2,
					   7,
					   8,
					   0x7f,
					   0x80,
					   0xff,
					   0xffff,
					   0x10000,
					   0x7fffffff,
					   0x80000000,
					   0xffffffff,
					   0x100000000,
					   UINT64_C(1) << 47,
					   UINT64_C(1) << 56,
					   UINT64_C(1) << 60,
					   INT64_MAX,
					   UINT64_C(1) << 63,
					   UINT64_MAX - 1,
					   UINT64_MAX};
	uint64_t number = numbers[image_pick(image, sizeof(numbers) / sizeof(numbers[0]))];

	return number + (image_pick(image, 4) == 0 ? image_pick(image, 9) - 4 : 0);
}

/* Changes bytes in [from, to) without moving any. */
static void change_within(struct image *image, size_t from, size_t to)
{
	uint8_t piece[64];
	uint64_t number = odd_number(image);
	size_t at, bytes;

	if (to <= from)
		return;
	at = from + image_pick(image, to - from);
	switch (image_pick(image, 4)) {
	case 0: /* an aligned field */
		bytes = image_pick(image, 2) ? 4 : 8;
		at &= ~(bytes - 1);
		break;
	case 1: /* a bit */
		number = image->bytes[at] ^ 1U << image_pick(image, 8);
		bytes = 1;
		break;
	case 2: /* a little more or less */
		number = (uint64_t)image->bytes[at] + image_pick(image, 5) - 2;
		bytes = 1;
		break;
	default:
		bytes = to - at < sizeof(piece) ? to - at : sizeof(piece);
		memcpy(piece, image->bytes + at, bytes);
		memset(piece + bytes, 0, sizeof(piece) - bytes);
		LLVMFuzzerMutate(piece, bytes, bytes);
		memcpy(image->bytes + at, piece, bytes);
		return;
	}
	if (at >= from && bytes <= to - at)
		memcpy(image->bytes + at, &number, bytes);
}

static void change_header(struct image *image)
{
	size_t end = sizeof(struct trace_header);

	change_within(image, 0, end < image->size ? end : image->size);
}

static void change_head(struct image *image, size_t at)
{
	change_within(image, at + offsetof(struct trace_segment, type),
		      at + offsetof(struct trace_segment, payload_hash));
}

static void change_payload(struct image *image, size_t at)
{
	struct trace_segment head;
	size_t bytes = image_payload(image, at, &head);

	change_within(image, at + sizeof(head), at + sizeof(head) + bytes);
}

/* Where a segment of columns has what is needed to unpack it. */
struct layout {
	uint32_t type;
	size_t head;	    /* bytes before the columns */
	size_t count;	    /* offset of how many there are of what it holds */
	size_t lengths;	    /* offset of the columns' lengths */
	size_t columns;	    /* number of them */
	size_t compression; /* offset */
};

static const struct layout layouts[] = {
    {TRACE_SEGMENT_EVENTS, sizeof(struct trace_events), offsetof(struct trace_events, events),
     offsetof(struct trace_events, column_bytes), TRACE_COLUMNS,
     offsetof(struct trace_events, compression)},
    {TRACE_SEGMENT_PACKED, sizeof(struct trace_packed_nodes),
     offsetof(struct trace_packed_nodes, nodes), offsetof(struct trace_packed_nodes, column_bytes),
     TRACE_NODE_COLUMNS, offsetof(struct trace_packed_nodes, compression)},
};

static const struct layout *layout_of(uint32_t type)
{
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++)
		if (layouts[i].type == type)
			return &layouts[i];
	return NULL;
}

static uint32_t get_length(const struct layout *layout, const uint8_t *payload, size_t column)
{
	uint32_t length;

	memcpy(&length, payload + layout->lengths + column * sizeof(length), sizeof(length));
	return length;
}

/* Unpacks the columns of a payload; returns their bytes, 0 when they cannot be. */
static size_t unpack(const struct layout *layout, const uint8_t *payload, size_t bytes,
		     uint8_t *columns)
{
	uint16_t compression;
	size_t total = 0, got;

	if (bytes < layout->head)
		return 0;
	memcpy(&compression, payload + layout->compression, sizeof(compression));
	bytes -= layout->head;
	for (size_t i = 0; i < layout->columns; i++)
		total += get_length(layout, payload, i);
	if (total == 0 || total > COLUMNS_BYTES)
		return 0;
	if (compression == TRACE_COMPRESSION_ZSTD) {
		got = ZSTD_decompress(columns, total, payload + layout->head, bytes);
		return got == total ? total : 0;
	}
	if (total > bytes)
		return 0;
	memcpy(columns, payload + layout->head, total);
	return total;
}

/* One column longer, shorter or other; returns the new total. */
static size_t change_column(struct image *image, const struct layout *layout, uint8_t *head,
			    uint8_t *columns, size_t total)
{
	static uint8_t column[COLUMNS_BYTES];
	size_t which = image_pick(image, layout->columns), from = 0;
	size_t bytes = get_length(layout, head, which), room = COLUMNS_BYTES - total + bytes;
	uint32_t fresh = (uint32_t)bytes;

	for (size_t i = 0; i < which; i++)
		from += get_length(layout, head, i);
	if (room > bytes + 64)
		room = bytes + 64;
	memcpy(column, columns + from, bytes);
	if (room != 0) {
		memset(column + bytes, 0, room - bytes);
		fresh = (uint32_t)LLVMFuzzerMutate(column, bytes, room);
	}
	memmove(columns + from + fresh, columns + from + bytes, total - from - bytes);
	memcpy(columns + from, column, fresh);
	memcpy(head + layout->lengths + which * sizeof(fresh), &fresh, sizeof(fresh));
	return total - bytes + fresh;
}

static void change_columns(struct image *image, size_t at, const struct layout *layout)
{
	static uint8_t columns[COLUMNS_BYTES];
	static uint8_t payload[sizeof(struct trace_events) + COLUMNS_BYTES + 4096];
	struct trace_segment segment;
	size_t bytes = image_payload(image, at, &segment);
	const uint8_t *from = image->bytes + at + sizeof(segment);
	size_t total = unpack(layout, from, bytes, columns);
	uint16_t compression = TRACE_COMPRESSION_NONE;
	uint32_t count = (uint32_t)odd_number(image);

	if (total == 0)
		return;
	memcpy(payload, from, layout->head);
	for (size_t n = 1 + image_pick(image, 3); n > 0; n--)
		total = change_column(image, layout, payload, columns, total);
	bytes = total;
	memcpy(payload + layout->head, columns, total);
	if (image_pick(image, 6) == 0) {
		compression = TRACE_COMPRESSION_ZSTD;
		bytes =
		    ZSTD_compress(payload + layout->head, COLUMNS_BYTES + 4096, columns, total, 1);
	}
	if (ZSTD_isError(bytes))
		return;
	memcpy(payload + layout->compression, &compression, sizeof(compression));
	if (image_pick(image, 8) == 0)
		memcpy(payload + layout->count, &count, sizeof(count));
	image_set_payload(image, at, payload, layout->head + bytes);
}

/* Any payload longer or shorter. */
static void change_length(struct image *image, size_t at)
{
	static uint8_t payload[COLUMNS_BYTES];
	struct trace_segment head;
	size_t bytes = image_payload(image, at, &head);

	if (bytes > sizeof(payload) - 64)
		return;
	memcpy(payload, image->bytes + at + sizeof(head), bytes);
	bytes = LLVMFuzzerMutate(payload, bytes, bytes + 64);
	image_set_payload(image, at, payload, bytes);
}

/* What terminals, XML, JSON and shells mind. */
static size_t hostile_text(struct image *image, uint8_t *to, size_t room)
{
	static const char *const texts[] = {"<script>alert(1)</script>",
					    "\033]0;title\007",
					    "\033[2J",
					    "]]>",
					    "\"'\\",
					    "\n",
					    "\r",
					    "\xe2\x80\xae" /* right-to-left override */,
					    "\xff\xfe",
					    "\xc2\x9b" /* C1 CSI */,
					    ";",
					    ",",
					    "&amp;",
					    "<!--",
					    "/proc/self/mem",
					    "/dev/zero",
					    "../",
					    "=1+1",
					    "%s%n",
					    "::",
					    "<",
					    "operator",
					    "(",
					    "_ZN",
					    "[",
					    " ",
					    "\xed\xa0\x80",
					    "\xf4\x90\x80\x80"};
	size_t bytes = 0;

	for (size_t n = 1 + image_pick(image, 6); n > 0; n--) {
		const char *text = texts[image_pick(image, sizeof(texts) / sizeof(texts[0]))];
		size_t length = strlen(text);

		if (length <= room - bytes) {
			memcpy(to + bytes, text, length);
			bytes += length;
		}
	}
	return bytes;
}

/* Gives PROCESS or MODULE another last string. */
static void change_text(struct image *image, size_t at)
{
	uint8_t payload[8192];
	struct trace_segment head;
	size_t bytes = image_payload(image, at, &head), fixed, field;
	uint32_t length;

	if (head.type == TRACE_SEGMENT_PROCESS) {
		fixed = sizeof(struct trace_process);
		field = image_pick(image, 4) * sizeof(uint32_t);
	} else {
		fixed = sizeof(struct trace_module);
		field = offsetof(struct trace_module, path_bytes);
	}
	if (bytes < fixed || bytes > sizeof(payload) - 512)
		return;
	memcpy(payload, image->bytes + at + sizeof(head), bytes);
	memcpy(&length, payload + field, sizeof(length));
	length += (uint32_t)hostile_text(image, payload + bytes, 256);
	memcpy(payload + field, &length, sizeof(length));
	bytes += hostile_text(image, payload + bytes, 256);
	image_set_payload(image, at, payload, bytes);
}

/* A node that is its own caller, has a strange one, or a pc elsewhere. */
static void change_node(struct image *image, size_t at)
{
	struct trace_segment head;
	size_t words = image_payload(image, at, &head) / 8;
	size_t node = 8 + image_pick(image, words < 64 ? words + 1 : 64);
	size_t offset = at + node * 8;
	uint64_t word, parent;

	if (image->size < 8 || offset > image->size - 8)
		return;
	memcpy(&word, image->bytes + offset, sizeof(word));
	parent = image_pick(image, 3) ? 8 + image_pick(image, 64) : odd_number(image);
	if (image_pick(image, 2))
		word = TRACE_NODE(parent & 0x3ffffff, TRACE_NODE_REGION(word),
				  TRACE_NODE_PC_LOW(word) + image_pick(image, 3));
	else
		word = TRACE_NODE(parent & 0x3ffffff, image_pick(image, 64), odd_number(image));
	memcpy(image->bytes + offset, &word, sizeof(word));
}

/* The control block, the words or the stage of a ring. */
static void change_ring(struct image *image, size_t at)
{
	size_t extent = image_extent(image, at), control = at + sizeof(struct trace_segment);
	size_t data = at + TRACE_RING_DATA_OFFSET, end = at + extent, stage = end;
	uint64_t word_bytes;

	if (extent <= TRACE_RING_DATA_OFFSET) {
		change_payload(image, at);
		return;
	}
	memcpy(&word_bytes, image->bytes + control + offsetof(struct trace_ring, word_bytes),
	       sizeof(word_bytes));
	if (word_bytes < end - data)
		stage = data + word_bytes;
	switch (image_pick(image, 4)) {
	case 0:
		change_within(image, control, control + sizeof(struct trace_ring));
		break;
	case 1:
		change_within(image, data, stage);
		break;
	default:
		change_within(image, stage, end);
		break;
	}
}

static void duplicate(struct image *image, size_t at)
{
	size_t bytes = image_extent(image, at);
	size_t to = image->segments[image_pick(image, image->count)];

	if (bytes == 0 || !image_resize(image, to, 0, bytes))
		return;
	memmove(image->bytes + to, image->bytes + (at >= to ? at + bytes : at), bytes);
}

static void change_segment(struct image *image)
{
	size_t at = image->segments[image_pick(image, image->count)];
	struct trace_segment head;
	size_t what = image_pick(image, 16);

	image_head(image, at, &head);
	if (what == 0) {
		duplicate(image, at);
	} else if (what == 1) {
		image_resize(image, at, image_extent(image, at), 0);
	} else if (what == 2) {
		change_head(image, at);
	} else if (what == 3) {
		change_length(image, at);
	} else if (what > 7 && layout_of(head.type) != NULL) {
		change_columns(image, at, layout_of(head.type));
	} else if (what > 7 && head.type == TRACE_SEGMENT_RING) {
		change_ring(image, at);
	} else if (what > 7 &&
		   (head.type == TRACE_SEGMENT_NODES || head.type == TRACE_SEGMENT_WINDOW)) {
		change_node(image, at);
	} else if (what > 7 &&
		   (head.type == TRACE_SEGMENT_PROCESS || head.type == TRACE_SEGMENT_MODULE)) {
		change_text(image, at);
	} else {
		change_payload(image, at);
	}
}

static void change(struct image *image)
{
	size_t what = image_pick(image, 32);

	image_segments(image);
	if (what == 0)
		image->size = LLVMFuzzerMutate(image->bytes, image->size, image->room);
	else if (what == 1 && image->size > 1)
		image->size = 1 + image_pick(image, image->size);
	else if (what < 6 || image->count == 0)
		change_header(image);
	else
		change_segment(image);
}

/* ---- libFuzzer's hooks ---- */

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	struct image image = {
	    .bytes = data, .size = size, .room = max_size, .random = seed + 0x9e3779b97f4a7c15ULL};

	for (size_t n = 1 + image_pick(&image, 4); n > 0; n--)
		change(&image);
	if (image_pick(&image, 16) != 0)
		fuzz_mend(image.bytes, image.size);
	return image.size;
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *data, size_t size, const uint8_t *other,
				 size_t other_size, uint8_t *out, size_t max_size,
				 unsigned int seed)
{
	struct image image = {
	    .bytes = out, .size = size, .room = max_size, .random = seed + 0x9e3779b97f4a7c15ULL};
	struct image from = {.bytes = (uint8_t *)(uintptr_t)other, .size = other_size};
	size_t at, bytes, to;

	if (size > max_size)
		return 0;
	memcpy(out, data, size);
	image_segments(&image);
	image_segments(&from);
	if (from.count == 0 || image.count == 0)
		return size;
	at = from.segments[image_pick(&image, from.count)];
	to = image.segments[image_pick(&image, image.count)];
	bytes = image_extent(&from, at);
	if (bytes != 0 &&
	    image_resize(&image, to, image_pick(&image, 2) ? image_extent(&image, to) : 0, bytes))
		memcpy(image.bytes + to, other + at, bytes);
	fuzz_mend(image.bytes, image.size);
	return image.size;
}
