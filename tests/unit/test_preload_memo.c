/*
 * The memo alone, and the backend over frames of every shape: each stack is walked by rules alone
 * as well, and both must be the same.
 */
#include "memo.h"
#include "modules.h"
#include "node_file.h"
#include "pages.h"
#include "preload_support.h"
#include "stack_bounds.h"
#include "stacks.h"
#include "unwind.h"
#include "unwind_rule.h"
#include "unwind_step.h"

#define FRAMES_MAX 1024

static struct memo *memo;

static void make_memo(void)
{
	memo = pages_map(sizeof(*memo));
	ck_assert_ptr_nonnull(memo);
	memo_reset(memo, 0);
}

/* A run of `count` frames with sp from `sp` on. */
static memo_position keep_frames(unsigned count, uintptr_t pc, uintptr_t sp)
{
	memo_position first = memo_reserve(memo, count);

	for (unsigned i = 0; first && i < count; i++) {
		memo_check_at(memo, first + i)->value = pc;
		*memo_meta_at(memo, first + i) =
		    (struct memo_meta){.sp = sp + i, .end = first + count - 1, .kind = MEMO_FRAME};
	}
	if (first)
		memo_publish(memo, first, count);
	return first;
}

START_TEST(nothing_is_known_at_first)
{
	make_memo();
	ck_assert(!memo_alive(memo, 0));
	ck_assert_uint_eq(memo_find(memo, 0, 0, 0), 0);
	ck_assert_uint_eq(memo_join_find(memo, 1, 2, 3), 0);
}
END_TEST

START_TEST(finds_what_was_kept_and_not_overwritten)
{
	make_memo();
	for (unsigned i = 0; i < 5000; i++) {
		unsigned count = 1 + i % 37;
		memo_position first = keep_frames(count, i + 1, 1000 * i);

		ck_assert_uint_gt(first, 0);
		for (unsigned j = 0; j < count; j++)
			ck_assert_uint_eq(memo_find(memo, i + 1, 1000 * i + j, 0), first + j);
		ck_assert_uint_eq(memo_find(memo, i + 2, 1000 * i, 0), 0);
		/* Runs are contiguous in memory too. */
		ck_assert_uint_le(first % MEMO_RECORDS + count, MEMO_RECORDS);
		if (i > MEMO_RECORDS)
			ck_assert_uint_eq(memo_find(memo, i + 1 - MEMO_RECORDS,
						    1000 * (uintptr_t)(i - MEMO_RECORDS), 0),
					  0);
	}
	ck_assert_uint_eq(memo_reserve(memo, MEMO_RECORDS), 0);
}
END_TEST

/* As many records as there is room for, up to the latest. */
START_TEST(alive_until_overwritten)
{
	make_memo();
	for (unsigned i = 0; i < 3 * MEMO_RECORDS; i++) {
		memo_position latest = keep_frames(1, 1, 1);

		ck_assert(memo_alive(memo, latest));
		ck_assert(!memo_alive(memo, latest + 1));
		ck_assert(memo_alive(memo, latest + 1 - MEMO_RECORDS));
		ck_assert(!memo_alive(memo, latest - MEMO_RECORDS));
	}
}
END_TEST

/* Nothing is found again where the next records are not filled in yet. */
START_TEST(nothing_is_known_after_a_reset)
{
	memo_position first;

	make_memo();
	first = keep_frames(100, 7, 70);
	memo_keep_stack(memo, first);
	memo_join_keep(memo, first, first + 5, 1, 9);
	memo_reset(memo, 1);
	ck_assert_uint_eq(memo_reserve(memo, 100), first);
	for (unsigned i = 0; i < 100; i++)
		ck_assert_uint_eq(memo_find(memo, 7, 70 + i, 0), 0);
	for (unsigned i = 0; i < MEMO_SETS * MEMO_WAYS; i++)
		ck_assert_uint_eq(memo->stacks[i / MEMO_WAYS][i % MEMO_WAYS].pc, 0);
	ck_assert_uint_eq(memo_join_find(memo, first, first + 5, 1), 0);
}
END_TEST

/* A frame needs the record with its fp, which is overwritten before it is. */
START_TEST(unknown_without_its_fp)
{
	memo_position first, frame;

	make_memo();
	first = keep_frames(20, 7, 70);
	frame = first + 10;
	memo_meta_at(memo, frame)->fp_check = 10;
	ck_assert_uint_eq(memo_find(memo, 7, 80, 7), frame);
	ck_assert_uint_eq(memo_find(memo, 7, 80, 6), 0);
	while (memo->head < first + MEMO_RECORDS)
		keep_frames(1, 1, 1);
	ck_assert_uint_eq(memo_find(memo, 7, 80, 7), frame);
	keep_frames(1, 7, 1);
	ck_assert(memo_alive(memo, frame));
	ck_assert_uint_eq(memo_find(memo, 7, 80, 7), 0);
}
END_TEST

START_TEST(positions_start_over)
{
	make_memo();
	memo->head = INT32_MAX - MEMO_RECORDS;
	ck_assert_uint_gt(keep_frames(5, 7, 70), 0);
	ck_assert_uint_lt(memo->head, 4 * MEMO_RECORDS);
	ck_assert_uint_gt(memo_find(memo, 7, 70, 0), 0);
}
END_TEST

START_TEST(joins_are_exact)
{
	make_memo();
	for (unsigned i = 1; i < 20000; i++) {
		memo_join_keep(memo, i, i + 5, i * 3, i * 7);
		ck_assert_uint_eq(memo_join_find(memo, i, i + 5, i * 3), i * 7);
		ck_assert_uint_eq(memo_join_find(memo, i, i + 6, i * 3), 0);
		ck_assert_uint_eq(memo_join_find(memo, i, i + 5, i * 3 + 1), 0);
		ck_assert_uint_eq(memo_join_find(memo, i + 1, i + 5, i * 3), 0);
	}
}
END_TEST

static void *state;
static struct unwind_counts counts;
static unsigned max_depth;
static uint64_t events, wrong;

/* The stack by rules alone. */
static unsigned walk(const struct unwind_origin *origin, uintptr_t *pcs)
{
	static struct stack_bounds bounds;
	struct unwind_frame frame = {origin->pc, origin->sp, origin->fp};
	struct unwind_reads reads;
	uintptr_t top = stack_bounds_top(&bounds, origin->sp);
	unsigned count = 0;

	do
		pcs[count++] = frame.pc;
	while (count < max_depth &&
	       unwind_step(&frame, unwind_rule_of(frame.pc), top, &reads) == UNWIND_STEP_CALLER);
	return count;
}

static void compare_stacks(const struct unwind_origin *origin)
{
	uintptr_t expected[FRAMES_MAX], pc;
	uint64_t truncated = counts.truncated;
	uint32_t id = unwind_memo.stack(state, origin, max_depth, &counts);
	unsigned count = walk(origin, expected);
	unsigned i = 0, kept = 0;

	events++;
	/* A stack that is too deep may have been cut within its outermost quarter. */
	for (uint32_t left = id; left && stacks_frame(left, &left, &pc);)
		kept++;
	if (counts.truncated != truncated && max_depth >= 64 && kept < count &&
	    kept >= max_depth - max_depth / 4)
		count = kept;
	for (; i < count && id && stacks_frame(id, &id, &pc) && pc == expected[i]; i++)
		;
	wrong += i != count || id != (counts.truncated != truncated ? TRACE_NODE_CUT : 0);
}

__attribute__((noinline)) static void *hook(size_t bytes)
{
	struct unwind_origin origin = {(uintptr_t)__builtin_return_address(0),
				       (uintptr_t)__builtin_dwarf_cfa(),
				       *(uintptr_t *)__builtin_frame_address(0)};

	compare_stacks(&origin);
	return (void *)bytes;
}

#define malloc(bytes) hook(bytes)
#define free(block)   (void)(block)
#define main	      shapes_main
int shapes_main(int argc, char **argv);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wvla"
#include "../unwind/programs/shapes.c"
#pragma GCC diagnostic pop
#undef malloc
#undef free
#undef main

static void start(unsigned depth)
{
	support_enter();
	modules_init("test");
	support_create();
	ck_assert_int_eq(stacks_init(), 0);
	node_file_keep();
	state = pages_map(unwind_memo.state_bytes);
	ck_assert_ptr_nonnull(state);
	max_depth = depth;
}

static void walk_shapes(unsigned depth, const char *rounds, const char *nesting)
{
	char *arguments[] = {NULL, (char *)rounds, (char *)nesting, NULL};

	start(depth);
	ck_assert_int_eq(freopen("/dev/null", "w", stdout) == NULL, 0);
	shapes_main(3, arguments);
	ck_assert_uint_gt(events, 10000);
	ck_assert_msg(wrong == 0, "%lu of %lu stacks differ", (unsigned long)wrong,
		      (unsigned long)events);
	support_leave();
}

START_TEST(same_as_by_rules)
{
	walk_shapes(256, "20000", "30");
}
END_TEST

START_TEST(same_when_cut)
{
	static const unsigned depths[] = {1, 3, 12, 40, 64};

	walk_shapes(depths[_i], "3000", "90");
	ck_assert_uint_gt(counts.truncated, 0);
}
END_TEST

START_TEST(same_when_deep)
{
	walk_shapes(FRAMES_MAX, "100", "900");
}
END_TEST

/* Rules and stacks forgotten at any time change nothing but speed. */
START_TEST(same_when_forgotten)
{
	start(256);
	for (unsigned i = 0; i < 300; i++) {
		seed += i;
		descend(20);
		unwind_rules_forget((uintptr_t)descend, (uintptr_t)descend + 500);
	}
	ck_assert_uint_eq(wrong, 0);
	support_leave();
}
END_TEST

static uintptr_t fp_based, outermost; /* pcs of such frames */

__attribute__((noinline)) static void note_pcs(char *room)
{
	struct unwind_origin origin = {(uintptr_t)__builtin_return_address(0),
				       (uintptr_t)__builtin_dwarf_cfa(),
				       *(uintptr_t *)__builtin_frame_address(0)};
	uintptr_t pcs[FRAMES_MAX];
	unsigned count = walk(&origin, pcs);

	room[0] = 1;
	fp_based = origin.pc;
	outermost = pcs[count - 1];
}

__attribute__((noinline)) static void stand_on_fp(volatile unsigned bytes)
{
	char *room = __builtin_alloca(bytes);

	note_pcs(room);
}

/* A frame that begins like another and finds all its words again, but is found by another fp. */
START_TEST(same_but_for_fp)
{
	volatile uintptr_t words[16] = {0};
	struct unwind_origin origin = {0};

	start(256);
	stand_on_fp(100);
	ck_assert_int_eq(unwind_rule_kind(unwind_rule_of(fp_based)), UNWIND_RULE_FP);
	ck_assert_int_eq(unwind_rule_kind(unwind_rule_of(outermost)), UNWIND_RULE_END);
	words[5] = outermost;
	words[8] = (uintptr_t)&words[12];
	words[9] = fp_based;
	words[13] = outermost;
	origin.pc = fp_based;
	origin.sp = (uintptr_t)words;
	for (unsigned i = 0; i < 40; i++) {
		origin.fp = (uintptr_t)&words[i / 3 % 2 ? 4 : 8];
		compare_stacks(&origin);
	}
	ck_assert_uint_eq(wrong, 0);
	support_leave();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("memo");
	TCase *tcase = tcase_create("memo");

	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, nothing_is_known_at_first);
	tcase_add_test(tcase, finds_what_was_kept_and_not_overwritten);
	tcase_add_test(tcase, alive_until_overwritten);
	tcase_add_test(tcase, nothing_is_known_after_a_reset);
	tcase_add_test(tcase, unknown_without_its_fp);
	tcase_add_test(tcase, positions_start_over);
	tcase_add_test(tcase, joins_are_exact);
	tcase_add_test(tcase, same_as_by_rules);
	tcase_add_loop_test(tcase, same_when_cut, 0, 5);
	tcase_add_test(tcase, same_when_deep);
	tcase_add_test(tcase, same_when_forgotten);
	tcase_add_test(tcase, same_but_for_fp);
	suite_add_tcase(suite, tcase);
	return support_run(suite);
}
