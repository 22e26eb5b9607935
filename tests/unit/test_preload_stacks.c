/* Stacks interned: whatever id is given, the file says which parent and pc it means. */
#include "stacks.h"

#include "node_file.h"
#include "node_wide.h"
#include "preload_nodes.h"

#define CHUNK NODES_CHUNK
#define FIRST NODES_FIRST

static void setup(void)
{
	support_enter();
	support_create();
	ck_assert_int_eq(stacks_init(), 0);
}

/* Words of the file's nodes by id, 0: not there, wherever it has them. */
struct nodes {
	struct support_trace trace;
	uint64_t *words;
	const struct trace_region *regions;
	unsigned packed, windows;
};

#define CHUNKS 64

static void take_word(struct nodes *nodes, uint32_t id, uint64_t word)
{
	/* What is there twice is the same. */
	ck_assert(!word || !nodes->words[id] || nodes->words[id] == word);
	if (word)
		nodes->words[id] = word;
}

static void unpack(struct nodes *nodes, const struct support_segment *segment)
{
	static uint64_t words[CHUNK];

	nodes_unpack(segment, words);
	for (uint32_t word = FIRST; word < CHUNK; word++)
		take_word(nodes, segment->head.index * CHUNK + word, words[word]);
}

static struct nodes read_nodes(void)
{
	struct nodes nodes = {.trace = support_parse("t")};

	nodes.regions = support_trace_header(&nodes.trace)->regions;
	nodes.words = calloc(CHUNKS * CHUNK, sizeof(*nodes.words));
	ck_assert_ptr_nonnull(nodes.words);
	for (size_t i = 0; i < nodes.trace.count; i++) {
		const struct support_segment *segment = &nodes.trace.segments[i];
		const uint64_t *words = (const void *)(nodes.trace.bytes + segment->offset);
		uint32_t type = segment->head.type, index = segment->head.index;

		if (type == TRACE_SEGMENT_WINDOW)
			index = (uint32_t)words[TRACE_WINDOW_CHUNK_WORD] - 1;
		nodes.windows += type == TRACE_SEGMENT_WINDOW;
		nodes.packed += type == TRACE_SEGMENT_PACKED;
		if (type == TRACE_SEGMENT_PACKED)
			unpack(&nodes, segment);
		if ((type != TRACE_SEGMENT_NODES && type != TRACE_SEGMENT_WINDOW) ||
		    index == UINT32_MAX)
			continue;
		ck_assert_uint_lt(index, CHUNKS);
		ck_assert_uint_eq(segment->head.bytes, CHUNK * 8);
		for (uint32_t word = FIRST; word < CHUNK; word++)
			take_word(&nodes, index * CHUNK + word, words[word]);
	}
	return nodes;
}

static void free_nodes(struct nodes *nodes)
{
	free(nodes->words);
	support_trace_free(&nodes->trace);
}

static void check_node(const struct nodes *nodes, uint32_t id, uint32_t parent, uint64_t pc)
{
	struct trace_region region;
	uint64_t word;

	ck_assert_uint_ge(id % CHUNK, FIRST);
	ck_assert_uint_lt(id, CHUNKS * CHUNK);
	word = nodes->words[id];
	ck_assert_msg(word != 0, "id %u is not in the file", id);
	region = nodes->regions[TRACE_NODE_REGION(word)];
	ck_assert_uint_eq(TRACE_NODE_PARENT(word), parent);
	ck_assert_uint_eq(region.epoch_1, 1);
	ck_assert_uint_eq((uint64_t)region.pc_high << 32 | TRACE_NODE_PC_LOW(word), pc);
}

START_TEST(few)
{
	uint32_t a = stacks_node(0, 0x7f0012345678);
	uint32_t b = stacks_node(a, 0x7f0012345678);
	uint32_t c = stacks_node(a, 0x55aa12345678);
	uint32_t d = stacks_node(0, 0x55aa12345678);
	struct nodes nodes;

	ck_assert(a && b && c && d);
	ck_assert(a != b && b != c && c != d && a != d);
	ck_assert_uint_eq(stacks_node(0, 0x7f0012345678), a);
	ck_assert_uint_eq(stacks_node(a, 0x7f0012345678), b);
	ck_assert_uint_eq(stacks_node(a, 0x55aa12345678), c);
	ck_assert_uint_eq(stacks_node(0, 0x55aa12345678), d);
	nodes = read_nodes();
	check_node(&nodes, a, 0, 0x7f0012345678);
	check_node(&nodes, b, a, 0x7f0012345678);
	check_node(&nodes, c, a, 0x55aa12345678);
	check_node(&nodes, d, 0, 0x55aa12345678);
	free_nodes(&nodes);
}
END_TEST

#define MANY 220000

struct pair {
	uint32_t parent, id;
	uint64_t pc;
};

static struct pair pairs[MANY];

/* Tries as programs make them: few pcs below many parents, and one pc below all. */
static void fill_pairs(uint64_t seed)
{
	for (uint32_t i = 0; i < MANY; i++) {
		uint64_t random = support_random(&seed);

		pairs[i].parent = i ? pairs[random % i].id : 0;
		pairs[i].pc = i % 3 ? 0x7f1200000000 + (random >> 32) % 5000 * 5 : 0x7f1200100000;
		pairs[i].id = stacks_node(pairs[i].parent, pairs[i].pc);
		ck_assert_uint_ne(pairs[i].id, 0);
	}
}

/* While the table grows and after it, one pair has one id and the file says so. */
START_TEST(many)
{
	static uint8_t seen[2 * MANY];
	struct nodes nodes;
	uint32_t distinct = 0;

	fill_pairs(1);
	for (uint32_t i = 0; i < MANY; i++)
		ck_assert_msg(stacks_node(pairs[i].parent, pairs[i].pc) == pairs[i].id,
			      "pair %u has another id", i);
	nodes = read_nodes();
	for (uint32_t i = 0; i < MANY; i++) {
		check_node(&nodes, pairs[i].id, pairs[i].parent, pairs[i].pc);
		ck_assert_uint_lt(pairs[i].id, 2 * MANY);
		distinct += !seen[pairs[i].id];
		seen[pairs[i].id] = 1;
	}
	/* Ids are dense, so that nothing was interned twice. */
	for (uint32_t id = FIRST, left = distinct; left; id++) {
		if (id % CHUNK < FIRST)
			continue;
		ck_assert_msg(seen[id], "id %u of %u was given to nobody", id, distinct);
		left--;
	}
	ck_assert_uint_gt(distinct, 150000);
	/* All full chunks but the first, in the space of one. */
	ck_assert_uint_eq(nodes.packed, distinct / (CHUNK - FIRST) - 1);
	ck_assert_uint_eq(nodes.windows, 1);
	ck_assert_uint_lt(nodes.trace.size, 6 * distinct);
	free_nodes(&nodes);
}
END_TEST

/* What is kept can be read back; a file without packing has the same nodes. */
START_TEST(kept)
{
	uint32_t ids[3 * CHUNK], before = FIRST - 1, parent;
	struct nodes nodes;
	uintptr_t pc;

	node_file_keep();
	for (uint32_t i = 0; i < 3 * CHUNK; i++) {
		ids[i] = stacks_node(0, 0x400000 + i);
		if (++before % CHUNK == 0)
			before += FIRST;
		ck_assert_uint_eq(ids[i], before);
	}
	nodes = read_nodes();
	ck_assert_uint_eq(support_count(&nodes.trace, TRACE_SEGMENT_NODES), 4);
	for (uint32_t i = 0; i < 3 * CHUNK; i++) {
		check_node(&nodes, ids[i], 0, 0x400000 + i);
		ck_assert(stacks_frame(ids[i], &parent, &pc));
		ck_assert_uint_eq(parent, 0);
		ck_assert_uint_eq(pc, 0x400000 + i);
	}
	free_nodes(&nodes);
}
END_TEST

START_TEST(packed_without_zstd)
{
	struct nodes nodes;

	node_file_compress(false);
	fill_pairs(2);
	nodes = read_nodes();
	for (uint32_t i = 0; i < MANY; i++)
		check_node(&nodes, pairs[i].id, pairs[i].parent, pairs[i].pc);
	ck_assert_uint_gt(nodes.packed, 10);
	free_nodes(&nodes);
}
END_TEST

/* The pc and epoch of a node that has a WIDE entry. */
static struct trace_wide_pc wide_of(const struct nodes *nodes, uint32_t id, uint32_t parent)
{
	uint64_t word = nodes->words[id];
	uint32_t entry = TRACE_NODE_PC_LOW(word);
	struct trace_wide_pc wide = {0};

	ck_assert_uint_eq(TRACE_NODE_PARENT(word), parent);
	ck_assert_uint_eq(TRACE_NODE_REGION(word), TRACE_REGION_WIDE);
	for (size_t i = 0; i < nodes->trace.count; i++) {
		const struct support_segment *segment = &nodes->trace.segments[i];

		if (segment->head.type != TRACE_SEGMENT_WIDE ||
		    segment->head.index != entry / TRACE_WIDE_CHUNK_ENTRIES)
			continue;
		memcpy(&wide,
		       nodes->trace.bytes + segment->offset + sizeof(struct trace_segment) +
			   entry % TRACE_WIDE_CHUNK_ENTRIES * sizeof(wide),
		       sizeof(wide));
	}
	return wide;
}

#define WIDE 20000 /* several chunks of entries, and of nodes */

/* More 4-GiB pieces of address space than there are codes: the rest has whole pcs. */
START_TEST(many_regions)
{
	static uint32_t ids[WIDE];
	struct nodes nodes;
	uintptr_t pc;
	uint32_t parent;

	for (uint64_t i = 0; i < WIDE; i++) {
		ids[i] = stacks_node(i ? ids[i / 2] : 0, (i + 1) << 32 | 0x1000);
		ck_assert_uint_ne(ids[i], 0);
	}
	ck_assert_uint_eq(trace_file_header()->flags, 0);
	ck_assert(stacks_frame(ids[WIDE - 1], &parent, &pc));
	ck_assert_uint_eq(parent, ids[(WIDE - 1) / 2]);
	ck_assert_uint_eq(pc, (uint64_t)WIDE << 32 | 0x1000);
	nodes = read_nodes();
	for (uint64_t i = 0; i < WIDE; i++) {
		uint32_t outer = i ? ids[i / 2] : 0;
		uint64_t expected = (i + 1) << 32 | 0x1000;
		struct trace_wide_pc wide;

		ck_assert_uint_eq(stacks_node(outer, expected), ids[i]);
		if (i < TRACE_REGION_WIDE) {
			check_node(&nodes, ids[i], outer, expected);
			continue;
		}
		wide = wide_of(&nodes, ids[i], outer);
		ck_assert_uint_eq(wide.pc, expected);
		ck_assert_uint_eq(wide.epoch_1, 1);
	}
	free_nodes(&nodes);
}
END_TEST

#ifndef __SANITIZE_THREAD__ /* minutes, and one thread only */
/* Of those, too, there is an end; then stacks are cut, and it is said. */
START_TEST(too_many_wide)
{
	uint64_t most = NODE_WIDE_MAX + TRACE_REGION_WIDE;
	uint32_t last = 0;

	for (uint64_t i = 0; i < most; i++)
		ck_assert_uint_ne(last = stacks_node(0, (i + 1) << 32 | 0x1000), 0);
	ck_assert_uint_eq(trace_file_header()->flags, 0);
	ck_assert_uint_eq(stacks_node(0, (most + 1) << 32 | 0x1000), 0);
	ck_assert_uint_eq(trace_file_header()->flags, TRACE_FLAG_NODES_FULL);
	ck_assert_uint_eq(stacks_node(0, most << 32 | 0x1000), last);
}
END_TEST
#endif

/* A child of a fork has ids of its own, from the first on. */
START_TEST(anew)
{
	struct trace_header header = support_header();
	uint32_t first = stacks_node(0, 0x1000);

	for (uint32_t i = 0; i < 20000; i++)
		stacks_node(first, 0x2000 + i);
	ck_assert_int_eq(trace_file_create("u", &header), 0);
	ck_assert_int_eq(stacks_init(), 0);
	ck_assert_uint_eq(stacks_node(0, 0x7777), first);
}
END_TEST

/* And WIDE entries of its own. */
START_TEST(anew_wide)
{
	struct trace_header header = support_header();
	uint32_t id = 0;
	uintptr_t pc;
	uint32_t parent;

	for (unsigned round = 0; round < 2; round++) {
		for (uint64_t i = 0; i <= 5000; i++)
			id = stacks_node(0, (i + 1) << 32 | (round + 1));
		ck_assert(stacks_frame(id, &parent, &pc));
		ck_assert_uint_eq(pc, 5001ULL << 32 | (round + 1));
		ck_assert_int_eq(trace_file_create("u", &header), 0);
		ck_assert_int_eq(unlink("u"), 0);
		ck_assert_int_eq(stacks_init(), 0);
	}
}
END_TEST

#define THREADS 8
#define EACH	60000
#define PCS	1500

static struct pair shared[THREADS][EACH];

/* All threads intern the same pcs in nearly the same order: as much contention as there can be. */
static void intern(unsigned number)
{
	uint64_t seed = 42, own = number;
	uint32_t parents[16] = {0};

	for (uint32_t i = 0; i < EACH; i++) {
		struct pair *pair = &shared[number][i];
		uint64_t random = support_random(&seed);

		if (i % 64 == 0)
			random ^= support_random(&own);
		pair->parent = parents[random % 16];
		pair->pc =
		    0x7f1200000010 + (random >> 8) % PCS * 16 + (random >> 60) % 2 * (1ULL << 32);
		pair->id = stacks_node(pair->parent, pair->pc);
		if (!pair->id)
			return;
		parents[(random >> 40) % 16] = (random >> 50) % 4 ? pair->id : 0;
	}
}

START_TEST(eight_threads)
{
	struct nodes nodes;
	uint32_t most = 0;

	support_threads(THREADS, intern);
	nodes = read_nodes();
	for (unsigned number = 0; number < THREADS; number++) {
		for (uint32_t i = 0; i < EACH; i++) {
			const struct pair *pair = &shared[number][i];

			ck_assert_uint_ne(pair->id, 0);
			check_node(&nodes, pair->id, pair->parent, pair->pc);
			if (pair->id > most)
				most = pair->id;
		}
	}
	/* Each looked for the same: races may intern one pair twice, but not each time. */
	ck_assert_uint_lt(most, THREADS * EACH / 2);
	free_nodes(&nodes);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("preload stacks");
	TCase *tests = tcase_create("stacks");

	tcase_add_checked_fixture(tests, setup, support_leave);
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, few);
	tcase_add_test(tests, many);
	tcase_add_test(tests, kept);
	tcase_add_test(tests, packed_without_zstd);
	tcase_add_test(tests, many_regions);
#ifndef __SANITIZE_THREAD__
	tcase_add_test(tests, too_many_wide);
#endif
	tcase_add_test(tests, anew);
	tcase_add_test(tests, anew_wide);
	tcase_add_test(tests, eight_threads);
	suite_add_tcase(suite, tests);
	return support_run(suite);
}
