/*
 * What events do to the blocks of the heap, as changes for the consumer: the table of live blocks
 * tells a release what it releases.
 */
#ifndef REPLAY_BLOCKS_H
#define REPLAY_BLOCKS_H

#include "event_decode.h"
#include "live_table.h"
#include "origin_table.h"
#include "replay.h"
#include "replay_last.h"

#include <string.h>

#define REPLAY_EVENT_CHANGES  3 /* at most: the replaced block, the new one, its early release */
#define REPLAY_EARLY_RELEASES 64

struct replay_early {
	uint64_t address;
	uint32_t thread;
	uint8_t kind;
};

/* Events of one thread. */
struct replay_span {
	const struct event *next;
	const struct event *end;
	uint32_t thread;
};

/* What the threads whose events are applied have in hand. */
struct replay_hand {
	uint32_t threads[2];
	uint64_t last[2]; /* what each acquired last */
};

struct replay_blocks {
	struct callstack_table *callstacks;
	const struct replay_consumer *consumer;
	struct replay_figures *figures;
	struct live_table live;
	struct origin_table origins;
	struct replay_last last;
	bool merging; /* there are other streams */
	struct replay_early early[REPLAY_EARLY_RELEASES];
	size_t early_count;
	uint64_t early_tick; /* of all of them; UINT64_MAX: there is none */
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
 * Applies events of a span that are not later than order `limit`; span->next is then the first that
 * was not. Batches that get full go to the consumer. Returns 0 or -errno.
 */
int replay_blocks_apply(struct replay_blocks *blocks, struct replay_span *span, uint64_t limit);

/*
 * Likewise the events of two spans, of different threads, as they come in time, earlier than
 * `limit` and until one span is at its end. Of two that are equal that of the span is first which
 * had the last one; *last tells which had.
 */
int replay_blocks_apply_two(struct replay_blocks *blocks, struct replay_span spans[2],
			    uint64_t limit, unsigned *last);

/*
 * Applies an event of any sort, of the thread hand->threads[which]; its changes go to `*to` on,
 * within blocks->changes, where there must be room. Returns 0 or -errno.
 */
int replay_blocks_any(struct replay_blocks *blocks, const struct event *event,
		      struct replay_hand *hand, unsigned which, struct replay_change **to);

/* Hands over the changes so far. Returns 0 or -errno. */
int replay_blocks_flush(struct replay_blocks *blocks);

/* After the last event: judges what still waits, and hands over. Returns 0 or -errno. */
int replay_blocks_finish(struct replay_blocks *blocks);

/* ---- what both ways of applying them share ---- */

static inline uint32_t replay_acquire_flags(uint8_t kind)
{
	bool again = kind == TRACE_EVENT_REALLOC || kind == TRACE_EVENT_REALLOCARRAY;

	return again ? REPLAY_REALLOC : 0;
}

/*
 * What tells origins apart besides the size: stack, kind and all that goes with them, as they stand
 * in the event.
 */
static inline uint64_t replay_what(const struct event *event)
{
	uint64_t what;

	_Static_assert(sizeof(*event) - offsetof(struct event, stack) == sizeof(what), "the rest");
	memcpy(&what, &event->stack, sizeof(what));
	return what;
}

/*
 * What the table of live blocks has of each: its origin's number and the family of what it came by,
 * which is not 0.
 */
#define REPLAY_BLOCK_BITS 2
static inline uint32_t replay_block(uint32_t number, uint8_t family)
{
	_Static_assert(TRACE_FAMILY_NONE == 0 && TRACE_FAMILY_C < 4 && TRACE_FAMILY_NEW < 4 &&
			   TRACE_FAMILY_NEW_ARRAY < 4,
		       "two bits tell the families of blocks");
	return number << REPLAY_BLOCK_BITS | family;
}

static inline uint32_t replay_block_origin(uint32_t block)
{
	return block >> REPLAY_BLOCK_BITS;
}

static inline uint8_t replay_block_family(uint32_t block)
{
	return block & ((1 << REPLAY_BLOCK_BITS) - 1);
}

#endif
