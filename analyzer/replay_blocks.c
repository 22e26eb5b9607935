/*
 * Ties: at equal (shifted) ticks releases go first, so an address's next owner finds it free. When
 * instead a block was handed over and released within one such tick, its release comes up too
 * early; it waits until the tick is over before it is called foreign.
 */
#include "replay_blocks.h"

#include "callstack.h"
#include "event_decode.h"

#include <errno.h>
#include <stdlib.h>

#define BLOCK_BYTES_MAX	   (UINT64_C(1) << 48) /* what a program can address; sums must not wrap */
#define ENTRIES_PER_ORIGIN 128	      /* that are looked at in the time that a new origin takes */
#define ADDRESS_ZERO	   UINT64_MAX /* stands for a block at 0, which no release means */

int replay_blocks_flush(struct replay_blocks *blocks)
{
	struct replay_batch batch = {.origins = blocks->new_origins,
				     .origin_count = blocks->new_origin_count,
				     .changes = blocks->changes,
				     .count = blocks->change_count,
				     .others = blocks->others,
				     .other_count = blocks->other_count};

	blocks->new_origin_count = 0;
	blocks->change_count = 0;
	blocks->other_count = 0;
	if (batch.count == 0 && batch.other_count == 0)
		return 0;
	return blocks->consumer->changes(blocks->consumer->context, &batch);
}

static inline void put(struct replay_change **to, uint64_t tick, uint32_t number, uint32_t flags)
{
	struct replay_change *change = (*to)++;

	change->tick = tick;
	change->origin = number;
	change->flags = flags;
}

static inline uint32_t release_flags(uint32_t block, bool temporary, uint8_t kind)
{
	bool mismatched = replay_block_family(block) != event_family[kind];

	return REPLAY_FREE | (uint32_t)temporary * REPLAY_TEMPORARY |
	       (uint32_t)mismatched * REPLAY_MISMATCHED;
}

static void keep_early(struct replay_blocks *blocks, const struct event *event, uint32_t thread)
{
	uint64_t tick = event->order >> 1;

	/* Those of ticks gone by have had their chance. */
	if (blocks->early_tick != tick) {
		blocks->figures->foreign_frees += blocks->early_count;
		blocks->early_count = 0;
	}
	if (blocks->early_count == REPLAY_EARLY_RELEASES || !blocks->merging) {
		blocks->figures->foreign_frees++;
		return;
	}
	blocks->early_tick = tick;
	blocks->early[blocks->early_count++] =
	    (struct replay_early){.address = event->address, .thread = thread, .kind = event->kind};
}

/* A block was just allocated: was its release seen already, within this tick? */
static struct replay_change *match_early(struct replay_blocks *blocks, uint64_t address,
					 uint32_t block, uint32_t thread, struct replay_change *to)
{
	uint32_t number = replay_block_origin(block);

	for (size_t i = 0; i < blocks->early_count; i++) {
		struct replay_early *early = &blocks->early[i];
		struct live_place place;

		if (early->address != address)
			continue;
		place = live_table_place(&blocks->live, address);
		live_table_remove(&place);
		put(&to, blocks->early_tick, number,
		    release_flags(block, early->thread == thread, early->kind));
		*early = blocks->early[--blocks->early_count];
		break;
	}
	return to;
}

/* Tells of the block that is where another was allocated, and puts that there. */
static struct replay_change *replace_block(struct replay_blocks *blocks,
					   const struct live_place *place, uint64_t tick,
					   uint32_t block, struct replay_change *to)
{
	uint32_t there = replay_block_origin(live_table_number(place));

	/* Its release was lost. Whoever lost it, it was none of the other family. */
	put(&to, tick, there, REPLAY_FREE);
	live_table_replace(place, block);
	blocks->figures->replaced++;
	return to;
}

/* Makes room for origins, of which those are forgotten that no block is of. Returns 0 or -ENOMEM.
 */
static int renew_origins(struct replay_blocks *blocks)
{
	struct origin_table *origins = &blocks->origins;
	uint8_t *live;
	int rc;

	if (!origin_table_forgets(origins))
		return origin_table_renew(origins, NULL, 0);
	live = calloc(origins->count, sizeof(*live));
	if (live == NULL)
		return -ENOMEM;
	live_table_mark_all(&blocks->live, live, REPLAY_BLOCK_BITS);
	rc = origin_table_renew(origins, live,
				live_table_entries(&blocks->live) / ENTRIES_PER_ORIGIN);
	free(live);
	return rc;
}

/*
 * The number of an origin that is new, or 0 with *rc set. Before numbers are given to others, what
 * was said with them is handed over.
 */
static uint32_t origin_new(struct replay_blocks *blocks, const struct event *event,
			   struct replay_change **to, int *rc)
{
	struct origin origin = {.bytes = event->bytes, .what = replay_what(event)};
	uint32_t number;

	*rc = callstack_site(blocks->callstacks, event->stack, &origin.site);
	if (*rc == 0 && origin_table_full(&blocks->origins)) {
		blocks->change_count = (size_t)(*to - blocks->changes);
		*rc = replay_blocks_flush(blocks);
		*to = blocks->changes;
		if (*rc == 0)
			*rc = renew_origins(blocks);
	}
	if (*rc != 0)
		return 0;
	number = origin_table_add(&blocks->origins, &origin);
	blocks->new_origins[blocks->new_origin_count++] =
	    (struct replay_origin){.tick = event->order >> 1,
				   .bytes = origin.bytes,
				   .number = number,
				   .site = origin.site};
	return number;
}

/* An acquisition by a thread in hand. Returns 0 or -errno. */
static int acquire(struct replay_blocks *blocks, const struct event *event,
		   struct replay_hand *hand, unsigned which, struct replay_change **to)
{
	uint64_t address = event->address == 0 ? ADDRESS_ZERO : event->address;
	uint64_t tick = event->order >> 1;
	uint32_t number = origin_table_find(&blocks->origins, event->bytes, replay_what(event));
	struct live_place place;
	uint32_t block;
	int rc = 0;

	if (number == 0 && event->bytes > BLOCK_BYTES_MAX) {
		blocks->figures->absurd++;
		return 0;
	}
	if (number == 0)
		number = origin_new(blocks, event, to, &rc);
	if (number == 0)
		return rc;
	replay_last_forget(&blocks->last, address);
	if (hand->last[!which] == address)
		hand->last[!which] = 0;
	hand->last[which] = address;
	block = replay_block(number, event->family);
	place = live_table_place(&blocks->live, address);
	if (live_table_number(&place) != 0)
		*to = replace_block(blocks, &place, tick, block, *to);
	else
		rc = live_table_enter(&blocks->live, &place, address, block);
	if (rc != 0)
		return rc;
	put(to, tick, number, replay_acquire_flags(event->kind));
	if (blocks->early_tick == tick)
		*to = match_early(blocks, address, block, hand->threads[which], *to);
	return 0;
}

static void release(struct replay_blocks *blocks, const struct event *event,
		    const struct replay_hand *hand, unsigned which, struct replay_change **to)
{
	struct live_place place = live_table_place(&blocks->live, event->address);
	uint32_t block = live_table_number(&place), number = replay_block_origin(block);

	if (block == 0) {
		keep_early(blocks, event, hand->threads[which]);
		return;
	}
	live_table_remove(&place);
	put(to, event->order >> 1, number,
	    release_flags(block, hand->last[which] == event->address, event->kind));
}

/* Kinds that are no part of the heap. Returns 0 or -ENOMEM. */
static int apply_other(struct replay_blocks *blocks, const struct event *event)
{
	static const uint8_t ops[] = {[EVENT_MAP] = REPLAY_MAP,
				      [EVENT_UNMAP] = REPLAY_UNMAP,
				      [EVENT_FAILED] = REPLAY_FAILED,
				      [EVENT_SAMPLE] = REPLAY_SAMPLE};
	uint32_t site = 0;

	if (event->op == EVENT_MAP && event->bytes > BLOCK_BYTES_MAX) {
		blocks->figures->absurd++;
		return 0;
	}
	if (event->op == EVENT_MAP || event->op == EVENT_FAILED) {
		int rc = callstack_site(blocks->callstacks, event->stack, &site);

		if (rc != 0)
			return rc;
	}
	blocks->others[blocks->other_count++] = (struct replay_other){.tick = event->order >> 1,
								      .bytes = event->bytes,
								      .address = event->address,
								      .site = site,
								      .op = ops[event->op],
								      .kind = event->kind};
	return 0;
}

int replay_blocks_any(struct replay_blocks *blocks, const struct event *event,
		      struct replay_hand *hand, unsigned which, struct replay_change **to)
{
	if (event->op == EVENT_ACQUIRE)
		return acquire(blocks, event, hand, which, to);
	if (event->op != EVENT_RELEASE)
		return apply_other(blocks, event);
	release(blocks, event, hand, which, to);
	return 0;
}

int replay_blocks_finish(struct replay_blocks *blocks)
{
	blocks->figures->foreign_frees += blocks->early_count;
	blocks->early_count = 0;
	return replay_blocks_flush(blocks);
}

int replay_blocks_init(struct replay_blocks *blocks, struct callstack_table *callstacks,
		       const struct replay_consumer *consumer, struct replay_figures *figures,
		       uint32_t threads)
{
	int rc;

	blocks->callstacks = callstacks;
	blocks->consumer = consumer;
	blocks->figures = figures;
	rc = live_table_init(&blocks->live);
	if (rc == 0)
		rc = origin_table_init(&blocks->origins);
	if (rc != 0)
		return rc;
	blocks->early_tick = UINT64_MAX;
	return replay_last_init(&blocks->last, threads);
}

void replay_blocks_fini(struct replay_blocks *blocks)
{
	live_table_fini(&blocks->live);
	origin_table_fini(&blocks->origins);
	replay_last_fini(&blocks->last);
}
