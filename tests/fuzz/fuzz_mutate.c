/*
 * A change picks a segment, or the header, and does one thing to it. Columns of EVENTS segments are
 * unpacked first and packed again afterwards, most of the time without compression, so that what
 * libFuzzer learns by comparing is at the same place next time.
 */
#include "fuzz_mutate.h"

#include <memprof/trace.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define SEGMENTS_MAX  64
#define COLUMNS_BYTES (256 * 1024) /* what is unpacked at most */

struct image {
	uint8_t *bytes;
	size_t size, room;
	uint64_t random;
	size_t segments[SEGMENTS_MAX]; /* offsets of heads */
	size_t count;
};

/* xorshift64* (Vigna 2016), below `limit`. */
static size_t pick(struct image *image, size_t limit)
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

/* The head at an offset; false when the file ends before or there is none. */
static bool get_head(const struct image *image, size_t at, struct trace_segment *head)
{
	if (at > image->size || image->size - at < sizeof(*head))
		return false;
	memcpy(head, image->bytes + at, sizeof(*head));
	return head->magic == TRACE_SEGMENT_MAGIC;
}

static void put_head(struct image *image, size_t at, const struct trace_segment *head)
{
	memcpy(image->bytes + at, head, sizeof(*head));
}

/* Of a segment, what the file has: head and all. */
static size_t extent(const struct image *image, size_t at)
{
	struct trace_segment head;
	size_t left = image->size - at;

	if (!get_head(image, at, &head))
		return 0;
	return head.bytes < left
		   ? round_up((size_t)head.bytes) < left ? round_up((size_t)head.bytes) : left
		   : left;
}

static void find_segments(struct image *image)
{
	size_t at = TRACE_HEADER_BYTES;
	struct trace_segment head;

	image->count = 0;
	while (at < image->size && image->count < SEGMENTS_MAX) {
		if (!get_head(image, at, &head)) {
			at += TRACE_SEGMENT_ALIGN;
			continue;
		}
		image->segments[image->count++] = at;
		at += head.bytes >= sizeof(head) && head.bytes < image->size
			  ? round_up((size_t)head.bytes)
			  : TRACE_SEGMENT_ALIGN;
	}
}

/* Replaces [at, at + old) by room for `fresh` bytes, left as they are; false when too long. */
static bool resize(struct image *image, size_t at, size_t old, size_t fresh)
{
	if (image->size - old + fresh > image->room)
		return false;
	memmove(image->bytes + at + fresh, image->bytes + at + old, image->size - at - old);
	image->size = image->size - old + fresh;
	return true;
}

/* Gives the segment at `at` another payload and lengths that fit it. */
static bool set_payload(struct image *image, size_t at, const uint8_t *payload, size_t bytes)
{
	struct trace_segment head;
	size_t whole = round_up(sizeof(head) + bytes);

	if (!get_head(image, at, &head) || !resize(image, at, extent(image, at), whole))
		return false;
	head.bytes = whole;
	head.payload_bytes = bytes;
	put_head(image, at, &head);
	memcpy(image->bytes + at + sizeof(head), payload, bytes);
	memset(image->bytes + at + sizeof(head) + bytes, 0, whole - sizeof(head) - bytes);
	return true;
}

/* The payload as far as the file has it. */
static size_t payload_of(const struct image *image, size_t at, struct trace_segment *head)
{
	size_t left;

	if (!get_head(image, at, head))
		return 0;
	left = image->size - at - sizeof(*head);
	return head->payload_bytes < left ? (size_t)head->payload_bytes : left;
}

/* ---- changes ---- */

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
	uint64_t number = numbers[pick(image, sizeof(numbers) / sizeof(numbers[0]))];

	return number + (pick(image, 4) == 0 ? pick(image, 9) - 4 : 0);
}

/* Changes bytes in [from, to) without moving any. */
static void change_within(struct image *image, size_t from, size_t to)
{
	uint8_t piece[64];
	uint64_t number = odd_number(image);
	size_t at, bytes;

	if (to <= from)
		return;
	at = from + pick(image, to - from);
	switch (pick(image, 4)) {
	case 0: /* an aligned field */
		bytes = pick(image, 2) ? 4 : 8;
		at &= ~(bytes - 1);
		break;
	case 1: /* a bit */
		number = image->bytes[at] ^ 1U << pick(image, 8);
		bytes = 1;
		break;
	case 2: /* a little more or less */
		number = (uint64_t)image->bytes[at] + pick(image, 5) - 2;
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
	size_t bytes = payload_of(image, at, &head);

	change_within(image, at + sizeof(head), at + sizeof(head) + bytes);
}

/* Unpacks the columns of an EVENTS payload; returns their bytes, 0 when they cannot be. */
static size_t unpack(const uint8_t *payload, size_t bytes, struct trace_events *events,
		     uint8_t *columns)
{
	size_t total = 0, got;

	if (bytes < sizeof(*events))
		return 0;
	memcpy(events, payload, sizeof(*events));
	bytes -= sizeof(*events);
	for (size_t i = 0; i < TRACE_COLUMNS; i++)
		total += events->column_bytes[i];
	if (total == 0 || total > COLUMNS_BYTES)
		return 0;
	if (events->compression == TRACE_COMPRESSION_ZSTD) {
		got = ZSTD_decompress(columns, total, payload + sizeof(*events), bytes);
		return got == total ? total : 0;
	}
	if (total > bytes)
		return 0;
	memcpy(columns, payload + sizeof(*events), total);
	return total;
}

/* One column longer, shorter or other; returns the new total. */
static size_t change_column(struct image *image, struct trace_events *events, uint8_t *columns,
			    size_t total)
{
	static uint8_t column[COLUMNS_BYTES];
	size_t which = pick(image, TRACE_COLUMNS), from = 0;
	size_t bytes = events->column_bytes[which], room, fresh;

	for (size_t i = 0; i < which; i++)
		from += events->column_bytes[i];
	room =
	    bytes + 64 < COLUMNS_BYTES - total + bytes ? bytes + 64 : COLUMNS_BYTES - total + bytes;
	memcpy(column, columns + from, bytes);
	fresh = bytes;
	if (room != 0) {
		memset(column + bytes, 0, room - bytes);
		fresh = LLVMFuzzerMutate(column, bytes, room);
	}
	memmove(columns + from + fresh, columns + from + bytes, total - from - bytes);
	memcpy(columns + from, column, fresh);
	events->column_bytes[which] = (uint32_t)fresh;
	return total - bytes + fresh;
}

static void change_columns(struct image *image, size_t at)
{
	static uint8_t columns[COLUMNS_BYTES];
	static uint8_t payload[sizeof(struct trace_events) + COLUMNS_BYTES + 4096];
	struct trace_segment head;
	struct trace_events events;
	size_t bytes = payload_of(image, at, &head);
	size_t total = unpack(image->bytes + at + sizeof(head), bytes, &events, columns);
	uint8_t *packed = payload + sizeof(events);

	if (total == 0)
		return;
	for (size_t n = pick(image, 3); n-- < 3;)
		total = change_column(image, &events, columns, total);
	events.compression = TRACE_COMPRESSION_NONE;
	bytes = total;
	memcpy(packed, columns, total);
	if (pick(image, 6) == 0) {
		events.compression = TRACE_COMPRESSION_ZSTD;
		bytes = ZSTD_compress(packed, COLUMNS_BYTES + 4096, columns, total, 1);
	}
	if (pick(image, 8) == 0)
		events.events = (uint32_t)odd_number(image);
	if (ZSTD_isError(bytes))
		return;
	memcpy(payload, &events, sizeof(events));
	set_payload(image, at, payload, sizeof(events) + bytes);
}

/* Any payload longer or shorter. */
static void change_length(struct image *image, size_t at)
{
	static uint8_t payload[COLUMNS_BYTES];
	struct trace_segment head;
	size_t bytes = payload_of(image, at, &head);

	if (bytes > sizeof(payload) - 64)
		return;
	memcpy(payload, image->bytes + at + sizeof(head), bytes);
	bytes = LLVMFuzzerMutate(payload, bytes, bytes + 64);
	set_payload(image, at, payload, bytes);
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

	for (size_t n = 1 + pick(image, 6); n > 0; n--) {
		const char *text = texts[pick(image, sizeof(texts) / sizeof(texts[0]))];
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
	size_t bytes = payload_of(image, at, &head), fixed, field;
	uint32_t length;

	if (head.type == TRACE_SEGMENT_PROCESS) {
		fixed = sizeof(struct trace_process);
		field = pick(image, 4) * sizeof(uint32_t);
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
	set_payload(image, at, payload, bytes);
}

/* A node that is its own caller, has a strange one, or a pc elsewhere. */
static void change_node(struct image *image, size_t at)
{
	struct trace_segment head;
	size_t words = payload_of(image, at, &head) / 8;
	size_t node = 8 + pick(image, words < 64 ? words + 1 : 64);
	size_t offset = at + node * 8;
	uint64_t word, parent;

	if (image->size < 8 || offset > image->size - 8)
		return;
	memcpy(&word, image->bytes + offset, sizeof(word));
	parent = pick(image, 3) ? 8 + pick(image, 64) : odd_number(image);
	if (pick(image, 2))
		word = TRACE_NODE(parent & 0x3ffffff, TRACE_NODE_REGION(word),
				  TRACE_NODE_PC_LOW(word) + pick(image, 3));
	else
		word = TRACE_NODE(parent & 0x3ffffff, pick(image, 64), odd_number(image));
	memcpy(image->bytes + offset, &word, sizeof(word));
}

static void duplicate(struct image *image, size_t at)
{
	size_t bytes = extent(image, at);
	size_t to = image->segments[pick(image, image->count)];

	if (bytes == 0 || !resize(image, to, 0, bytes))
		return;
	memmove(image->bytes + to, image->bytes + (at >= to ? at + bytes : at), bytes);
}

static void change_segment(struct image *image)
{
	size_t at = image->segments[pick(image, image->count)];
	struct trace_segment head;
	size_t what = pick(image, 16);

	get_head(image, at, &head);
	if (what == 0) {
		duplicate(image, at);
	} else if (what == 1) {
		resize(image, at, extent(image, at), 0);
	} else if (what == 2) {
		change_head(image, at);
	} else if (what == 3) {
		change_length(image, at);
	} else if (what > 7 && head.type == TRACE_SEGMENT_EVENTS) {
		change_columns(image, at);
	} else if (what > 7 && head.type == TRACE_SEGMENT_NODES) {
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
	size_t what = pick(image, 32);

	find_segments(image);
	if (what == 0)
		image->size = LLVMFuzzerMutate(image->bytes, image->size, image->room);
	else if (what == 1 && image->size > 1)
		image->size = 1 + pick(image, image->size);
	else if (what < 6 || image->count == 0)
		change_header(image);
	else
		change_segment(image);
}

/* ---- hashes ---- */

static void mend_segment(struct image *image, size_t at)
{
	struct trace_segment head;
	size_t bytes = payload_of(image, at, &head);

	head.payload_hash = 0;
	if (head.type != TRACE_SEGMENT_RING && head.type != TRACE_SEGMENT_NODES &&
	    head.type != TRACE_SEGMENT_WIDE && bytes == head.payload_bytes)
		head.payload_hash = XXH3_64bits(image->bytes + at + sizeof(head), bytes);
	head.head_hash = XXH3_64bits(&head, offsetof(struct trace_segment, head_hash));
	put_head(image, at, &head);
}

void fuzz_mend(uint8_t *data, size_t size)
{
	struct image image = {.bytes = data, .size = size, .room = size};
	uint64_t hash;

	if (size >= sizeof(struct trace_header)) {
		hash = XXH3_64bits(data, offsetof(struct trace_header, checksum));
		memcpy(data + offsetof(struct trace_header, checksum), &hash, sizeof(hash));
	}
	find_segments(&image);
	for (size_t i = 0; i < image.count; i++)
		mend_segment(&image, image.segments[i]);
}

size_t fuzz_trim(uint8_t *data, size_t size)
{
	struct image image = {.bytes = data, .size = size, .room = size};
	struct trace_segment head;

	find_segments(&image);
	for (size_t i = image.count; i-- > 0;) {
		size_t at = image.segments[i], bytes = extent(&image, at), used = bytes;

		get_head(&image, at, &head);
		if (head.type != TRACE_SEGMENT_RING && head.type != TRACE_SEGMENT_NODES &&
		    head.type != TRACE_SEGMENT_WIDE)
			continue;
		while (used > sizeof(head) && image.bytes[at + used - 1] == 0)
			used--;
		used = round_up(used + 64);
		if (used >= bytes)
			continue;
		head.bytes = used;
		head.payload_bytes = used - sizeof(head);
		put_head(&image, at, &head);
		resize(&image, at, bytes, used);
	}
	fuzz_mend(image.bytes, image.size);
	return image.size;
}

/* ---- libFuzzer's hooks ---- */

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	struct image image = {
	    .bytes = data, .size = size, .room = max_size, .random = seed + 0x9e3779b97f4a7c15ULL};

	for (size_t n = 1 + pick(&image, 4); n > 0; n--)
		change(&image);
	if (pick(&image, 16) != 0)
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
	find_segments(&image);
	find_segments(&from);
	if (from.count == 0 || image.count == 0)
		return size;
	at = from.segments[pick(&image, from.count)];
	to = image.segments[pick(&image, image.count)];
	bytes = extent(&from, at);
	if (bytes != 0 && resize(&image, to, pick(&image, 2) ? extent(&image, to) : 0, bytes))
		memcpy(image.bytes + to, other + at, bytes);
	fuzz_mend(image.bytes, image.size);
	return image.size;
}
