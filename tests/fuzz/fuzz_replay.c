/*
 * Runs the fuzz target without libFuzzer: on every file named, and on seeds made here with a number
 * of random changes each, always the same ones.
 *
 *     fuzz_replay [-s SEEDS_DIR] [-n CHANGES] [FILE...]
 *
 * -s also writes the seeds to a folder, as a corpus to begin fuzzing with.
 */
#include "trace_builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEEDS 4

/* Small traces that between them have every kind of segment and event. */
static struct trace_builder *make_seed(unsigned number)
{
	static const char cmdline[] = "app\0-x\0";
	struct trace_builder *builder = trace_builder_new();
	uint64_t remap[] = {90 << 8 | TRACE_EVENT_MREMAP, 0x90000, 0x3000, 0, 0x80000, 80, 0x1000};
	uint64_t map[] = {70 << 8 | TRACE_EVENT_MMAP, 0x80000, 0x1000, 0};
	uint64_t unmap[] = {95 << 8 | TRACE_EVENT_MUNMAP, 0x91000, 0x1000};
	uint32_t a = trace_builder_ring(builder, 0, 100);
	uint32_t b = trace_builder_ring(builder, 1, 100);
	uint32_t one = trace_builder_node(builder, 0, 0x1100);
	uint32_t two = trace_builder_node(builder, one, 0x1200);

	trace_builder_process(builder, "/bin/app", cmdline, sizeof(cmdline) - 1, "host", "/");
	trace_builder_module(builder, "/bin/app", 0x1000, 0x2000, 0x1000, 0);
	trace_builder_acquire(builder, a, 10, TRACE_EVENT_MALLOC, 0x40, 24, two);
	trace_builder_acquire(builder, b, 20, TRACE_EVENT_NEW, 0x80, 100, one);
	trace_builder_realloc(builder, b, 25, 30, 0x40, 0x140, 300, two);
	trace_builder_release(builder, a, 40, TRACE_EVENT_DELETE, 0x80);
	trace_builder_failed(builder, a, 50, TRACE_EVENT_CALLOC, 1 << 30, one);
	trace_builder_sample(builder, b, 60, 123456);
	trace_builder_words(builder, a, map, 4);
	trace_builder_words(builder, a, remap, 7);
	trace_builder_words(builder, a, unmap, 3);
	if (number != 0)
		trace_builder_flush(builder, a, TRACE_COMPRESSION_NONE, number, 0);
	if (number > 1)
		trace_builder_flush(builder, b,
				    number == 2 ? TRACE_COMPRESSION_NONE : TRACE_COMPRESSION_ZSTD,
				    0, TRACE_BUILDER_KEEP);
	if (number == 3)
		trace_builder_header(builder)->end = TRACE_END_NONE;
	return builder;
}

static void write_seed(const char *folder, unsigned number, const uint8_t *bytes, size_t count)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/seed%u", folder, number);
	file = fopen(path, "w");
	if (file == NULL || fwrite(bytes, 1, count, file) != count || fclose(file) != 0) {
		perror(path);
		exit(2);
	}
}

/* Where there is something: the greater part of a trace are zeros. */
static size_t pick(const uint8_t *bytes, size_t count)
{
	size_t at = (size_t)rand() % count;

	for (int tries = 0; tries < 200 && bytes[at] == 0; tries++)
		at = (size_t)rand() % count;
	return at;
}

static void run_changed(const uint8_t *bytes, size_t count, unsigned long changes)
{
	uint8_t *copy = malloc(count);

	if (copy == NULL)
		exit(2);
	for (unsigned long i = 0; i < changes; i++) {
		size_t cut = i % 16 == 0 ? (size_t)rand() % count : count;

		memcpy(copy, bytes, count);
		for (int n = rand() % 4; n >= 0; n--) {
			size_t at = pick(bytes, count);

			copy[at] =
			    rand() % 2 ? (uint8_t)rand() : (uint8_t)(copy[at] ^ 1 << rand() % 8);
		}
		LLVMFuzzerTestOneInput(copy, cut);
	}
	free(copy);
}

static void run_file(const char *path)
{
	FILE *file = fopen(path, "r");
	uint8_t *bytes = malloc(64 << 20);
	size_t count;

	if (file == NULL || bytes == NULL) {
		perror(path);
		exit(2);
	}
	count = fread(bytes, 1, 64 << 20, file);
	fclose(file);
	LLVMFuzzerTestOneInput(bytes, count);
	free(bytes);
}

int main(int argc, char **argv)
{
	const char *folder = NULL;
	unsigned long changes = 500;
	int option;

	while ((option = getopt(argc, argv, "s:n:")) != -1) {
		if (option == 's')
			folder = optarg;
		else if (option == 'n')
			changes = strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	srand(1);
	for (unsigned i = 0; i < SEEDS; i++) {
		struct trace_builder *builder = make_seed(i);
		size_t count;
		const uint8_t *bytes = trace_builder_finish(builder, &count);

		if (folder != NULL)
			write_seed(folder, i, bytes, count);
		LLVMFuzzerTestOneInput(bytes, count);
		run_changed(bytes, count, changes);
		trace_builder_free(builder);
	}
	for (int i = optind; i < argc; i++)
		run_file(argv[i]);
	printf("%u seeds, %lu changes each, %d files\n", SEEDS, changes, argc - optind);
	return 0;
}
