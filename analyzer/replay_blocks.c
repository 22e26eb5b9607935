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

#define OWNER(thread, f) ((uint32_t)(thread) << 3 | (f))
#define BLOCK_BYTES_MAX	 (UINT64_C(1) << 48) /* what a program can address; sums must not wrap */
#define ADDRESS_ZERO	 UINT64_MAX	     /* stands for a block at 0, which no release means */

/* One event makes three changes at most: the replaced block, the new one, its early release. */
#define CHANGES_PER_EVENT 3

#define ALWAYS_INLINE inline __attribute__((always_inline))

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

static ALWAYS_INLINE void put(struct replay_change **to, uint64_t tick, uint32_t number,
			      uint32_t flags)
{
	struct replay_change *change = (*to)++;

	change->tick = tick;
	change->origin = number;
	change->flags = flags;
}

static ALWAYS_INLINE void put_allocate(struct replay_change **to, uint64_t tick, uint32_t number,
				       uint8_t kind)
{
	bool again = kind == TRACE_EVENT_REALLOC || kind == TRACE_EVENT_REALLOCARRAY;

	put(to, tick, number, again ? REPLAY_REALLOC : 0);
}

static ALWAYS_INLINE void put_free(struct replay_change **to, uint64_t tick, uint32_t number,
				   const struct origin *origin, bool temporary, uint8_t kind)
{
	bool mismatched = (origin->owner & 7) != event_family[kind];

	put(to, tick, number,
	    REPLAY_FREE | (temporary ? REPLAY_TEMPORARY : 0) |
		(mismatched ? REPLAY_MISMATCHED : 0));
}

/* Takes the block at a place, which has that number, out of the table and tells of it. */
static ALWAYS_INLINE void free_block(struct replay_blocks *blocks, const struct live_place *place,
				     uint32_t number, uint64_t address, uint64_t tick,
				     uint32_t thread, uint8_t kind, struct replay_change **to)
{
	struct origin *origin = &blocks->origins.origins[number];
	bool temporary = blocks->last_address[thread] == address && origin->owner >> 3 == thread;

	live_table_remove(place);
	origin->live--;
	put_free(to, tick, number, origin, temporary, kind);
}

static void keep_early(struct replay_blocks *blocks, const struct event *event, uint32_t thread)
{
	uint64_t tick = event->order >> 1;

	/* Those of ticks gone by have had their chance. */
	if (blocks->early_count != 0 && blocks->early[0].tick != tick) {
		blocks->figures->foreign_frees += blocks->early_count;
		blocks->early_count = 0;
	}
	if (blocks->early_count == REPLAY_EARLY_RELEASES || !blocks->merging) {
		blocks->figures->foreign_frees++;
		return;
	}
	blocks->early[blocks->early_count++] = (struct replay_early){
	    .tick = tick, .address = event->address, .thread = thread, .kind = event->kind};
}

/* A block was just allocated: was its release seen already, within this tick? */
static __attribute__((noinline)) struct replay_change *
match_early(struct replay_blocks *blocks, uint64_t address, uint64_t tick, struct replay_change *to)
{
	for (size_t i = 0; i < blocks->early_count; i++) {
		struct replay_early *early = &blocks->early[i];
		struct live_place place;

		if (early->tick != tick || early->address != address)
			continue;
		place = live_table_place(&blocks->live, address);
		free_block(blocks, &place, live_table_number(&place), address, tick, early->thread,
			   early->kind, &to);
		*early = blocks->early[--blocks->early_count];
		break;
	}
	return to;
}

/* Tells of the block that is where another was allocated, and puts that there. */
static __attribute__((noinline)) struct replay_change *replace_block(struct replay_blocks *blocks,
								     const struct live_place *place,
								     uint64_t tick, uint32_t number,
								     struct replay_change *to)
{
	uint32_t there = live_table_number(place);

	/* Its release was lost. Whoever lost it, it was none of the other family. */
	put(&to, tick, there, REPLAY_FREE);
	blocks->origins.origins[there].live--;
	live_table_replace(place, number);
	blocks->figures->replaced++;
	return to;
}

/*
 * The number of an origin that is new, or 0 with *rc set. Before numbers are given to others, what
 * was said with them is handed over.
 */
static __attribute__((noinline)) uint32_t origin_new(struct replay_blocks *blocks,
						     const struct event *event, uint32_t owner,
						     struct replay_change **to, int *rc)
{
	struct origin origin = {.bytes = event->bytes, .stack = event->stack, .owner = owner};
	uint32_t number;

	*rc = callstack_site(blocks->callstacks, event->stack, &origin.site);
	if (*rc == 0 && origin_table_full(&blocks->origins)) {
		blocks->change_count = (size_t)(*to - blocks->changes);
		*rc = replay_blocks_flush(blocks);
		*to = blocks->changes;
		if (*rc == 0)
			*rc = origin_table_renew(&blocks->origins);
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

/* The number of the origin of what an event acquires; 0 where it is new. */
static ALWAYS_INLINE uint32_t origin_of(struct replay_blocks *blocks, const struct event *event,
					uint32_t owner)
{
	uint32_t *hint = &blocks->hints[event->stack % REPLAY_HINTS];
	const struct origin *origin = &blocks->origins.origins[*hint];

	if (__builtin_expect(origin->bytes == event->bytes && origin->stack == event->stack &&
				 origin->owner == owner,
			     1))
		return *hint;
	*hint = origin_table_find(&blocks->origins, event->bytes, event->stack, owner);
	return *hint;
}

/* Whether the event after `event`, which is not later than the limit, releases what it acquires. */
static ALWAYS_INLINE bool is_temporary(const struct event *event, const struct replay_span *span)
{
	const struct event *next = event + 1;

	return next < span->end && next->address == event->address && next->op == EVENT_RELEASE &&
	       next->order <= span->limit && event->address != 0;
}

/* An acquisition, and its release with it where that comes next. Returns how many, or -errno. */
static ALWAYS_INLINE int acquire(struct replay_blocks *blocks, const struct event *event,
				 const struct replay_span *span, struct replay_change **to)
{
	uint64_t address = event->address == 0 ? ADDRESS_ZERO : event->address;
	uint64_t tick = event->order >> 1;
	uint32_t owner = OWNER(span->thread, event_family[event->kind]);
	uint32_t number = origin_of(blocks, event, owner);
	struct live_place place = live_table_place(&blocks->live, address);
	struct origin *origin;
	int rc;

	if (__builtin_expect(number == 0, 0)) {
		struct replay_change *at = *to;

		if (event->bytes > BLOCK_BYTES_MAX) {
			blocks->figures->absurd++;
			return 1;
		}
		number = origin_new(blocks, event, owner, &at, &rc);
		*to = at;
		if (number == 0)
			return rc;
	}
	origin = &blocks->origins.origins[number];
	blocks->last_address[span->thread] = address;
	if (__builtin_expect(live_table_number(&place) != 0, 0)) {
		*to = replace_block(blocks, &place, tick, number, *to);
	} else if (is_temporary(event, span) && blocks->early_count == 0) {
		/* A block that is released at once never gets into the table. */
		put_allocate(to, tick, number, event->kind);
		put_free(to, event[1].order >> 1, number, origin, true, event[1].kind);
		return 2;
	} else {
		rc = live_table_enter(&blocks->live, &place, address, number);
		if (__builtin_expect(rc != 0, 0))
			return rc;
	}
	origin->live++;
	put_allocate(to, tick, number, event->kind);
	if (__builtin_expect(blocks->early_count != 0, 0))
		*to = match_early(blocks, address, tick, *to);
	return 1;
}

static ALWAYS_INLINE void release(struct replay_blocks *blocks, const struct event *event,
				  uint32_t thread, struct replay_change **to)
{
	struct live_place place = live_table_place(&blocks->live, event->address);
	uint32_t number = live_table_number(&place);

	if (__builtin_expect(number == 0, 0))
		keep_early(blocks, event, thread);
	else
		free_block(blocks, &place, number, event->address, event->order >> 1, thread,
			   event->kind, to);
}

/* Kinds that are no part of the heap. Returns 1, or -ENOMEM. */
static __attribute__((noinline)) int apply_other(struct replay_blocks *blocks,
						 const struct event *event)
{
	static const uint8_t ops[] = {[EVENT_MAP] = REPLAY_MAP,
				      [EVENT_UNMAP] = REPLAY_UNMAP,
				      [EVENT_FAILED] = REPLAY_FAILED,
				      [EVENT_SAMPLE] = REPLAY_SAMPLE};
	uint32_t site = 0;

	if (event->op == EVENT_MAP && event->bytes > BLOCK_BYTES_MAX) {
		blocks->figures->absurd++;
		return 1;
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
	return 1;
}

/* Applies up to `end` what is not later than the span's limit, for which there is room. */
static int apply(struct replay_blocks *blocks, struct replay_span *span, const struct event *end)
{
	struct replay_change *to = blocks->changes + blocks->change_count;
	const struct event *event = span->next;
	const struct replay_span local = *span;
	int rc = 0;

	while (event < end && event->order <= local.limit) {
		if (event->op == EVENT_ACQUIRE) {
			rc = acquire(blocks, event, &local, &to);
		} else if (event->op == EVENT_RELEASE) {
			release(blocks, event, local.thread, &to);
			rc = 1;
		} else {
			rc = apply_other(blocks, event);
		}
		if (__builtin_expect(rc < 0, 0))
			break;
		event += rc;
	}
	blocks->change_count = (size_t)(to - blocks->changes);
	span->next = event;
	return rc < 0 ? rc : 0;
}

int replay_blocks_apply(struct replay_blocks *blocks, struct replay_span *span)
{
	int rc = 0;

	while (rc == 0 && span->next < span->end && span->next->order <= span->limit) {
		size_t room = (REPLAY_BATCH - blocks->change_count) / CHANGES_PER_EVENT;

		if (room > REPLAY_BATCH - blocks->other_count)
			room = REPLAY_BATCH - blocks->other_count;
		if (room == 0)
			rc = replay_blocks_flush(blocks);
		else
			rc = apply(blocks, span,
				   (size_t)(span->end - span->next) > room ? span->next + room
									   : span->end);
	}
	return rc;
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
	blocks->last_address = calloc((size_t)threads + 1, sizeof(uint64_t));
	return blocks->last_address == NULL ? -ENOMEM : 0;
}

void replay_blocks_fini(struct replay_blocks *blocks)
{
	live_table_fini(&blocks->live);
	origin_table_fini(&blocks->origins);
	free(blocks->last_address);
}
