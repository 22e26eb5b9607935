/*
 * The sole recorder: the one thread, if any, that alone has had events of late. Most programs that
 * have threads have one that allocates and others that wait. While it is alone its times order
 * nothing between threads: they may be coarse, and taken without a fence.
 *
 * It is a bias that any other thread revokes with its first event, through the word that every
 * event looks at anyway: *thread_generation, whose lowest bit says that there is a sole recorder.
 * docs/encoding.md has the proof that no event is put before one that it followed.
 */
#ifndef SOLE_H
#define SOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "thread.h"

/* Lowest bit of a generation: one thread, the only one that holds this value, has the bias. */
#define GENERATION_BIASED 1U

/*
 * A thread with its first event in this recording: it gets the bias if nobody was before it, and
 * revokes it otherwise. Sets the thread's generation. Own thread, guard set.
 */
void sole_attach(struct thread *thread);

/*
 * The generation has changed under this thread: it takes the new one over, revoking the bias if
 * another has it. Nothing when recording has stopped or the process forked. Own thread, guard set.
 */
void sole_revoke(struct thread *thread);

/*
 * This thread's ring was just emptied: it may ask for the bias, or finds that nobody objected since
 * it asked. Own thread, guard set.
 */
void sole_ring_emptied(struct thread *thread);

/* Whether all that is in the thread's ring was recorded while it was the sole recorder. */
bool sole_had_ring(const struct thread *thread);

/* The rest of a stamp that was taken while the generation changed: a good one. */
uint64_t sole_stamp_again(struct thread *thread);

static inline bool sole_unchanged(void)
{
	return __builtin_expect(thread_tls.generation == thread_generation_now(), 1);
}

/*
 * The stamp of a release, before the real call, or of an acquisition, after it. The look at the
 * generation comes after the stamp: if it is unchanged, then so it was when the stamp was taken.
 */
static inline uint64_t sole_stamp(struct thread *thread)
{
	uint64_t tick;

	if (!thread->sole) {
		tick = clock_ticks_after();
		return sole_unchanged() ? tick : sole_stamp_again(thread);
	}
	/*
	 * Unfenced, and still good if nobody revoked: the loads that brought us the block come
	 * before this look (that one holds on x86 alone), so they saw nothing that another thread
	 * did after a revocation. A signal handler of this thread may have noticed for us.
	 */
	tick = clock_ticks_alone();
	return sole_unchanged() && thread->sole ? tick : sole_stamp_again(thread);
}

#endif
