/*
 * What events do to the blocks of the heap, as changes for the consumer: the table of live blocks
 * tells a release what it releases.
 */
#ifndef REPLAY_BLOCKS_H
#define REPLAY_BLOCKS_H

#include "live_table.h"
#include "origin_table.h"
#include "replay.h"

struct event;

#define REPLAY_BATCH	      1024
#define REPLAY_EARLY_RELEASES 64
#define REPLAY_HINTS	      256

struct replay_early {
	uint64_t tick;
	uint64_t address;
	uint32_t thread;
	uint8_t kind;
};

/* Events up to `end` of one thread, to be applied while they are not later than `limit`. */
struct replay_span {
	const struct event *next;
	const struct event *end;
	uint64_t limit;
	uint32_t thread;
};

struct replay_blocks {
	struct callstack_table *callstacks;
	const struct replay_consumer *consumer;
	struct replay_figures *figures;
	struct live_table live;
	struct origin_table origins;
	uint64_t *last_address; /* by thread: what it allocated last */
	bool merging;		/* there are other streams */
	struct replay_early early[REPLAY_EARLY_RELEASES];
	size_t early_count;
	uint32_t hints[REPLAY_HINTS]; /* by low bits of the stack: number of its last origin */
	struct replay_change changes[REPLAY_BATCH];
	size_t change_count;
	struct replay_origin new_origins[REPLAY_BATCH];
	size_t new_origin_count;
	struct replay_other others[REPLAY_BATCH];
	size_t other_count;
};

/*
 * For threads with numbers up to `threads`; what is passed must outlive `blocks`. Returns 0 or
 * -ENOMEM; replay_blocks_fini() frees in any case.
 */
int replay_blocks_init(struct replay_blocks *blocks, struct callstack_table *callstacks,
		       const struct replay_consumer *consumer, struct replay_figures *figures,
		       uint32_t threads);
void replay_blocks_fini(struct replay_blocks *blocks);

/*
 * Applies events of a span, from the earliest on; span->next is then the first that was not.
 * Batches that get full go to the consumer. Returns 0 or -errno.
 */
int replay_blocks_apply(struct replay_blocks *blocks, struct replay_span *span);

/* Hands over the changes so far. Returns 0 or -errno. */
int replay_blocks_flush(struct replay_blocks *blocks);

/* After the last event: judges what still waits, and hands over. Returns 0 or -errno. */
int replay_blocks_finish(struct replay_blocks *blocks);

#endif
