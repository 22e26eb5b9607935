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

/* Keeps a stack {pc, sp} of so many checks, each of which has a value of its own. */
static void keep_stack(unsigned count, uintptr_t pc, uintptr_t sp)
{
	static struct memo_check checks[MEMO_CHECKS];
	struct memo_stack stack = {.pc = pc, .sp = sp, .node = 1, .count = (uint16_t)count};

	for (unsigned i = 0; i < count; i++)
		checks[i] = (struct memo_check){pc + sp + i, i};
	memo_keep(memo, &stack, checks);
}

/* The stack {pc, sp}, if it is there with all its checks. */
static const struct memo_stack *find_stack(uintptr_t pc, uintptr_t sp)
{
	const struct memo_stack *set = memo->stacks[memo_latest_of(pc, sp) % MEMO_SETS];

	for (unsigned i = 0; i < MEMO_WAYS; i++) {
		if (set[i].pc != pc || set[i].sp != sp || !memo_alive(memo, set[i].first))
			continue;
		for (unsigned j = 0; j < set[i].count; j++) {
			ck_assert_uint_eq(set[i].checks[j].value, pc + sp + j);
			ck_assert_uint_eq(set[i].checks[j].where, j);
		}
		return &set[i];
	}
	return NULL;
}

START_TEST(nothing_is_known_at_first)
{
	make_memo();
	ck_assert(!memo_alive(memo, 0));
	ck_assert_ptr_null(find_stack(0, 0));
}
END_TEST

START_TEST(finds_what_was_kept_and_not_overwritten)
{
	unsigned checks = 0;

	make_memo();
	for (unsigned i = 0; i < 5000; i++) {
		unsigned count = i % 37;

		keep_stack(count, i + 1, 1000 * i);
		ck_assert_ptr_nonnull(find_stack(i + 1, 1000 * i));
		ck_assert_uint_eq(find_stack(i + 1, 1000 * i)->count, count);
		ck_assert_ptr_null(find_stack(i + 2, 1000 * i));
		/* The one found last is looked at first. */
		ck_assert_ptr_eq(find_stack(i + 1, 1000 * i),
				 &memo->stacks[memo_latest_of(i + 1, 1000 * i) % MEMO_SETS]
					      [memo->latest[memo_latest_of(i + 1, 1000 * i)]]);
		checks += count + 1;
		if (checks < MEMO_CHECKS && i < MEMO_WAYS)
			ck_assert_ptr_nonnull(find_stack(1, 0));
	}
	ck_assert_ptr_null(find_stack(1, 0));
}
END_TEST

START_TEST(too_many_checks_are_not_kept)
{
	make_memo();
	keep_stack(MEMO_CHECKS / 2, 1, 1);
	ck_assert_ptr_nonnull(find_stack(1, 1));
	keep_stack(MEMO_CHECKS / 2 + 1, 2, 2);
	ck_assert_ptr_null(find_stack(2, 2));
	ck_assert_ptr_nonnull(find_stack(1, 1));
}
END_TEST

/* As many checks as there is room for, up to the latest. */
START_TEST(alive_until_overwritten)
{
	make_memo();
	for (unsigned i = 0; i < 3 * MEMO_CHECKS; i++) {
		memo_position latest = memo->head;

		keep_stack(0, 1, 1);
		ck_assert_uint_eq(memo->head, latest + 1);
		ck_assert(memo_alive(memo, latest));
		ck_assert(!memo_alive(memo, latest + 1));
		ck_assert(memo_alive(memo, latest + 1 - MEMO_CHECKS));
		ck_assert(!memo_alive(memo, latest - MEMO_CHECKS));
	}
}
END_TEST

START_TEST(nothing_is_known_after_a_reset)
{
	make_memo();
	keep_stack(100, 7, 70);
	memo_seen(memo, 5, 6);
	memo_reset(memo, 1);
	ck_assert_uint_eq(memo->generation, 1);
	for (unsigned i = 0; i < MEMO_SETS * MEMO_WAYS; i++)
		ck_assert_uint_eq(memo->stacks[i / MEMO_WAYS][i % MEMO_WAYS].pc, 0);
}
END_TEST

START_TEST(positions_start_over)
{
	make_memo();
	memo->head = INT32_MAX - MEMO_CHECKS;
	keep_stack(5, 7, 70);
	ck_assert_uint_lt(memo->head, 4 * MEMO_CHECKS);
	ck_assert_ptr_nonnull(find_stack(7, 70));
}
END_TEST

/* Asked for again within 32 times: seen; after 64 others, or never before: not. */
START_TEST(seen_only_of_late)
{
	make_memo();
	for (unsigned others = 0; others < 200; others++) {
		memo_reset(memo, 0);
		memo->looks = others; /* wherever the units begin */
		ck_assert(!memo_seen(memo, 1000, 64));
		for (unsigned i = 0; i < others; i++)
			memo_seen(memo, 1 + i, 64);
		if (others < MEMO_OF_LATE)
			ck_assert(memo_seen(memo, 1000, 64));
		else if (others >= 2 * MEMO_OF_LATE)
			ck_assert(!memo_seen(memo, 1000, 64));
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
	tcase_add_test(tcase, too_many_checks_are_not_kept);
	tcase_add_test(tcase, positions_start_over);
	tcase_add_test(tcase, seen_only_of_late);
	tcase_add_test(tcase, same_as_by_rules);
	tcase_add_loop_test(tcase, same_when_cut, 0, 5);
	tcase_add_test(tcase, same_when_deep);
	tcase_add_test(tcase, same_when_forgotten);
	tcase_add_test(tcase, same_but_for_fp);
	suite_add_tcase(suite, tcase);
	return support_run(suite);
}
