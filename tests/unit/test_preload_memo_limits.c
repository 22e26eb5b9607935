/*
 * When a remembered stack must not be believed, or not even read: it goes beyond what is mapped
 * now, it is deeper than wanted, its code is gone, or its records have been overwritten.
 *
 * The stacks are laid out by hand, every frame of one size, and so are the rules of their code;
 * what is right is read off the words. Memory beyond the bound cannot be read: to try is to fail.
 */
#include <sys/mman.h>

#include "laid_stack.h"
#include "memo.h"
#include "modules.h"
#include "node_file.h"
#include "pages.h"
#include "preload_support.h"
#include "stacks.h"
#include "unwind.h"
#include "unwind_walk.h"

#define FRAMES 12
#define MAPPED (FRAMES * FRAME_BYTES)
#define ENOUGH 64
#define PLACES 150

static struct unwind_state *state;
static struct memo *memo;
static struct unwind_counts counts;
static uintptr_t top; /* what can be read ends there */
static unsigned frame_bytes;
static bool own;		  /* the stack is the thread's own */
static const unsigned middle = 4; /* the frame where walks meet */

/* The return address into frame `i` of one of two programs. */
static uintptr_t pc_of(unsigned program, unsigned i)
{
	return code + (program * FRAMES + i + 1) * CODE_STEP;
}

static bool is_outermost(uintptr_t pc)
{
	return pc == pc_of(0, FRAMES - 1) || pc == pc_of(1, FRAMES - 1);
}

/* Code whose frames have so many bytes. */
static void put_code(unsigned bytes)
{
	frame_bytes = bytes;
	for (unsigned i = 0; i < 2 * FRAMES; i++) {
		uintptr_t pc = pc_of(i / FRAMES, i % FRAMES);

		put_rule(pc, is_outermost(pc) ? UNWIND_RULE_END : RULE(bytes));
	}
}

/* Frames from `from` on are of this program. */
static void put_words(unsigned program, unsigned from)
{
	for (unsigned i = from; i < FRAMES; i++)
		*(uintptr_t *)(sp_of(i) - 8) = pc_of(program, i);
}

/* Nothing can be read beyond the sp of frame `frames`, which begins a page. */
static void set_top(unsigned frames)
{
	size_t bytes = (size_t)frames * FRAME_BYTES;

	top = low + bytes;
	ck_assert_uint_eq(top % PAGE, 0);
	ck_assert_int_eq(mprotect((void *)low, MAPPED, PROT_NONE), 0);
	ck_assert_int_eq(mprotect((void *)low, bytes, PROT_READ | PROT_WRITE), 0);
	/* Other memory is looked at again, as when another thread is given the state. */
	memset(&state->bounds, 0, sizeof(state->bounds));
	if (own)
		state->bounds.own = (struct stack_range){low, top};
	state->bounds.thread = (uintptr_t)__builtin_thread_pointer();
}

static void start(bool on_own_stack)
{
	support_enter();
	modules_init("test");
	support_create();
	ck_assert_int_eq(stacks_init(), 0);
	node_file_keep();
	state = pages_map(unwind_memo.state_bytes);
	ck_assert_ptr_nonnull(state);
	memo = &state->memo;
	map_at(code, PAGE);
	map_at(low - PAGE, MAPPED + 2 * PAGE);
	own = on_own_stack;
	set_top(FRAMES);
	put_code(FRAME_BYTES);
	put_words(0, 1);
}

static void finish(void)
{
	munmap((void *)code, PAGE);
	munmap((void *)(low - PAGE), MAPPED + 2 * PAGE);
	support_leave();
}

/* What the words say: pcs innermost first. */
static unsigned read_words(uintptr_t pc, unsigned from, unsigned depth, uintptr_t *pcs)
{
	uintptr_t sp = sp_of(from);
	unsigned count = 0;

	for (;;) {
		pcs[count++] = pc;
		sp += frame_bytes;
		if (is_outermost(pc) || count == depth || sp > top)
			return count;
		pc = *(uintptr_t *)(sp - 8);
		if (!pc)
			return count;
	}
}

/* The stack of frame `from`, where `pc` is, of at most so many frames, is this one. */
static void look_for(uintptr_t pc, unsigned from, unsigned depth, const uintptr_t *expected,
		     unsigned count)
{
	struct unwind_origin origin = {pc, sp_of(from), 0};
	uint32_t id = unwind_memo.stack(state, &origin, depth, &counts);
	bool cut = count == depth && !is_outermost(expected[count - 1]);

	for (unsigned i = 0; i < count; i++) {
		ck_assert_msg(stacks_frame(id, &id, &pc), "%u of %u frames", i, count);
		ck_assert_msg(pc == expected[i], "frame %u of %u differs", i, count);
	}
	ck_assert_uint_eq(id, cut ? TRACE_NODE_CUT : 0);
}

/* It is what the words say. */
static void look_at(uintptr_t pc, unsigned from, unsigned depth)
{
	uintptr_t expected[FRAMES];
	unsigned count = read_words(pc, from, depth, expected);

	look_for(pc, from, depth, expected, count);
}

static void look_from(unsigned from, unsigned depth)
{
	look_at(pc_of(0, from), from, depth);
}

static void look(void)
{
	look_from(0, ENOUGH);
}

/* The stack that was walked last. */
static const struct unwind_last *last(void)
{
	return &state->lasts[own ? 0 : 1 + (low >> 16) % (UNWIND_LASTS - 1)];
}

/* How many stacks that begin with frame 0 are found without walking. */
static unsigned whole_stacks(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < MEMO_SETS * MEMO_WAYS; i++)
		count += memo->stacks[i / MEMO_WAYS][i % MEMO_WAYS].pc == pc_of(0, 0);
	return count;
}

/* The ways in which the stack of frame 0 comes to be known. */

static void make_last(void)
{
	look();
	ck_assert_uint_eq(last()->count, FRAMES);
	ck_assert_uint_eq(whole_stacks(), 0);
}

static void make_latest(void)
{
	for (unsigned i = 0; i < 3; i++)
		look();
	ck_assert_uint_eq(whole_stacks(), 1);
}

/* Another stack with the same first frame was found last. */
static void make_other(void)
{
	for (unsigned i = 0; i < 1000; i++) {
		put_words(i % 2, 1);
		look();
	}
	ck_assert_uint_eq(whole_stacks(), 2);
	put_words(0, 1);
}

/* A walk that came upon frames of the one before it. */
static void make_joined(void)
{
	look_from(middle, ENOUGH);
	ck_assert_uint_eq(last()->count, FRAMES - middle);
	look();
	ck_assert_uint_eq(state->walk.joined, FRAMES - middle);
	ck_assert_uint_eq(state->walk.fresh_count, middle);
}

/* Inner frames have returned since. */
static void make_returned(void)
{
	look();
	look_from(middle, ENOUGH);
	ck_assert_uint_eq(last()->count, FRAMES);
	ck_assert_uint_eq(state->walk.fresh_count, 0);
}

/* Kept from a walk that had fewer frames than the one before it. */
static void make_returned_latest(void)
{
	look_from(0, ENOUGH);
	for (unsigned i = 0; i < 3; i++)
		look_from(middle, ENOUGH);
	ck_assert_uint_eq(whole_stacks(), 0);
}

/* Cut off, all but the innermost. */
static void make_cut(void)
{
	look_from(0, middle);
	look_from(0, 1);
}

static void (*const ways[])(void) = {make_last,	    make_latest,	  make_other, make_joined,
				     make_returned, make_returned_latest, make_cut};

#define WAYS ((int)(sizeof(ways) / sizeof(ways[0])))

/* The stack has less memory now than when it was walked. */
START_TEST(not_read_beyond_the_bound)
{
	unsigned frames = _i / (2 * WAYS) ? 4 : 8;

	start(_i / WAYS % 2);
	ways[_i % WAYS]();
	set_top(frames);
	for (unsigned i = 0; i < 3; i++)
		look();
	set_top(FRAMES);
	look();
	finish();
}
END_TEST

START_TEST(not_deeper_than_wanted)
{
	for (unsigned depth = 1; depth <= FRAMES; depth++) {
		uint64_t truncated;

		start(_i / WAYS);
		ways[_i % WAYS]();
		truncated = counts.truncated;
		look_from(0, depth);
		ck_assert_uint_eq(counts.truncated - truncated, depth < FRAMES);
		look();
		look_from(0, depth);
		finish();
	}
}
END_TEST

/* Other code lies there, whose frames are of another size. */
START_TEST(not_after_an_unload)
{
	start(_i / WAYS);
	ways[_i % WAYS]();
	unwind_forget(code, code + PAGE);
	put_code(2 * FRAME_BYTES);
	for (unsigned i = 0; i < 3; i++)
		look();
	unwind_forget(code, code + PAGE);
	put_code(FRAME_BYTES);
	for (unsigned i = 0; i < 3; i++)
		look();
	finish();
}
END_TEST

/* Makes checks that hold, which tell of no stack of ours, until all before them are gone. */
static void overwrite(void)
{
	static uintptr_t word = 1;
	struct memo_check checks[FRAMES];
	struct memo_stack stack = {.pc = 1, .sp = 1, .count = FRAMES};

	for (unsigned i = 0; i < FRAMES; i++)
		checks[i] = (struct memo_check){word, (uintptr_t)&word};
	for (unsigned i = 0; i < MEMO_CHECKS / FRAMES + 1; i++)
		memo_keep(memo, &stack, checks);
}

START_TEST(not_when_overwritten)
{
	start(_i / WAYS);
	ways[_i % WAYS]();
	put_words(1, middle + 2);
	overwrite();
	look();
	look_from(middle, ENOUGH);
	finish();
}
END_TEST

START_TEST(each_word_decides)
{
	for (unsigned i = 1; i < FRAMES; i++) {
		start(_i / WAYS);
		ways[_i % WAYS]();
		*(uintptr_t *)(sp_of(i) - 8) = pc_of(1, i);
		look();
		look();
		put_words(0, i);
		look();
		finish();
	}
}
END_TEST

/* More first frames at one place than there are sets, all of them with the same callers. */
START_TEST(not_of_another_first_frame)
{
	start(_i);
	for (unsigned i = 0; i < 3 * PLACES; i++) {
		uintptr_t pc = pc_of(2, i % PLACES);

		put_rule(pc, RULE(FRAME_BYTES));
		look_at(pc, 0, ENOUGH);
	}
	finish();
}
END_TEST

/* A frame of code in no module is found by its frame pointer, until code is loaded there. */
START_TEST(not_where_code_was_loaded)
{
	uintptr_t jit = pc_of(3, 0), fp = sp_of(middle + 1) - 16;

	start(_i);
	*(uintptr_t *)(sp_of(middle) - 8) = jit;
	*(uintptr_t *)(sp_of(middle) - 16) = fp;
	for (unsigned i = 0; i < 40; i++) {
		look_from(i % 4, ENOUGH);
		ck_assert(last()->opens);
		/* On another stack such frames are not kept: where they lead may be gone. */
		ck_assert_uint_eq(state->walk.fresh_count == 0, own && i >= 1);
	}
	put_rule(jit, RULE(2 * FRAME_BYTES));
	for (unsigned i = 0; i < 3; i++) {
		uintptr_t pcs[FRAMES];
		unsigned count = 0;

		for (unsigned j = i; j < FRAMES; j++)
			if (j != middle + 1)
				pcs[count++] = j == middle ? jit : pc_of(0, j);
		look_for(pc_of(0, i), i, ENOUGH, pcs, count);
	}
	finish();
}
END_TEST

/* What is beyond the outermost frame is asked for each time: it may come to be more, or less. */
START_TEST(not_under_another_end)
{
	start(_i);
	for (unsigned i = 0; i < 20; i++) {
		/* Where there is no return address, nothing is known to be beyond. */
		put_words(i / 2 % 2, FRAMES - 2);
		if (i % 2)
			*(uintptr_t *)(sp_of(FRAMES - 2) - 8) = 0;
		look();
		look_from(middle, ENOUGH);
	}
	finish();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("memo_limits");
	TCase *tcase = tcase_create("memo_limits");

	tcase_add_loop_test(tcase, not_read_beyond_the_bound, 0, 4 * WAYS);
	tcase_add_loop_test(tcase, not_deeper_than_wanted, 0, 2 * WAYS);
	tcase_add_loop_test(tcase, not_after_an_unload, 0, 2 * WAYS);
	tcase_add_loop_test(tcase, not_when_overwritten, 0, 2 * WAYS);
	tcase_add_loop_test(tcase, each_word_decides, 0, 2 * WAYS);
	tcase_add_loop_test(tcase, not_of_another_first_frame, 0, 2);
	tcase_add_loop_test(tcase, not_where_code_was_loaded, 0, 2);
	tcase_add_loop_test(tcase, not_under_another_end, 0, 2);
	suite_add_tcase(suite, tcase);
	return support_run(suite);
}
