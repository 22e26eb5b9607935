#include "sole.h"

#include "trace_file.h"

#define WAIT_MAX 256 /* rings, until it is asked for again */
/* Between asking and having it lie more ticks than any quantum has. */
#define TICKS_APART (4ULL << CLOCK_SHIFT_MAX)

/* Recordings differ in their upper half: another one, or none, is not for us to change. */
static bool is_same_recording(uint64_t a, uint64_t b)
{
	return a >> 32 == b >> 32;
}

static bool exchange(uint64_t from, uint64_t to)
{
	/* The page is ours and writable whenever it holds the number of a recording. */
	return __atomic_compare_exchange_n((uint64_t *)(uintptr_t)thread_generation, &from, to,
					   false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Whoever objected at once will again: then it is asked less and less often. */
static void lose(struct thread *thread)
{
	if (!thread->sole && thread_tls.generation & GENERATION_BIASED)
		thread->sole_wait = thread->sole_wait ? 2 * thread->sole_wait : 1;
	if (thread->sole_wait > WAIT_MAX)
		thread->sole_wait = WAIT_MAX;
	thread->sole = thread->sole_ring = false;
	thread->sole_rings_left = thread->sole_wait;
}

/* The generation as it is without the bias, which is revoked; `mine` is of the recording meant. */
static uint64_t unbiased(uint64_t mine)
{
	uint64_t now = thread_generation_now();

	/* Each turn but the last means that another thread got on. */
	while (is_same_recording(now, mine) && now & GENERATION_BIASED) {
		if (exchange(now, now + 1))
			return now + 1;
		now = thread_generation_now();
	}
	return now;
}

void sole_attach(struct thread *thread)
{
	uint64_t now = thread_generation_now();

	thread->sole = thread->sole_ring = now & GENERATION_BIASED && thread->serial == 0;
	thread->sole_wait = thread->sole_rings_left = 0;
	if (!thread->sole)
		now = unbiased(now);
	thread_tls.generation = now;
}

void sole_revoke(struct thread *thread)
{
	uint64_t mine = thread_tls.generation, now;

	if (!is_same_recording(thread_generation_now(), mine))
		return;
	lose(thread);
	now = unbiased(mine);
	if (is_same_recording(now, mine))
		thread_tls.generation = now;
}

void sole_ring_emptied(struct thread *thread)
{
	uint64_t mine = thread_tls.generation;

	if (thread_tls.thread != thread || !sole_unchanged())
		return;
	if (thread->sole) {
		thread->sole_ring = true;
	} else if (mine & GENERATION_BIASED) {
		/* Nobody had an event since we asked: what others did lies well behind. */
		if (clock_ticks_after() - thread->sole_asked <= TICKS_APART)
			return;
		thread->sole = thread->sole_ring = true;
		thread->sole_wait = 0;
	} else if (thread->sole_rings_left > 0) {
		thread->sole_rings_left--;
	} else if (exchange(mine, mine + 1)) {
		thread_tls.generation = mine + 1;
		thread->sole_asked = clock_ticks_after();
	}
}

bool sole_had_ring(const struct thread *thread)
{
	/* Every stamp in the ring was taken before this look. */
	(void)clock_ticks_after();
	return thread->sole_ring && thread_tls.thread == thread && sole_unchanged();
}

uint64_t sole_stamp_again(struct thread *thread)
{
	sole_revoke(thread);
	return clock_ticks_after();
}
