/* Ids to sites: duplicates say the same, damage in the nodes ends a stack and never the reader. */
#include "callstack.h"

#include "check_load.h"
#include "check_support.h"
#include "trace_builder.h"
#include "trace_reader.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static uint32_t site_of(struct callstack_table *table, uint32_t id)
{
	uint32_t site, again;

	ck_assert_int_eq(callstack_site(table, id, &site), 0);
	ck_assert_int_eq(callstack_site(table, id, &again), 0);
	ck_assert_uint_eq(site, again);
	return site;
}

/* Two ids of one stack are two sites here, alike in all frames; asked again each is the same. */
START_TEST(duplicates_are_alike)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t a = trace_builder_node(builder, 0, 0x7f0000001000);
	uint32_t a2 = trace_builder_node(builder, 0, 0x7f0000001000);
	uint32_t b = trace_builder_node(builder, a, 0x550000002000);
	uint32_t b2 = trace_builder_node(builder, a2, 0x550000002000);
	uint32_t later = trace_builder_node_at(builder, a, 0x550000002000, 3);
	struct trace_reader *reader = load_reader(builder);
	struct callstack_table table;
	struct callstack_pc pcs[2];
	uint32_t codes[2], codes2[2];

	ck_assert_int_eq(callstack_init(&table, reader), 0);
	ck_assert_uint_eq(site_of(&table, b), 0);
	ck_assert_uint_eq(site_of(&table, b2), 1);
	ck_assert_uint_eq(site_of(&table, later), 2);
	ck_assert_uint_eq(site_of(&table, a), 3);
	ck_assert_uint_eq(site_of(&table, 0), 4);
	ck_assert_uint_eq(site_of(&table, b), 0);
	ck_assert_uint_eq(table.site_count, 5);
	ck_assert_uint_eq(table.code_count, 3);
	ck_assert_uint_eq(callstack_depth(&table, 0), 2);
	ck_assert_uint_eq(callstack_depth(&table, 1), 2);
	ck_assert_uint_eq(callstack_depth(&table, 4), 0);
	callstack_codes(&table, 0, codes);
	callstack_codes(&table, 1, codes2);
	ck_assert_mem_eq(codes, codes2, sizeof(codes));
	callstack_pcs(&table, 0, pcs);
	ck_assert_uint_eq(pcs[0].pc, 0x550000002000);
	ck_assert_uint_eq(pcs[1].pc, 0x7f0000001000);
	callstack_pcs(&table, 2, pcs);
	ck_assert_uint_eq(pcs[0].epoch, 3);
	ck_assert_uint_eq(table.unresolved, 0);
	callstack_fini(&table);
	trace_reader_free(reader);
}
END_TEST

/* Thousands of random nodes, each id against a walk of the parents. */
START_TEST(many_nodes)
{
	enum { NODES = 30000 };
	static uint32_t ids[NODES], parents[NODES];
	static uint64_t of[NODES];
	struct trace_builder *builder = trace_builder_new();
	struct callstack_table table;
	struct trace_reader *reader;

	srand(5);
	for (int i = 0; i < NODES; i++) {
		parents[i] = i == 0 ? UINT32_MAX : (uint32_t)rand() % (uint32_t)i;
		of[i] = 0x400001 + (uint64_t)(rand() % 50);
		ids[i] = trace_builder_node(builder, i == 0 ? 0 : ids[parents[i]], of[i]);
	}
	reader = load_reader(builder);
	ck_assert_uint_ge(reader->nodes.count, 3);
	ck_assert_int_eq(callstack_init(&table, reader), 0);
	for (int i = NODES - 1; i >= 0; i--) {
		struct callstack_pc pcs[200];
		uint32_t site = site_of(&table, ids[i]);
		uint32_t at = (uint32_t)i;
		size_t depth = callstack_depth(&table, site);

		ck_assert_uint_le(depth, 200);
		callstack_pcs(&table, site, pcs);
		for (size_t frame = 0; frame < depth; frame++) {
			ck_assert_uint_ne(at, UINT32_MAX);
			ck_assert_uint_eq(pcs[frame].pc, of[at]);
			at = parents[at];
		}
		ck_assert_uint_eq(at, UINT32_MAX);
	}
	ck_assert_uint_eq(table.code_count, 50);
	callstack_fini(&table);
	trace_reader_free(reader);
}
END_TEST

START_TEST(cycles_and_holes)
{
	struct trace_builder *builder = trace_builder_new();
	/* Nodes 8 and 9 are each other's caller; 10 is its own; 11's is far outside. */
	uint32_t a = trace_builder_node(builder, 9, 0x1001);
	uint32_t b = trace_builder_node(builder, 8, 0x1002);
	uint32_t self = trace_builder_node(builder, 10, 0x1003);
	uint32_t outside = trace_builder_node(builder, 5000000, 0x1004);
	struct trace_reader *reader = load_reader(builder);
	struct callstack_table table;

	ck_assert_uint_eq(a, 8);
	ck_assert_uint_eq(self, 10);
	ck_assert_int_eq(callstack_init(&table, reader), 0);
	ck_assert_uint_le(callstack_depth(&table, site_of(&table, a)), 2);
	ck_assert_uint_le(callstack_depth(&table, site_of(&table, b)), 3);
	ck_assert_uint_eq(callstack_depth(&table, site_of(&table, self)), 1);
	ck_assert_uint_eq(callstack_depth(&table, site_of(&table, outside)), 1);
	/* Ids that nobody made. */
	ck_assert_uint_eq(callstack_depth(&table, site_of(&table, 3)), 0);
	ck_assert_uint_eq(callstack_depth(&table, site_of(&table, 8000)), 0);
	ck_assert_uint_eq(callstack_depth(&table, site_of(&table, UINT32_MAX)), 0);
	ck_assert_uint_ge(table.unresolved, 5);
	callstack_fini(&table);
	trace_reader_free(reader);
}
END_TEST

/* No way outwards is longer than the deepest stack, however long the chain in the file is. */
START_TEST(long_chain)
{
	enum { NODES = 20000 };
	struct trace_builder *builder = trace_builder_new();
	static uint32_t ids[NODES + 1];
	struct callstack_table table;
	struct trace_reader *reader;

	for (uint32_t i = 0; i < NODES; i++)
		ids[i + 1] = trace_builder_node(builder, ids[i], 0x400001 + i);
	reader = load_reader(builder);
	ck_assert_int_eq(callstack_init(&table, reader), 0);
	for (int i = 1; i <= NODES; i += 7) {
		uint32_t site = site_of(&table, ids[i]);
		size_t depth = i < CALLSTACK_DEPTH_MAX ? (size_t)i : CALLSTACK_DEPTH_MAX;
		uint32_t node = table.sites[site].node;
		size_t steps = 0;

		for (; node != CALLSTACK_ROOT; node = callstack_parent(&table, node))
			steps++;
		ck_assert_uint_eq(callstack_depth(&table, site), depth);
		ck_assert_uint_eq(steps, depth + (i > CALLSTACK_DEPTH_MAX));
	}
	callstack_fini(&table);
	trace_reader_free(reader);
}
END_TEST

/* A caller's node that has the higher id, and what hangs from that: known when asked for. */
START_TEST(callers_later)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t inner = trace_builder_node(builder, 9, 0x1001);
	uint32_t caller = trace_builder_node(builder, 0, 0x1002);
	uint32_t innermost = trace_builder_node(builder, inner, 0x1003);
	struct trace_reader *reader = load_reader(builder);
	struct callstack_table table;
	struct callstack_pc pcs[3];

	ck_assert_uint_eq(caller, 9);
	ck_assert_int_eq(callstack_init(&table, reader), 0);
	ck_assert_uint_eq(callstack_depth(&table, site_of(&table, innermost)), 3);
	ck_assert_uint_eq(callstack_depth(&table, site_of(&table, caller)), 1);
	ck_assert_uint_eq(callstack_depth(&table, site_of(&table, inner)), 2);
	callstack_pcs(&table, site_of(&table, innermost), pcs);
	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_eq(pcs[i].pc, i == 0 ? 0x1003 : i == 1 ? 0x1001 : 0x1002);
	ck_assert_uint_eq(table.unresolved, 0);
	callstack_fini(&table);
	trace_reader_free(reader);
}
END_TEST

static unsigned is_cut(struct callstack_table *table, uint32_t id)
{
	uint32_t site = site_of(table, id);

	return table->sites[site].cut;
}

/* Where node 1 stands for the callers, a stack is cut: told of each id, in whatever order asked. */
START_TEST(cut_stacks)
{
	struct trace_builder *builder = trace_builder_new();
	uint32_t whole = trace_builder_node(builder, 0, 0x1001);
	uint32_t cut = trace_builder_node(builder, TRACE_NODE_CUT, 0x1001);
	uint32_t inner = trace_builder_node(builder, cut, 0x1002);
	uint32_t innermost = trace_builder_node(builder, inner, 0x1003);
	uint32_t whole_inner = trace_builder_node(builder, whole, 0x1002);
	struct trace_reader *reader = load_reader(builder);
	struct callstack_table table;

	ck_assert_int_eq(callstack_init(&table, reader), 0);
	ck_assert_uint_eq(is_cut(&table, inner), 1);
	ck_assert_uint_eq(is_cut(&table, innermost), 1);
	ck_assert_uint_eq(is_cut(&table, cut), 1);
	ck_assert_uint_eq(is_cut(&table, whole_inner), 0);
	ck_assert_uint_eq(is_cut(&table, whole), 0);
	ck_assert_uint_eq(callstack_depth(&table, site_of(&table, innermost)), 3);
	ck_assert_uint_eq(callstack_depth(&table, site_of(&table, cut)), 1);
	ck_assert_uint_eq(callstack_parent(&table, cut), CALLSTACK_ROOT);
	/* Nothing is left of a stack: no more is known of it. */
	ck_assert_uint_eq(callstack_depth(&table, site_of(&table, TRACE_NODE_CUT)), 0);
	ck_assert_uint_eq(table.unresolved, 0);
	callstack_fini(&table);
	trace_reader_free(reader);
}
END_TEST

START_TEST(wide_pcs)
{
	static struct trace_wide_pc wide[TRACE_WIDE_CHUNK_ENTRIES];
	struct trace_builder *builder = trace_builder_new();
	struct callstack_table table;
	struct trace_reader *reader;
	struct callstack_pc pc;
	uint32_t known, unknown;
	uint8_t *image;
	size_t count;

	wide[4091] = (struct trace_wide_pc){.pc = 0xffff000012345678, .epoch_1 = 8};
	trace_builder_segment(builder, TRACE_SEGMENT_WIDE, 0, wide, sizeof(wide));
	known = trace_builder_node(builder, 0, 4091);
	unknown = trace_builder_node(builder, 0, 4090);
	/* Move both into the wide region: their words stand behind the chunk's head. */
	image = (uint8_t *)trace_builder_finish(builder, &count);
	for (size_t at = 4096; at + 8 <= count; at += 8) {
		uint64_t word;

		memcpy(&word, image + at, sizeof(word));
		if (word != TRACE_NODE(0, 0, 4091) && word != TRACE_NODE(0, 0, 4090))
			continue;
		word |= TRACE_NODE(0, TRACE_REGION_WIDE, 0);
		memcpy(image + at, &word, sizeof(word));
	}
	reader = load_reader(builder);
	ck_assert_int_eq(callstack_init(&table, reader), 0);
	callstack_pcs(&table, site_of(&table, known), &pc);
	ck_assert_uint_eq(pc.pc, 0xffff000012345678);
	ck_assert_uint_eq(pc.epoch, 7);
	ck_assert_uint_eq(table.unresolved, 0);
	ck_assert_uint_eq(callstack_depth(&table, site_of(&table, unknown)), 0);
	ck_assert_uint_eq(table.unresolved, 1);
	callstack_fini(&table);
	trace_reader_free(reader);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("callstack");
	TCase *tcase = tcase_create("callstack");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, duplicates_are_alike);
	tcase_add_test(tcase, many_nodes);
	tcase_add_test(tcase, cycles_and_holes);
	tcase_add_test(tcase, long_chain);
	tcase_add_test(tcase, callers_later);
	tcase_add_test(tcase, cut_stacks);
	tcase_add_test(tcase, wide_pcs);
	suite_add_tcase(suite, tcase);
	return support_run(suite);
}
