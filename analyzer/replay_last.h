/*
 * What each thread acquired last, of which it is asked whether it is still the block that lies
 * there: a block that its own thread releases, having acquired nothing in between, is a temporary
 * one. So where another thread gets the address the one that had it has to forget.
 *
 * Whoever applies a thread's events takes its address out for as long, and puts it back; the
 * addresses in here, of all the other threads, are found by hashing.
 */
#ifndef REPLAY_LAST_H
#define REPLAY_LAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct replay_last {
	uint64_t *addresses; /* by thread; 0: none, or it is taken out */
	uint32_t *next;	     /* by thread: another of the same hash + 1; 0: none */
	uint32_t *heads;     /* by hash: a thread + 1; 0: none */
	unsigned shift;	     /* of hashes */
	size_t count;	     /* of the addresses that are in here */
};

/* For threads with numbers up to `threads`. Returns 0 or -ENOMEM; replay_last_fini() frees. */
int replay_last_init(struct replay_last *last, uint32_t threads);
void replay_last_fini(struct replay_last *last);

/* Takes a thread's address out; 0: it has none. */
uint64_t replay_last_take(struct replay_last *last, uint32_t thread);

/* Puts in the address of a thread that has none in here; 0: it has none. */
void replay_last_put(struct replay_last *last, uint32_t thread, uint64_t address);

/* Another thread acquired what is at `address`. */
void replay_last_forget(struct replay_last *last, uint64_t address);

/*
 * Where in `heads` an address is looked for: where there is none, no thread in here has it.
 */
static inline size_t replay_last_hash_of(uint64_t address, unsigned shift)
{
	return address * UINT64_C(0x9e3779b97f4a7c15) >> shift;
}

#endif
