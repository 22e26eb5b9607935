/* Stacks interned: whatever id is given, the file says which parent and pc it means. */
#include "stacks.h"

#include "preload_support.h"

#define CHUNK TRACE_NODES_CHUNK_WORDS

static void setup(void)
{
	support_enter();
	support_create();
	ck_assert_int_eq(stacks_init(), 0);
}

/* Chunks of the file by index, the first of each as readers take it. */
struct nodes {
	struct support_trace trace;
	const uint64_t *chunks[8192];
	const struct trace_region *regions;
};

static struct nodes read_nodes(void)
{
	struct nodes nodes = {.trace = support_parse("t")};

	nodes.regions = support_trace_header(&nodes.trace)->regions;
	for (size_t i = 0; i < nodes.trace.count; i++) {
		const struct support_segment *segment = &nodes.trace.segments[i];

		if (segment->head.type != TRACE_SEGMENT_NODES)
			continue;
		ck_assert_uint_lt(segment->head.index, 8192);
		ck_assert_uint_eq(segment->head.bytes, CHUNK * 8);
		if (!nodes.chunks[segment->head.index])
			nodes.chunks[segment->head.index] =
			    (const void *)(nodes.trace.bytes + segment->offset);
	}
	return nodes;
}

static void check_node(const struct nodes *nodes, uint32_t id, uint32_t parent, uint64_t pc)
{
	const uint64_t *chunk = nodes->chunks[id / CHUNK];
	struct trace_region region;
	uint64_t word;

	ck_assert_uint_ge(id % CHUNK, 8);
	ck_assert_msg(chunk != NULL, "id %u is in no chunk", id);
	word = chunk[id % CHUNK];
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
	support_trace_free(&nodes.trace);
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
	for (uint32_t id = 8, left = distinct; left; id++) {
		if (id % CHUNK < 8)
			continue;
		ck_assert_msg(seen[id], "id %u of %u was given to nobody", id, distinct);
		left--;
	}
	ck_assert_uint_gt(distinct, 150000);
	support_trace_free(&nodes.trace);
}
END_TEST

START_TEST(chunk_boundaries)
{
	uint32_t before = 7;
	struct nodes nodes;

	for (uint32_t i = 1; i <= 3 * CHUNK; i++) {
		uint32_t id = stacks_node(0, 0x400000 + i);

		before++;
		if (before % CHUNK == 0)
			before += 8;
		ck_assert_uint_eq(id, before);
	}
	nodes = read_nodes();
	ck_assert_uint_eq(support_count(&nodes.trace, TRACE_SEGMENT_NODES), 4);
	check_node(&nodes, CHUNK - 1, 0, 0x400000 + CHUNK - 8);
	check_node(&nodes, CHUNK + 8, 0, 0x400000 + CHUNK - 7);
	support_trace_free(&nodes.trace);
}
END_TEST

/* As many 4-GiB pieces of address space as there are codes; then stacks are cut, and it is said. */
START_TEST(too_many_regions)
{
	uint32_t ids[TRACE_REGION_WIDE];
	struct nodes nodes;

	for (uint64_t i = 0; i < TRACE_REGION_WIDE; i++) {
		ids[i] = stacks_node(0, (i + 1) << 32 | 0x1000);
		ck_assert_uint_ne(ids[i], 0);
	}
	ck_assert_uint_eq(trace_file_header()->flags, 0);
	ck_assert_uint_eq(stacks_node(0, 100ULL << 32 | 0x1000), 0);
	ck_assert_uint_eq(trace_file_header()->flags, TRACE_FLAG_NODES_FULL);
	ck_assert_uint_eq(stacks_node(0, 5ULL << 32 | 0x1000), ids[4]);
	nodes = read_nodes();
	for (uint64_t i = 0; i < TRACE_REGION_WIDE; i++)
		check_node(&nodes, ids[i], 0, (i + 1) << 32 | 0x1000);
	support_trace_free(&nodes.trace);
}
END_TEST

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
	support_trace_free(&nodes.trace);
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
	tcase_add_test(tests, chunk_boundaries);
	tcase_add_test(tests, too_many_regions);
	tcase_add_test(tests, anew);
	tcase_add_test(tests, eight_threads);
	suite_add_tcase(suite, tests);
	return support_run(suite);
}
