/*
 * The backend that keeps the fast path honest: every event is unwound by unwind_memo and by
 * libunwind's step-by-step walk (whose trace cache is not used: it outlives unloaded code), and the
 * two stacks are compared frame by frame.
 *
 * What is compared is the stack that the returned id stands for, so interning is checked as well.
 * Frames without CFI are where the comparison ends: both sides guess there.
 *
 * libunwind needs some KiB of stack, which a coroutine or a handler may not have left. So it is
 * asked on a stack of ours, and signals wait meanwhile: handlers may look at what stack they are
 * on.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <ucontext.h>

#include "log.h"
#include "node_file.h"
#include "stacks.h"
#include "tls.h"
#include "trace_file.h"
#include "unwind.h"
#include "unwind_libunwind.h"
#include "unwind_memo.h"
#include "unwind_rule.h"

#define DEPTH_MAX      1024
#define OWN_FRAMES_MAX 32
#define SHOWN_FRAMES   40
#define EXAMPLES_MAX   4
#define STACK_BYTES    (256 << 10)

struct state {
	_Alignas(64) char stack[STACK_BYTES]; /* that libunwind runs on */
	ucontext_t program;		      /* as it waits for us */
	ucontext_t aside;
	const struct unwind_origin *origin;
	struct unwind_counts *counts;
	unsigned max_depth;
	uintptr_t ours[DEPTH_MAX];
	uintptr_t theirs[DEPTH_MAX];
	unsigned our_count;
	unsigned their_count;
	_Alignas(64) char memo[UNWIND_MEMO_STATE_BYTES];
};

static atomic_uint examples; /* shown so far; relaxed */

static int init(void)
{
	int error = libunwind_load();
	uintptr_t guard;

	if (error)
		return error;
	guard = tls_own_begin();
	/* Its cache for all threads is behind a lock with system calls. */
	libunwind.set_caching_policy(*libunwind.local_space, UNW_CACHE_PER_THREAD);
	tls_own_end(guard);
	node_file_keep(); /* stacks are read back */
	return unwind_memo.init();
}

/* The frames of a stack id, innermost first. */
static unsigned frames_of(uint32_t id, uintptr_t *pcs)
{
	unsigned count = 0;

	while (id && count < DEPTH_MAX && stacks_frame(id, &id, &pcs[count]))
		count++;
	return count;
}

/* The stack from the cursor's frame on. */
static unsigned walk_on(unw_cursor_t *cursor, uintptr_t *pcs, unsigned max_depth)
{
	unsigned count = 0;
	unw_word_t pc;

	do {
		libunwind.get_reg(cursor, UNW_REG_IP, &pc);
		if (!pc)
			break;
		pcs[count++] = pc;
	} while (count < max_depth && libunwind.step(cursor) > 0);
	return count;
}

/*
 * libunwind's stack from the origin's frame on, whose other registers it is not told: they hardly
 * ever matter.
 */
static unsigned walk_from(const struct unwind_origin *origin, uintptr_t *pcs, unsigned max_depth)
{
	ucontext_t context = {0};
	unw_cursor_t cursor;

#if defined(__x86_64__)
	context.uc_mcontext.gregs[REG_RIP] = (greg_t)origin->pc;
	context.uc_mcontext.gregs[REG_RSP] = (greg_t)origin->sp;
	context.uc_mcontext.gregs[REG_RBP] = (greg_t)origin->fp;
#else
	return 0; /* aarch64 has a context type of its own: take the long way */
#endif
	if (libunwind.init_local(&cursor, (unw_context_t *)&context) != 0)
		return 0;
	return walk_on(&cursor, pcs, max_depth);
}

/* The same with all registers known: out through our own frames first, which wait as `program`. */
static unsigned walk_all(const struct unwind_origin *origin, ucontext_t *program, uintptr_t *pcs,
			 unsigned max_depth)
{
	unw_cursor_t cursor;
	unw_word_t pc = 0, sp = 0;
	unsigned own = 0;

	if (libunwind.init_local(&cursor, (unw_context_t *)program) != 0)
		return 0;
	do {
		if (own++ == OWN_FRAMES_MAX || libunwind.step(&cursor) <= 0)
			return 0;
		libunwind.get_reg(&cursor, UNW_REG_IP, &pc);
		libunwind.get_reg(&cursor, UNW_REG_SP, &sp);
	} while (pc != origin->pc || sp != origin->sp);
	return walk_on(&cursor, pcs, max_depth);
}

/* Frames up to and with the first that has no CFI. */
static unsigned comparable(const uintptr_t *pcs, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		enum unwind_rule_kind kind = unwind_rule_kind(unwind_rule_of(pcs[i]));

		if (kind == UNWIND_RULE_NO_CFI || kind == UNWIND_RULE_UNKNOWN)
			return i + 1;
	}
	return count;
}

static bool equal(const struct state *state)
{
	unsigned ours = comparable(state->ours, state->our_count);
	unsigned theirs = comparable(state->theirs, state->their_count);

	if (ours != theirs)
		return false;
	for (unsigned i = 0; i < ours; i++)
		if (state->ours[i] != state->theirs[i])
			return false;
	return true;
}

static void add_hex(struct text *text, uintptr_t number)
{
	char digits[17];
	int at = 16;

	digits[at] = 0;
	do
		digits[--at] = "0123456789abcdef"[number & 15];
	while (number >>= 4);
	text_add(text, " ");
	text_add(text, digits + at);
}

static void show_frames(const char *who, const uintptr_t *pcs, unsigned count)
{
	char line[960];
	struct text text;

	text_init(&text, line, sizeof(line));
	text_add(&text, who);
	for (unsigned i = 0; i < count && i < SHOWN_FRAMES; i++)
		add_hex(&text, pcs[i]);
	text_end(&text, line);
	log_line(line);
}

static void show(const struct state *state, const struct unwind_origin *origin)
{
	uintptr_t frame[] = {origin->pc, origin->sp, origin->fp};

	if (atomic_fetch_add_explicit(&examples, 1, memory_order_relaxed) >= EXAMPLES_MAX)
		return;
	show_frames("unwind mismatch at pc, sp, fp:", frame, 3);
	show_frames("  memprof  ", state->ours, state->our_count);
	show_frames("  libunwind", state->theirs, state->their_count);
}

/* Has libunwind walk as well. */
static void compare(struct state *state)
{
	state->their_count = walk_from(state->origin, state->theirs, state->max_depth);
	state->counts->checked++;
	if (!equal(state))
		state->their_count =
		    walk_all(state->origin, &state->program, state->theirs, state->max_depth);
	if (!equal(state)) {
		state->counts->mismatches++;
		show(state, state->origin);
	}
}

/* makecontext() passes numbers of 32 bits. */
static void compare_aside(unsigned high, unsigned low)
{
	compare((struct state *)((uintptr_t)high << 32 | low));
}

/* Where the stack cannot be changed, nothing is compared. */
static void step_aside(struct state *state)
{
	if (getcontext(&state->aside) != 0)
		return;
	state->aside.uc_stack = (stack_t){.ss_sp = state->stack, .ss_size = STACK_BYTES};
	state->aside.uc_link = &state->program;
	memset(&state->aside.uc_sigmask, 0xff, sizeof(state->aside.uc_sigmask));
	makecontext(&state->aside, (void (*)(void))compare_aside, 2,
		    (unsigned)((uintptr_t)state >> 32), (unsigned)(uintptr_t)state);
	swapcontext(&state->program, &state->aside);
}

static uint32_t stack(void *memory, const struct unwind_origin *origin, unsigned max_depth,
		      struct unwind_counts *counts)
{
	struct state *state = memory;
	uint64_t truncated = counts->truncated;
	uint32_t id = unwind_memo.stack(state->memo, origin, max_depth, counts);
	uintptr_t guard;
	int saved_errno;

	/* Events from before init(); and ids are of no use when there is no room for nodes. */
	if (!libunwind.step || (trace_file_header()->flags & TRACE_FLAG_NODES_FULL))
		return id;
	if (max_depth > DEPTH_MAX)
		max_depth = DEPTH_MAX;
	guard = tls_own_begin(); /* libunwind may allocate */
	saved_errno = errno;
	state->our_count = frames_of(id, state->ours);
	/* Where a stack that is too deep is cut is ours to choose, within bounds. */
	if (counts->truncated != truncated && state->our_count >= max_depth - max_depth / 4)
		max_depth = state->our_count;
	state->origin = origin;
	state->counts = counts;
	state->max_depth = max_depth;
	step_aside(state);
	errno = saved_errno;
	tls_own_end(guard);
	return id;
}

const struct unwind_backend unwind_verify = {
    .name = "verify",
    .state_bytes = sizeof(struct state),
    .init = init,
    .stack = stack,
};
