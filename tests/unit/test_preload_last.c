/*
 * A walk that is left half-way, as by a longjmp out of a signal handler, leaves the thread's state
 * sound: it is looked at after each instruction. And what the last stack may take for granted.
 *
 * The stacks are laid out by hand, every frame of one size, and so are the rules of their code.
 */
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "laid_stack.h"
#include "modules.h"
#include "node_file.h"
#include "pages.h"
#include "preload_support.h"
#include "stacks.h"
#include "unwind.h"
#include "unwind_walk.h"

#define FRAMES	  16
#define MAPPED	  (FRAMES * FRAME_BYTES)
#define ENOUGH	  64
#define TRAP_FLAG 0x100

static struct unwind_state *state;
static struct unwind_counts counts;
static bool own;       /* the stack is the thread's own */
static uintptr_t high; /* up to where it can be read */

/* The return address into frame `i` of one of two programs. */
static uintptr_t pc_of(unsigned program, unsigned i)
{
	return code + (program * FRAMES + i + 1) * CODE_STEP;
}

/* Code whose frames have so many bytes. */
static void put_code(unsigned bytes)
{
	for (unsigned i = 0; i < 2 * FRAMES; i++)
		put_rule(pc_of(i / FRAMES, i % FRAMES),
			 i % FRAMES == FRAMES - 1 ? UNWIND_RULE_END : RULE(bytes));
}

/* Frames from `from` on, up to `to`, are of this program. */
static void put_words(unsigned program, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		*(uintptr_t *)(sp_of(i) - 8) = pc_of(program, i);
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
	map_at(low - PAGE, MAPPED + 2 * PAGE);
	ck_assert_int_eq(mprotect((void *)low, MAPPED, PROT_READ | PROT_WRITE), 0);
	own = on_own_stack;
	high = low + MAPPED;
	if (own)
		state->bounds.own = (struct stack_range){low, low + MAPPED};
	state->bounds.thread = (uintptr_t)__builtin_thread_pointer();
	put_code(FRAME_BYTES);
	put_words(0, 1, FRAMES);
}

static void finish(void)
{
	munmap((void *)(low - PAGE), MAPPED + 2 * PAGE);
	support_leave();
}

/* Whether the stack of frame `from`, of at most so many frames, is what it is by rules alone. */
static bool is_right_at(uintptr_t pc, unsigned from, uintptr_t fp, unsigned depth)
{
	struct unwind_origin origin = {pc, sp_of(from), fp};
	uint32_t id = unwind_memo.stack(state, &origin, depth, &counts);
	struct unwind_frame frame = {pc, origin.sp, fp};
	struct unwind_reads reads;
	enum unwind_step step;
	uintptr_t found;

	for (unsigned count = 1;; count++) {
		if (!stacks_frame(id, &id, &found) || found != frame.pc)
			return false;
		step = unwind_step(&frame, unwind_rule_of(frame.pc), high, &reads);
		if (step != UNWIND_STEP_CALLER)
			return id == 0;
		if (count == depth)
			return id == TRACE_NODE_CUT;
	}
}

static bool is_right(unsigned from, unsigned depth)
{
	return is_right_at(pc_of(0, from), from, 0, depth);
}

static void look_at(uintptr_t pc, unsigned from, uintptr_t fp, unsigned depth)
{
	ck_assert_msg(is_right_at(pc, from, fp, depth), "from frame %u", from);
}

static void look(unsigned from, unsigned depth)
{
	ck_assert_msg(is_right(from, depth), "from frame %u, at most %u", from, depth);
}

#ifdef __x86_64__

/* ---- left at any instruction ---- */

static struct unwind_state *saved;
static unsigned traps, wrong, first_wrong;
static const unsigned middle = 4; /* the innermost frame that another program's may call */

/* All that may come after: the same again, other words, another depth, callers. */
static bool is_sound(void)
{
	uintptr_t words[FRAMES];
	bool sound;

	for (unsigned i = 1; i < FRAMES; i++)
		words[i] = *(uintptr_t *)(sp_of(i) - 8);
	sound = traps % 2 ? is_right(0, ENOUGH) : is_right(middle - 1, ENOUGH);
	sound = is_right(0, 5 + traps % 3) && sound;
	put_words(traps % 2, middle + traps % 8, FRAMES);
	sound = is_right(0, ENOUGH) && sound;
	sound = is_right(2, ENOUGH) && sound;
	for (unsigned i = 1; i < FRAMES; i++)
		*(uintptr_t *)(sp_of(i) - 8) = words[i];
	return sound;
}

static void on_trap(int number)
{
	(void)number;
	*saved = *state;
	if (!is_sound() && !wrong++)
		first_wrong = traps;
	*state = *saved;
	traps++;
}

static __attribute__((noinline)) void set_trap(bool on)
{
	__asm__ volatile(
	    "pushfq\n\tpop %%rax\n\tand %0, %%rax\n\tor %1, %%rax\n\tpush %%rax\n\tpopfq"
	    :
	    : "r"(~(uint64_t)TRAP_FLAG), "r"((uint64_t)(on ? TRAP_FLAG : 0))
	    : "rax", "cc", "memory");
}

static void step_through(unsigned from, unsigned depth)
{
	struct unwind_origin origin = {pc_of(0, from), sp_of(from), 0};

	set_trap(true);
	unwind_memo.stack(state, &origin, depth, &counts);
	set_trap(false);
}

/* What is stepped through. */

static void first_walk(void)
{
	step_through(0, ENOUGH);
}

static void other_callers(void)
{
	look(0, ENOUGH);
	put_words(1, middle, FRAMES);
	step_through(0, ENOUGH);
}

static void inner_frames(void)
{
	look(middle, ENOUGH);
	step_through(0, ENOUGH);
}

static void cut_deeper(void)
{
	look(0, ENOUGH);
	step_through(0, 5);
}

static void cut_less(void)
{
	look(0, 5);
	look(2, 5);
	step_through(0, 7);
}

static void cut_no_more(void)
{
	look(0, 12);
	step_through(0, ENOUGH);
}

static void kept(void)
{
	look(0, ENOUGH);
	step_through(0, ENOUGH);
}

static void kept_over_another(void)
{
	for (unsigned i = 0; i < 6; i++) {
		put_words(i % 2, middle + i % 3, FRAMES);
		look(0, ENOUGH);
		look(0, ENOUGH);
	}
	put_words(1, middle + 4, FRAMES);
	look(0, ENOUGH);
	step_through(0, ENOUGH);
}

static void positions_over(void)
{
	kept_over_another();
	state->memo.head = INT32_MAX - MEMO_CHECKS;
	put_words(1, middle + 6, FRAMES);
	look(0, ENOUGH);
	step_through(0, ENOUGH);
}

static void (*const walks[])(void) = {first_walk, other_callers,     inner_frames,
				      cut_deeper, cut_less,	     cut_no_more,
				      kept,	  kept_over_another, positions_over};

#define WALKS ((int)(sizeof(walks) / sizeof(walks[0])))

START_TEST(sound_at_each_instruction)
{
	struct sigaction action = {.sa_handler = on_trap};

	start(_i / WALKS);
	saved = pages_map(sizeof(*saved));
	ck_assert_ptr_nonnull(saved);
	sigaction(SIGTRAP, &action, NULL);
	walks[_i % WALKS]();
	ck_assert_uint_gt(traps, 100);
	ck_assert_msg(!wrong, "unsound after %u of %u instructions, first after %u", wrong, traps,
		      first_wrong);
	look(0, ENOUGH);
	finish();
}
END_TEST

/* Of code that is gone, what is known is forgotten before it is said to be. */
START_TEST(sound_while_forgetting)
{
	struct sigaction action = {.sa_handler = on_trap};

	start(_i);
	saved = pages_map(sizeof(*saved));
	ck_assert_ptr_nonnull(saved);
	sigaction(SIGTRAP, &action, NULL);
	for (unsigned i = 0; i < 4; i++) {
		look(0, ENOUGH);
		look(1, ENOUGH);
	}
	unwind_forget(code, code + PAGE);
	put_code(2 * FRAME_BYTES);
	step_through(0, ENOUGH);
	ck_assert_uint_gt(traps, 100);
	ck_assert_msg(!wrong, "unsound after %u of %u instructions, first after %u", wrong, traps,
		      first_wrong);
	finish();
}
END_TEST

#endif

/* ---- what may not be read ---- */

/*
 * A coroutine's stack that reached further up than one that is made in its place: what is beyond
 * is not there any more. The bounds do not know of it yet.
 */
START_TEST(not_read_where_a_smaller_stack_is)
{
	start(false);
	for (int i = 0; i <= _i; i++)
		look(i % 2, ENOUGH);
	*(uintptr_t *)(sp_of(6) - 8) = pc_of(1, FRAMES - 1);
	ck_assert_int_eq(mprotect((void *)(low + 2 * PAGE), MAPPED - 2 * PAGE, PROT_NONE), 0);
	look(2, ENOUGH);
	look(3, ENOUGH);
	finish();
}
END_TEST

/*
 * A frame pointer has led to frames that are not of this stack, of another coroutine's beside it,
 * which is given back.
 */
START_TEST(not_read_where_a_guess_led)
{
	const uintptr_t jit = pc_of(4, 0); /* in no module */
	const uintptr_t fp = sp_of(_i & 1 ? 8 : 4) - 16;

	start(false);
	if (_i & 2)
		look(3, ENOUGH);
	for (unsigned i = 0; i < 3; i++)
		look_at(jit, i % 2, fp, ENOUGH);
	if (_i & 4)
		look(4, ENOUGH);
	high = low + PAGE;
	ck_assert_int_eq(mprotect((void *)high, MAPPED - PAGE, PROT_NONE), 0);
	for (unsigned i = 0; i < 3; i++)
		look_at(jit, i % 2, fp, ENOUGH);
	finish();
}
END_TEST

/* What lies below is not the walk's, nor need it be there. */
START_TEST(not_read_below)
{
	start(false);
	look(0, ENOUGH);
	look(0, ENOUGH);
	ck_assert_int_eq(mprotect((void *)low, PAGE, PROT_NONE), 0);
	for (unsigned i = 4; i < FRAMES; i++)
		look(i, ENOUGH);
	finish();
}
END_TEST

/* Of other memory only that is taken for a stack which a walk has shown to be. */
START_TEST(no_more_is_trusted_than_was_walked)
{
	start(false);
	look(0, ENOUGH);
	ck_assert_uint_eq(stack_bounds_top(&state->bounds, low), sp_of(FRAMES - 1));
	look(2, ENOUGH);
	ck_assert_uint_eq(stack_bounds_top(&state->bounds, low), sp_of(FRAMES - 1));
	finish();
}
END_TEST

/* ---- which stack it is ---- */

/* Frames of one pc, as a recursion has them: words further in may still be what they were. */
START_TEST(same_pc_at_another_sp)
{
	start(_i);
	put_rule(pc_of(2, 0), RULE(FRAME_BYTES));
	for (unsigned i = 1; i < FRAMES - 1; i++)
		*(uintptr_t *)(sp_of(i) - 8) = pc_of(2, 0);
	for (unsigned round = 0; round < 4; round++)
		for (unsigned i = 0; i < FRAMES - 1; i++) {
			look_at(pc_of(2, 0), i, 0, ENOUGH);
			look_at(pc_of(2, 0), i, 0, ENOUGH);
		}
	finish();
}
END_TEST

/* Less than four words tell it from others. */
START_TEST(few_words_decide)
{
	for (unsigned from = FRAMES - 4; from < FRAMES - 1; from++)
		for (unsigned word = from + 1; word < FRAMES; word++) {
			start(_i);
			for (unsigned i = 0; i < 4; i++)
				look(from, ENOUGH);
			put_words(1, word, word + 1);
			look(from, ENOUGH);
			finish();
		}
}
END_TEST

/* Cut at the same frame, but with others beyond and inside. */
START_TEST(cut_with_other_frames)
{
	for (unsigned to = 2; to < FRAMES; to++) {
		start(_i);
		for (unsigned i = 0; i < 6; i++) {
			put_words(i % 2, 1, to);
			look(0, 5);
		}
		for (unsigned i = 0; i < 4; i++)
			look(0, 5);
		look(0, ENOUGH); /* and what was cut is not kept as if it were whole */
		finish();
	}
}
END_TEST

#ifdef __x86_64__ /* elsewhere the return address is beside fp */

/* The frame that fp leads to is further out than those that leave fp alone. */
START_TEST(fp_passed_through)
{
	const uintptr_t by_fp = pc_of(2, 0);

	start(_i);
	put_rule(by_fp, UNWIND_RULE_FP | 16 | 2U << UNWIND_RULE_FP_SHIFT);
	for (unsigned i = 0; i < 4; i++)
		put_rule(pc_of(3, i), UNWIND_RULE_SP | FRAME_BYTES);
	for (unsigned i = 1; i < 4; i++)
		*(uintptr_t *)(sp_of(i) - 8) = pc_of(3, i);
	*(uintptr_t *)(sp_of(4) - 8) = by_fp;
	for (unsigned i = 0; i < 24; i++)
		look_at(pc_of(3, i % 3), i % 3, sp_of(6 + i / 6 % 2) - 16, ENOUGH);
	finish();
}
END_TEST

/* The word that says where a realigned frame's CFA is decides. */
START_TEST(realigned_elsewhere)
{
	const uintptr_t realigned = pc_of(2, 0), fp = sp_of(4) - 64;

	start(_i);
	put_rule(realigned, UNWIND_RULE_REALIGN | 8);
	*(uintptr_t *)(sp_of(3) - 8) = realigned;
	*(uintptr_t *)(sp_of(3) - 16) = fp;
	for (unsigned i = 0; i < 24; i++) {
		*(uintptr_t *)(fp - 8) = sp_of(5 + i / 6 % 2);
		look_at(pc_of(0, i % 3), i % 3, fp, ENOUGH);
	}
	finish();
}
END_TEST

#endif

/* Where nothing is known to be beyond, as its frame pointer led nowhere, another may lead on. */
START_TEST(outermost_by_another_fp)
{
	const uintptr_t jit = pc_of(4, 0); /* in no module */

	start(_i);
	for (unsigned i = 0; i < 6; i++)
		look_at(jit, 2, i % 2 ? sp_of(4) - 16 : 0, ENOUGH);
	finish();
}
END_TEST

#ifdef __x86_64__

/*
 * A stack of one made-up frame below this function's caller, which only the general unwinder can
 * leave; it finds no callers of it where the stack is said to end there.
 */
static __attribute__((noinline)) void look_at_general(bool callers, uintptr_t end)
{
	const uintptr_t *record = __builtin_frame_address(0);
	uintptr_t cfa = (uintptr_t)(record + 2), pc;
	struct unwind_origin origin = {pc_of(2, 0), cfa - 64, 0};
	static bool put;
	uint32_t id;

	if (!put)
		put_rule(record[1], UNWIND_RULE_GENERAL);
	put = true;
	state->bounds.own.high = callers ? end : cfa;
	id = unwind_memo.stack(state, &origin, ENOUGH, &counts);
	ck_assert(stacks_frame(id, &id, &pc));
	ck_assert_uint_eq(pc, origin.pc);
	ck_assert(stacks_frame(id, &id, &pc));
	ck_assert_uint_eq(pc, record[1]);
	ck_assert_uint_eq(id != 0, callers);
}

/* The one place it is called from. */
static __attribute__((noinline)) void look_from_here(bool callers, uintptr_t end)
{
	look_at_general(callers, end);
	__asm__ volatile("");
}

/* The ids of frames are those of the callers they had then, not of what they once had. */
START_TEST(general_with_and_without_callers)
{
	uintptr_t end;

	start(true);
	put_rule(pc_of(2, 0), RULE(64));
	state->bounds.own = (struct stack_range){0};
	end = stack_bounds_top(&state->bounds, (uintptr_t)__builtin_frame_address(0));
	ck_assert_uint_eq(state->bounds.own.high, end);
	for (unsigned i = 0; i < 12; i++)
		look_from_here((i / 2 + _i) % 2, end);
	ck_assert_uint_eq(counts.fallbacks, 12);
	finish();
}
END_TEST

#endif

/* ---- how many there are ---- */

/* Frames are added to as many as are kept of a deep stack, until there is no room. */
START_TEST(no_more_than_there_is_room_for)
{
	const unsigned frames = 4000, bytes = 16;
	const uintptr_t big = low + 0x1000000;
	uintptr_t *words;

	start(false);
	words = mmap((void *)big, frames * bytes, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	ck_assert_ptr_eq(words, (void *)big);
	state->bounds.own = (struct stack_range){big, big + frames * bytes};
	put_rule(pc_of(2, 0), RULE(bytes));
	for (unsigned i = 0; i < frames; i++)
		words[2 * i + 1] = i == frames - 1 ? pc_of(0, FRAMES - 1) : pc_of(2, 0);
	for (unsigned from = 2500; from > 0; from -= 100 + from % 300 / 100 * 50) {
		struct unwind_origin origin = {pc_of(2, 0), big + (uintptr_t)from * bytes, 0};
		uint32_t id = unwind_memo.stack(state, &origin, _i, &counts);
		uintptr_t pc;
		unsigned count = 0;

		ck_assert_uint_le(state->lasts[0].count, UNWIND_LAST_FRAMES);
		for (; id > TRACE_NODE_CUT && stacks_frame(id, &id, &pc); count++)
			ck_assert_uint_eq(pc, pc_of(2, 0));
		ck_assert_uint_eq(id, TRACE_NODE_CUT);
		ck_assert_uint_le(count, UNWIND_DEPTH_MAX);
		ck_assert_uint_ge(count, UNWIND_DEPTH_MAX - UNWIND_DEPTH_MAX / 4);
		if (from <= 250)
			break;
	}
	munmap(words, frames * bytes);
	finish();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("last");
	TCase *tcase = tcase_create("last");

	tcase_set_timeout(tcase, 120);
#ifdef __x86_64__
	tcase_add_loop_test(tcase, sound_at_each_instruction, 0, 2 * WALKS);
	tcase_add_loop_test(tcase, sound_while_forgetting, 0, 2);
#endif
	tcase_add_loop_test(tcase, not_read_where_a_smaller_stack_is, 0, 3);
	tcase_add_loop_test(tcase, not_read_where_a_guess_led, 0, 8);
	tcase_add_test(tcase, not_read_below);
	tcase_add_test(tcase, no_more_is_trusted_than_was_walked);
	tcase_add_loop_test(tcase, same_pc_at_another_sp, 0, 2);
	tcase_add_loop_test(tcase, few_words_decide, 0, 2);
	tcase_add_loop_test(tcase, cut_with_other_frames, 0, 2);
#ifdef __x86_64__
	tcase_add_loop_test(tcase, fp_passed_through, 0, 2);
	tcase_add_loop_test(tcase, realigned_elsewhere, 0, 2);
	tcase_add_loop_test(tcase, general_with_and_without_callers, 0, 2);
#endif
	tcase_add_loop_test(tcase, outermost_by_another_fp, 0, 2);
	tcase_add_loop_test(tcase, no_more_than_there_is_room_for, UNWIND_DEPTH_MAX,
			    UNWIND_DEPTH_MAX + 2);
	suite_add_tcase(suite, tcase);
	return support_run(suite);
}
