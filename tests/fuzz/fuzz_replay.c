/*
 * The fuzz target without libFuzzer: on seeds made here with a number of changes each, always the
 * same ones, and on the files named, the kept corpus (compressed) among them.
 *
 *     fuzz_replay [-n CHANGES] [FILE...]     changes of each seed and file; 0: none
 *     fuzz_replay -x FOLDER [FILE...]        writes seeds and files there, to begin fuzzing with
 *     fuzz_replay -p FOLDER [-t] FILE...     packs files into a corpus; -t: recorded traces,
 * trimmed
 */
#include "fuzz_mutate.h"
#include "trace_builder.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEEDS	    6
#define STAGE_BYTES 1024
#define FILE_BYTES  ((size_t)4 << 20)
#define PACK_LEVEL  19

/* libFuzzer has this; here a byte, a few more or a few less do. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
	size_t at = size ? (size_t)rand() % size : 0;

	switch (rand() % 4) {
	case 0:
		if (size < max_size) {
			memmove(data + at + 1, data + at, size - at);
			data[at] = (uint8_t)rand();
			return size + 1;
		}
		break;
	case 1:
		if (size > 1) {
			memmove(data + at, data + at + 1, size - at - 1);
			return size - 1;
		}
		break;
	case 2:
		if (size > 0)
			data[at] ^= (uint8_t)(1 << rand() % 8);
		return size;
	default:
		break;
	}
	if (size > 0)
		data[at] = (uint8_t)rand();
	return size;
}

/* A chunk of nodes, each the caller of the next, all of one code. */
static void put_packed(struct trace_builder *builder, uint32_t index)
{
	static uint8_t payload[sizeof(struct trace_packed_nodes) + 20000];
	uint32_t nodes = TRACE_NODES_CHUNK_WORDS - 9;
	struct trace_packed_nodes head = {.nodes = nodes, .column_bytes = {nodes, nodes, 1}};
	uint8_t *codes = payload + sizeof(head) + nodes;

	memcpy(payload, &head, sizeof(head));
	memset(codes + 1, 1, nodes - 1); /* the first defines it */
	codes[nodes] = 0x64;
	trace_builder_segment(builder, TRACE_SEGMENT_PACKED, index, payload,
			      sizeof(head) + 2 * (size_t)nodes + 1);
}

/* Makes the first segment of nodes a window on chunk 0. */
static void make_window(uint8_t *bytes, size_t count)
{
	uint32_t type = TRACE_SEGMENT_WINDOW;
	uint64_t chunk_1 = 1;

	for (size_t at = TRACE_HEADER_BYTES; at + 128 <= count; at += TRACE_SEGMENT_ALIGN) {
		struct trace_segment head;

		memcpy(&head, bytes + at, sizeof(head));
		if (head.magic != TRACE_SEGMENT_MAGIC || head.type != TRACE_SEGMENT_NODES)
			continue;
		memcpy(bytes + at + offsetof(struct trace_segment, type), &type, sizeof(type));
		memcpy(bytes + at + sizeof(head), &chunk_1, sizeof(chunk_1));
		return;
	}
}

/* Parts and words in the first ring, after a segment; a part in the second, or a segment too. */
static void put_stages(struct trace_builder *builder, uint32_t a, uint32_t b, unsigned number)
{
	int how = number == 4 ? 0 : TRACE_BUILDER_RUNS | TRACE_BUILDER_CONTINUES;

	trace_builder_stage(builder, b, 0, TRACE_BUILDER_RUNS);
	if (number == 5) {
		trace_builder_release(builder, b, 62, TRACE_EVENT_FREE, 0x140);
		trace_builder_flush(builder, b, TRACE_COMPRESSION_NONE, 0, TRACE_BUILDER_KEEP);
	}
	trace_builder_flush(builder, a, TRACE_COMPRESSION_NONE, 0, 0);
	for (uint64_t i = 0; i < 4; i++) {
		trace_builder_acquire(builder, a, 100 + i * 2, TRACE_EVENT_MALLOC, 0x40, 24, 8);
		trace_builder_acquire(builder, a, 100 + i * 2, TRACE_EVENT_MALLOC, 0x1000 + i * 48,
				      40, 8);
		trace_builder_release(builder, a, 101 + i * 2, TRACE_EVENT_FREE, 0x40);
		if (i < 3)
			trace_builder_stage(builder, a, 0, how);
	}
}

/* Small traces that between them have every kind of segment and event. */
static struct trace_builder *make_seed(unsigned number)
{
	static const char cmdline[] = "app\0-x\0";
	struct trace_builder *builder = trace_builder_new();
	uint64_t remap[] = {90 << 8 | TRACE_EVENT_MREMAP, 0x90000, 0x3000, 0, 0x80000, 80, 0x1000};
	uint64_t map[] = {70 << 8 | TRACE_EVENT_MMAP, 0x80000, 0x1000, 0};
	uint64_t unmap[] = {95 << 8 | TRACE_EVENT_MUNMAP, 0x91000, 0x1000};
	struct trace_wide_pc wide = {.pc = 0x1300, .epoch_1 = 1};
	uint32_t a = trace_builder_ring_staged(builder, 0, 100, STAGE_BYTES);
	uint32_t b = trace_builder_ring_staged(builder, 1, 100, STAGE_BYTES);
	uint32_t one = trace_builder_node(builder, 0, 0x1100);
	uint32_t two = trace_builder_node(builder, one, 0x1200);

	trace_builder_process(builder, "/bin/app", cmdline, sizeof(cmdline) - 1, "host", "/");
	trace_builder_module(builder, "/bin/app", 0x1000, 0x2000, 0x1000, 0);
	trace_builder_segment(builder, TRACE_SEGMENT_WIDE, 0, &wide, sizeof(wide));
	if (number == 1) {
		put_packed(builder, 1);
		trace_builder_acquire(builder, a, 5, TRACE_EVENT_MALLOC, 0x1040, 24,
				      TRACE_NODES_CHUNK_WORDS + 20);
	}
	trace_builder_acquire(builder, a, 10, TRACE_EVENT_MALLOC, 0x40, 24, two);
	trace_builder_acquire(builder, b, 20, TRACE_EVENT_NEW, 0x80, 100, one);
	trace_builder_realloc(builder, b, 25, 30, 0x40, 0x140, 300, two);
	trace_builder_release(builder, a, 40, TRACE_EVENT_DELETE, 0x80);
	trace_builder_failed(builder, a, 50, TRACE_EVENT_CALLOC, 1 << 30, one);
	trace_builder_sample(builder, b, 60, 123456);
	trace_builder_words(builder, a, map, 4);
	trace_builder_words(builder, a, remap, 7);
	trace_builder_words(builder, a, unmap, 3);
	if (number > 3)
		put_stages(builder, a, b, number);
	else if (number != 0)
		trace_builder_flush(builder, a, TRACE_COMPRESSION_NONE, number, 0);
	if (number == 2 || number == 3)
		trace_builder_flush(builder, b,
				    number == 2 ? TRACE_COMPRESSION_NONE : TRACE_COMPRESSION_ZSTD,
				    0, TRACE_BUILDER_KEEP);
	if (number > 2)
		trace_builder_header(builder)->end = TRACE_END_NONE;
	return builder;
}

/* ---- files ---- */

/* Reads a whole file, unpacked if it is packed, into `into` of FILE_BYTES. */
static size_t read_file(const char *path, uint8_t *into)
{
	size_t length = strlen(path), bytes;
	uint8_t *packed = malloc(FILE_BYTES);
	FILE *file = fopen(path, "r");

	if (file == NULL || packed == NULL) {
		perror(path);
		exit(2);
	}
	bytes = fread(packed, 1, FILE_BYTES, file);
	fclose(file);
	if (length > 4 && strcmp(path + length - 4, ".zst") == 0)
		bytes = ZSTD_decompress(into, FILE_BYTES, packed, bytes);
	else
		memcpy(into, packed, bytes);
	free(packed);
	if (ZSTD_isError(bytes)) {
		fprintf(stderr, "%s: %s\n", path, ZSTD_getErrorName(bytes));
		exit(2);
	}
	return bytes;
}

/* Writes FOLDER/<hash><ending>. */
static void write_file(const char *folder, const char *ending, const uint8_t *bytes, size_t count,
		       uint64_t hash)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%016llx%s", folder, (unsigned long long)hash, ending);
	file = fopen(path, "w");
	if (file == NULL || fwrite(bytes, 1, count, file) != count || fclose(file) != 0) {
		perror(path);
		exit(2);
	}
}

static void pack(const char *folder, const uint8_t *bytes, size_t count)
{
	size_t room = ZSTD_compressBound(count);
	uint8_t *packed = malloc(room);
	size_t size = packed ? ZSTD_compress(packed, room, bytes, count, PACK_LEVEL) : 0;

	if (packed == NULL || ZSTD_isError(size))
		exit(2);
	write_file(folder, ".zst", packed, size, XXH3_64bits(bytes, count));
	free(packed);
}

/* ---- runs ---- */

struct plan {
	const char *extract, *pack;
	bool trim;
	unsigned long changes;
	unsigned long runs;
};

/* `bytes` has FILE_BYTES of room. */
static void run(struct plan *plan, uint8_t *bytes, size_t count)
{
	static uint8_t *copy;

	if (plan->trim)
		count = fuzz_trim(bytes, count);
	if (plan->extract != NULL)
		write_file(plan->extract, "", bytes, count, XXH3_64bits(bytes, count));
	if (plan->pack != NULL)
		pack(plan->pack, bytes, count);
	if (plan->extract != NULL || plan->pack != NULL)
		return;
	if (copy == NULL)
		copy = malloc(FILE_BYTES);
	if (copy == NULL)
		exit(2);
	LLVMFuzzerTestOneInput(bytes, count);
	for (unsigned long i = 0; i < plan->changes; i++) {
		size_t room = count + 4096 < FILE_BYTES ? count + 4096 : FILE_BYTES, size;

		memcpy(copy, bytes, count);
		size = LLVMFuzzerCustomMutator(copy, count, room, (unsigned)rand());
		LLVMFuzzerTestOneInput(copy, size);
	}
	plan->runs += plan->changes + 1;
}

static void run_seeds(struct plan *plan, uint8_t *bytes)
{
	for (unsigned i = 0; i < SEEDS; i++) {
		struct trace_builder *builder = make_seed(i);
		size_t count;
		const uint8_t *image = trace_builder_finish(builder, &count);

		memcpy(bytes, image, count);
		if (i == 2)
			make_window(bytes, count);
		run(plan, bytes, fuzz_trim(bytes, count));
		trace_builder_free(builder);
	}
}

int main(int argc, char **argv)
{
	struct plan plan = {.changes = 20};
	uint8_t *bytes = malloc(FILE_BYTES);
	int option;

	while ((option = getopt(argc, argv, "x:p:tn:")) != -1) {
		if (option == 'x')
			plan.extract = optarg;
		else if (option == 'p')
			plan.pack = optarg;
		else if (option == 't')
			plan.trim = true;
		else if (option == 'n')
			plan.changes = strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	if (bytes == NULL)
		return 2;
	srand(1);
	if (plan.pack == NULL)
		run_seeds(&plan, bytes);
	for (int i = optind; i < argc; i++)
		run(&plan, bytes, read_file(argv[i], bytes));
	printf("%lu inputs\n", plan.runs);
	free(bytes);
	return 0;
}
