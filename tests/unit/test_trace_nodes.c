/*
 * Stack nodes in windows and packed segments, as a recorder leaves them when it is killed at any
 * instant: each node is found, whatever holds it, and what is unsound is refused.
 */
#include "trace_nodes.h"

#include "trace_builder.h"
#include "trace_reader.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define CHUNK	 3
#define WORDS	 TRACE_NODES_CHUNK_WORDS
#define FIRST	 (TRACE_WINDOW_CHUNK_WORD + 1)
#define NODES	 (WORDS - FIRST)
#define ID(word) (CHUNK * WORDS + (uint32_t)(word))

static uint64_t expected[WORDS];

/* Nodes of every kind: children of the one before, of one far away and of the root. */
static void make_expected(void)
{
	memset(expected, 0, sizeof(expected));
	for (uint32_t i = FIRST; i < WORDS; i++) {
		uint32_t parent = i % 7 == 0 ? 0 : i % 5 == 0 ? ID(i) / 3 : ID(i) - 1;

		expected[i] =
		    TRACE_NODE(parent, i % 11 == 0 ? 62 : i % 3, 0xffffff00U - i % 97 * 5);
	}
}

struct bytes {
	uint8_t *at;
	size_t count;
};

static void put(struct bytes *bytes, uint64_t value)
{
	do
		bytes->at[bytes->count++] = (uint8_t)(value >= 128 ? value | 128 : value);
	while (value >>= 7);
}

/* The PACKED payload, made from the description in memprof/trace.h; every pc is defined anew. */
static struct bytes packed(enum trace_compression compression, uint32_t nodes, bool repeat)
{
	struct trace_packed_nodes head = {.nodes = nodes, .compression = compression};
	struct bytes columns[TRACE_NODE_COLUMNS], all = {malloc(WORDS * 40), sizeof(head)};
	uint64_t codes[WORDS], last = 0;
	size_t count = 0, plain;

	for (size_t i = 0; i < TRACE_NODE_COLUMNS; i++)
		columns[i] = (struct bytes){malloc(WORDS * 10), 0};
	for (uint32_t i = FIRST; i < FIRST + nodes; i++) {
		uint64_t code = expected[i] & ((1ULL << 38) - 1);
		size_t known = 0;

		put(&columns[TRACE_NODE_COLUMN_PARENT], ID(i) - TRACE_NODE_PARENT(expected[i]) - 1);
		while (known < count && codes[known] != code)
			known++;
		if (repeat && known < count) {
			put(&columns[TRACE_NODE_COLUMN_CODE], known + 1);
			continue;
		}
		put(&columns[TRACE_NODE_COLUMN_CODE], 0);
		put(&columns[TRACE_NODE_COLUMN_DEFINITION],
		    (code - last) << 1 ^ (uint64_t)((int64_t)(code - last) >> 63));
		codes[count++] = last = code;
	}
	for (size_t i = 0; i < TRACE_NODE_COLUMNS; i++) {
		memcpy(all.at + all.count, columns[i].at, columns[i].count);
		all.count += columns[i].count;
		head.column_bytes[i] = (uint32_t)columns[i].count;
		free(columns[i].at);
	}
	memcpy(all.at, &head, sizeof(head));
	plain = all.count - sizeof(head);
	if (compression == TRACE_COMPRESSION_ZSTD) {
		struct bytes zstd = {malloc(ZSTD_compressBound(plain) + sizeof(head)), 0};

		memcpy(zstd.at, &head, sizeof(head));
		zstd.count = sizeof(head) + ZSTD_compress(zstd.at + sizeof(head), WORDS * 40,
							  all.at + sizeof(head), plain, 3);
		free(all.at);
		return zstd;
	}
	return all;
}

static void add_packed(struct trace_builder *builder, struct bytes bytes)
{
	trace_builder_segment(builder, TRACE_SEGMENT_PACKED, CHUNK, bytes.at, bytes.count);
	free(bytes.at);
}

/* A window of `chunk` (-1: of none) with the words of [from, to) in it. */
static void add_window(struct trace_builder *builder, int chunk, uint32_t from, uint32_t to)
{
	static uint64_t words[WORDS];

	memset(words, 0, sizeof(words));
	words[TRACE_WINDOW_CHUNK_WORD] = (uint64_t)(chunk + 1);
	memcpy(words + from, expected + from, (to - from) * sizeof(*words));
	trace_builder_segment(builder, TRACE_SEGMENT_WINDOW, 0, words + 8, sizeof(words) - 64);
}

/* Reads chunk CHUNK of the image; -1: there is none. */
static int read_chunk(const uint8_t *bytes, size_t count, uint64_t *words, uint64_t *bad)
{
	struct trace_nodes_scratch scratch = {0};
	struct trace_reader *reader;
	struct trace_image image;
	char error[256];
	int rc;

	trace_image_open(&image, bytes, count);
	ck_assert_int_eq(trace_reader_open(image.path, &reader, error, sizeof(error)), 0);
	trace_image_close(&image);
	rc = CHUNK < trace_nodes_count(reader) ? trace_nodes_read(reader, CHUNK, words, &scratch)
					       : 0;
	trace_nodes_scratch_fini(&scratch);
	*bad = reader->damage.bad_segments;
	trace_reader_free(reader);
	return rc;
}

static void check(struct trace_builder *builder, uint64_t bad_wanted)
{
	uint64_t words[WORDS], bad;
	size_t count;
	const uint8_t *bytes = trace_builder_finish(builder, &count);

	ck_assert_int_eq(read_chunk(bytes, count, words, &bad), 1);
	ck_assert_mem_eq(words, expected, sizeof(words));
	ck_assert_uint_eq(bad, bad_wanted);
	trace_builder_free(builder);
}

START_TEST(in_a_window)
{
	struct trace_builder *builder = trace_builder_new();

	make_expected();
	add_window(builder, CHUNK + 1, FIRST, 20);
	add_window(builder, CHUNK, FIRST, WORDS);
	add_window(builder, -1, 100, 200);
	check(builder, 0);
}
END_TEST

START_TEST(packed_in_every_way)
{
	struct trace_builder *builder = trace_builder_new();

	make_expected();
	add_window(builder, -1, FIRST, WORDS);
	add_packed(builder,
		   packed(_i & 1 ? TRACE_COMPRESSION_ZSTD : TRACE_COMPRESSION_NONE, NODES, _i & 2));
	check(builder, 0);
}
END_TEST

/* Killed between the packing and the window's release. */
START_TEST(in_both)
{
	struct trace_builder *builder = trace_builder_new();

	make_expected();
	add_window(builder, CHUNK, FIRST, WORDS);
	add_packed(builder, packed(TRACE_COMPRESSION_ZSTD, NODES, true));
	check(builder, 0);
}
END_TEST

/* Killed while two threads made the chunk: one window has nodes, or each some. */
START_TEST(in_two_windows)
{
	struct trace_builder *builder = trace_builder_new();

	make_expected();
	add_window(builder, CHUNK, FIRST, _i ? 500 : FIRST);
	add_window(builder, CHUNK, _i ? 400 : FIRST, WORDS);
	check(builder, 0);
}
END_TEST

/* Killed while the packed segment was written: no damage, for the window has all. */
START_TEST(half_packed)
{
	for (int with_window = 0; with_window < 2; with_window++) {
		struct trace_builder *builder = trace_builder_new();
		uint64_t words[WORDS], bad;
		uint8_t *copy;
		size_t count;

		make_expected();
		if (with_window)
			add_window(builder, CHUNK, FIRST, WORDS);
		add_packed(builder, packed(TRACE_COMPRESSION_ZSTD, NODES, true));
		copy = (uint8_t *)trace_builder_finish(builder, &count);
		memset(copy + count - 300, 0, 200);
		ck_assert_int_eq(read_chunk(copy, count, words, &bad), with_window);
		ck_assert_uint_eq(bad, !with_window);
		if (with_window)
			ck_assert_mem_eq(words, expected, sizeof(words));
		trace_builder_free(builder);
	}
}
END_TEST

/* Any byte may be wrong, with the hash made right for it: no fault, nothing out of bounds. */
START_TEST(hostile)
{
	uint64_t seed = 1;

	make_expected();
	for (int i = 0; i < 300; i++) {
		struct bytes bytes = packed(i % 2, i % 3 ? NODES : 40, i % 5);
		struct trace_builder *builder = trace_builder_new();
		uint64_t words[WORDS], bad;
		const uint8_t *image;
		size_t count;

		for (int j = 0; j < 1 + i % 4; j++) {
			seed = seed * 6364136223846793005U + 1442695040888963407U;
			bytes.at[(seed >> 33) % (i % 7 ? bytes.count : 24)] = (uint8_t)(seed >> 20);
		}
		if (i % 11 == 0)
			bytes.count = (seed >> 33) % bytes.count;
		add_packed(builder, bytes);
		image = trace_builder_finish(builder, &count);
		ck_assert_int_ge(read_chunk(image, count, words, &bad), 0);
		trace_builder_free(builder);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace nodes");
	TCase *tests = tcase_create("nodes");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, in_a_window);
	tcase_add_loop_test(tests, packed_in_every_way, 0, 4);
	tcase_add_test(tests, in_both);
	tcase_add_loop_test(tests, in_two_windows, 0, 2);
	tcase_add_test(tests, half_packed);
	tcase_add_test(tests, hostile);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
