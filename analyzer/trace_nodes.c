#include "trace_nodes.h"

#include "trace_segments.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define WINDOW_BYTES	 (TRACE_NODES_CHUNK_WORDS * sizeof(uint64_t))
#define FIRST_WORD	 (TRACE_WINDOW_CHUNK_WORD + 1)
#define WINDOW_TRIES	 200
#define CODE_BITS	 38
#define COLUMN_BYTES_MAX (TRACE_NODES_CHUNK_WORDS * 10)
#define COLUMNS_ROOM	 ((size_t)TRACE_NODE_COLUMNS * COLUMN_BYTES_MAX)

/* The number of the chunk that a window has now, plus 1; 0: none. */
static uint64_t read_number(const struct trace_reader *reader, const struct trace_window *window)
{
	uint64_t number = 0;

	if (trace_file_read(&reader->file,
			    window->offset + TRACE_WINDOW_CHUNK_WORD * sizeof(number), &number,
			    sizeof(number)) != sizeof(number) ||
	    number > TRACE_NODE_CHUNKS_MAX)
		return 0;
	return number;
}

int trace_nodes_add_window(struct trace_reader *reader, uint64_t offset)
{
	struct trace_window window = {.offset = offset};
	void *larger;

	for (size_t i = 0; reader->running && i < reader->window_count; i++)
		if (reader->windows[i].offset == offset)
			return 0;
	larger = trace_grow(reader->windows, reader->window_count, sizeof(window));
	if (larger == NULL)
		return -ENOMEM;
	reader->windows = larger;
	window.number = read_number(reader, &window);
	reader->windows[reader->window_count++] = window;
	return 0;
}

int trace_nodes_add_packed(struct trace_reader *reader, size_t index, uint64_t offset,
			   uint64_t payload_bytes)
{
	if (index >= TRACE_NODE_CHUNKS_MAX || payload_bytes < sizeof(struct trace_packed_nodes))
		return -EINVAL;
	if (index >= reader->packed_count) {
		size_t count =
		    index + 1 > reader->packed_count * 2 ? index + 1 : reader->packed_count * 2;
		struct trace_packed_at *larger =
		    reallocarray(reader->packed, count, sizeof(*larger));

		if (larger == NULL)
			return -ENOMEM;
		memset(larger + reader->packed_count, 0,
		       (count - reader->packed_count) * sizeof(*larger));
		reader->packed = larger;
		reader->packed_count = count;
	}
	reader->packed[index] = (struct trace_packed_at){offset, payload_bytes};
	return 0;
}

size_t trace_nodes_count(const struct trace_reader *reader)
{
	size_t count = reader->nodes.count;

	if (reader->packed_count > count)
		count = reader->packed_count;
	for (size_t i = 0; i < reader->window_count; i++)
		if (reader->windows[i].number > count)
			count = reader->windows[i].number;
	return count;
}

bool trace_nodes_in_window(const struct trace_reader *reader, size_t index)
{
	for (size_t i = 0; i < reader->window_count; i++)
		if (reader->windows[i].number == index + 1)
			return true;
	return false;
}

/* What is in a window of the chunk, added to `words`. */
static bool add_windows(const struct trace_reader *reader, size_t index, uint64_t *words)
{
	bool found = false;

	for (size_t i = 0; i < reader->window_count; i++) {
		const struct trace_window *window = &reader->windows[i];
		uint64_t copy[TRACE_NODES_CHUNK_WORDS];
		const uint64_t *from = window->words;

		if (window->number != index + 1)
			continue;
		if (from == NULL) {
			memset(copy, 0, sizeof(copy));
			trace_file_read(&reader->file, window->offset, copy, sizeof(copy));
			from = copy;
		}
		for (size_t word = FIRST_WORD; word < TRACE_NODES_CHUNK_WORDS; word++)
			if (words[word] == 0)
				words[word] = from[word];
		found = true;
	}
	return found;
}

/* A column being read. */
struct column {
	const uint8_t *next, *end;
};

/* A varint of at most nine bytes, as none here is longer; most are of one. */
static inline bool take(struct column *column, uint64_t *value)
{
	if (column->next < column->end && *column->next < 0x80) {
		*value = *column->next++;
		return true;
	}
	*value = 0;
	for (unsigned shift = 0; shift < 63 && column->next < column->end; shift += 7) {
		uint8_t byte = *column->next++;

		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return true;
	}
	return false;
}

/* The next node's code; false: the columns do not hold one. */
static bool take_code(struct column *columns, uint64_t *codes, size_t *count, uint64_t *code)
{
	uint64_t number, delta;

	if (!take(&columns[TRACE_NODE_COLUMN_CODE], &number))
		return false;
	if (number != 0) {
		*code = number <= *count ? codes[number - 1] : 0;
		return number <= *count;
	}
	if (!take(&columns[TRACE_NODE_COLUMN_DEFINITION], &delta))
		return false;
	*code = (*count != 0 ? codes[*count - 1] : 0) + ((delta >> 1) ^ (0 - (delta & 1)));
	codes[(*count)++] = *code;
	return *code >> CODE_BITS == 0;
}

static bool unpack(const struct trace_packed_nodes *head, size_t index, const uint8_t *bytes,
		   uint64_t *words)
{
	struct column columns[TRACE_NODE_COLUMNS];
	uint64_t codes[TRACE_NODES_CHUNK_WORDS];
	size_t count = 0;

	for (size_t i = 0; i < TRACE_NODE_COLUMNS; i++) {
		columns[i] = (struct column){bytes, bytes + head->column_bytes[i]};
		bytes += head->column_bytes[i];
	}
	for (size_t i = FIRST_WORD; i < FIRST_WORD + head->nodes; i++) {
		uint64_t id = index * TRACE_NODES_CHUNK_WORDS + i;
		uint64_t less, code;

		if (!take(&columns[TRACE_NODE_COLUMN_PARENT], &less) || less >= id ||
		    !take_code(columns, codes, &count, &code))
			return false;
		words[i] = (id - less - 1) << CODE_BITS | code;
	}
	return true;
}

static bool head_sound(const struct trace_packed_nodes *head, size_t packed_bytes)
{
	size_t total = 0;

	for (size_t i = 0; i < TRACE_NODE_COLUMNS; i++) {
		if (head->column_bytes[i] > COLUMN_BYTES_MAX)
			return false;
		total += head->column_bytes[i];
	}
	if (head->nodes > TRACE_NODES_CHUNK_WORDS - FIRST_WORD)
		return false;
	if (head->compression == TRACE_COMPRESSION_NONE)
		return total <= packed_bytes;
	return head->compression == TRACE_COMPRESSION_ZSTD;
}

void trace_nodes_scratch_fini(struct trace_nodes_scratch *scratch)
{
	free(scratch->columns);
	free(scratch->payload);
	ZSTD_freeDCtx(scratch->zstd);
	*scratch = (struct trace_nodes_scratch){0};
}

static int reserve(struct trace_nodes_scratch *scratch, size_t payload_bytes)
{
	if (scratch->columns == NULL)
		scratch->columns = malloc(COLUMNS_ROOM);
	if (scratch->zstd == NULL)
		scratch->zstd = ZSTD_createDCtx();
	if (scratch->payload_room < payload_bytes) {
		free(scratch->payload);
		scratch->payload = malloc(payload_bytes);
		scratch->payload_room = scratch->payload == NULL ? 0 : payload_bytes;
	}
	return scratch->columns == NULL || scratch->zstd == NULL || scratch->payload_room == 0
		   ? -ENOMEM
		   : 0;
}

/* Decodes a PACKED payload, which was found whole. */
static int read_packed(const struct trace_reader *reader, const struct trace_packed_at *at,
		       size_t index, uint64_t *words, struct trace_nodes_scratch *scratch)
{
	struct trace_packed_nodes head;
	size_t bytes = at->payload_bytes - sizeof(head);
	const uint8_t *from;
	size_t total = 0;

	if (reserve(scratch, at->payload_bytes) != 0)
		return -ENOMEM;
	from = scratch->payload + sizeof(head);
	if (trace_file_read(&reader->file, at->offset, scratch->payload, at->payload_bytes) !=
	    at->payload_bytes)
		return 0;
	memcpy(&head, scratch->payload, sizeof(head));
	for (size_t i = 0; i < TRACE_NODE_COLUMNS; i++)
		total += head.column_bytes[i];
	if (!head_sound(&head, bytes))
		return 0;
	if (head.compression == TRACE_COMPRESSION_NONE)
		return unpack(&head, index, from, words);
	return ZSTD_decompressDCtx(scratch->zstd, scratch->columns, COLUMNS_ROOM, from, bytes) ==
		   total &&
	       unpack(&head, index, scratch->columns, words);
}

int trace_nodes_read(const struct trace_reader *reader, size_t index, uint64_t *words,
		     struct trace_nodes_scratch *scratch)
{
	bool found = false;

	memset(words, 0, WINDOW_BYTES);
	if (index < reader->packed_count && reader->packed[index].offset != 0) {
		int rc = read_packed(reader, &reader->packed[index], index, words, scratch);

		if (rc != 0)
			return rc;
		memset(words, 0, WINDOW_BYTES);
	}
	if (index < reader->nodes.count && reader->nodes.offsets[index] != 0) {
		trace_file_read(&reader->file, reader->nodes.offsets[index], words, WINDOW_BYTES);
		/* The segment's head stands where these ids would. */
		memset(words, 0, sizeof(struct trace_segment));
		found = true;
	}
	return add_windows(reader, index, words) || found;
}

/* Copies a window so that its number and its words belong together. */
static int copy_window(const struct trace_reader *reader, struct trace_window *window)
{
	uint64_t *words = calloc(1, WINDOW_BYTES);

	if (words == NULL)
		return -ENOMEM;
	for (int tries = 0; tries < WINDOW_TRIES; tries++) {
		window->number = read_number(reader, window);
		trace_file_read(&reader->file, window->offset, words, WINDOW_BYTES);
		if (read_number(reader, window) == window->number) {
			window->words = words;
			return 0;
		}
	}
	/* It never stood still: its chunks are packed by now. */
	window->number = 0;
	free(words);
	return 0;
}

static int index_type(struct trace_reader *reader, enum trace_segment_type type)
{
	struct trace_scratch scratch = {0};
	struct trace_scan scan;
	struct trace_head head;
	int rc = 0;

	trace_file_refresh(&reader->file);
	trace_scan_init(&scan, &reader->file);
	while (rc == 0 && trace_scan_next(&scan, &head))
		if (head.segment.type == type)
			rc = trace_segment_index(reader, &head, &scratch);
	free(scratch.bytes);
	return rc;
}

int trace_nodes_settle(struct trace_reader *reader)
{
	int rc = 0;

	if (!reader->running)
		return 0;
	rc = index_type(reader, TRACE_SEGMENT_WINDOW);
	for (size_t i = 0; rc == 0 && i < reader->window_count; i++)
		rc = copy_window(reader, &reader->windows[i]);
	return rc != 0 ? rc : index_type(reader, TRACE_SEGMENT_PACKED);
}
