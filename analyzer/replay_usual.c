/*
 * The loops through all events: of one thread, or of two whose events are merged on the way. What
 * is like most is applied here, anything else by replay_blocks_any().
 */
#include "event_decode.h"
#include "replay_blocks.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* What the loops look at for each event; it does not change but in replay_blocks_any(). */
struct view {
	const struct live_slot *slots;
	const struct origin_slot *index;
	const uint32_t *heads;
	unsigned slots_shift, index_shift, heads_shift;
};

static ALWAYS_INLINE struct view view_of(const struct replay_blocks *blocks)
{
	return (struct view){.slots = blocks->live.slots,
			     .index = blocks->origins.index,
			     .heads = blocks->last.heads,
			     .slots_shift = blocks->live.shift,
			     .index_shift = blocks->origins.shift,
			     .heads_shift = blocks->last.shift};
}

/*
 * An acquisition, if it is one like most. `*last` is of the thread, `other` of the other one in
 * hand; `alone`: no other thread has one. Returns false, with nothing done, if it is not like most.
 */
static ALWAYS_INLINE bool acquire_one(const struct view *view, const struct event *event,
				      uint64_t *last, uint64_t other, bool alone,
				      struct replay_change *to)
{
	uint64_t address = event->address, bytes = event->bytes, what = replay_what(event);
	uint64_t granule = live_table_granule(address), key = granule / LIVE_REGION_GRANULES;
	const struct live_slot *slot = &view->slots[live_table_home_of(key, view->slots_shift)];
	const struct origin_slot *origin =
	    &view->index[origin_table_home_of(bytes, what, view->index_shift)];
	uint64_t shift = slot->mark ^ live_table_mark(key);
	uint32_t number = origin->number, *entry;

	if (__builtin_expect(shift > 1 || address == 0, 0))
		return false;
	if (!alone &&
	    __builtin_expect(address == other ||
				 view->heads[replay_last_hash_of(address, view->heads_shift)] != 0,
			     0))
		return false;
	entry = live_table_entry(slot, granule, shift);
	if (__builtin_expect(*entry != 0, 0))
		return false;
	/* A free slot has what no event has. */
	if (__builtin_expect(((origin->bytes ^ bytes) | (origin->what ^ what)) != 0, 0))
		return false;
	*last = address;
	*entry = replay_block(number, event->family) << 1 | (granule & 1);
	to->tick = event->order >> 1;
	to->origin = number;
	to->flags = replay_acquire_flags(event->kind);
	return true;
}

/* Likewise a release. */
static ALWAYS_INLINE bool release_one(const struct view *view, const struct event *event,
				      uint64_t last, struct replay_change *to)
{
	uint64_t address = event->address;
	uint64_t granule = live_table_granule(address), key = granule / LIVE_REGION_GRANULES;
	const struct live_slot *slot = &view->slots[live_table_home_of(key, view->slots_shift)];
	uint64_t shift = slot->mark ^ live_table_mark(key);
	uint32_t there, *entry;

	if (__builtin_expect(shift > 1 || address == 0, 0))
		return false;
	entry = live_table_entry(slot, granule, shift);
	there = *entry;
	/* A block that begins in the other granule, or of another family, or none: families are
	 * not 0. */
	if (__builtin_expect(((there ^ (granule & 1)) & 7) != event->family * 2U, 0))
		return false;
	*entry = 0;
	to->tick = event->order >> 1;
	to->origin = there >> 3;
	to->flags = REPLAY_FREE | (last == address) * REPLAY_TEMPORARY;
	return true;
}

/*
 * Either of both. Which one it is may be by chance, but to do the same for both, with figures that
 * tell them apart, takes as long as a branch that is guessed wrong each other time.
 */
static ALWAYS_INLINE bool apply_one(const struct view *view, const struct event *event,
				    uint64_t *last, uint64_t other, bool alone,
				    struct replay_change *to)
{
	if (event->op == EVENT_ACQUIRE)
		return acquire_one(view, event, last, other, alone, to);
	return event->op == EVENT_RELEASE && release_one(view, event, *last, to);
}

/* How many events there is room for, of which each makes but one change. */
static ALWAYS_INLINE size_t room(const struct replay_blocks *blocks, const struct replay_change *to)
{
	return (size_t)(blocks->changes + REPLAY_BATCH - REPLAY_EVENT_CHANGES + 1 - to);
}

/* Likewise, having handed over what there is if there is none. */
static int make_room(struct replay_blocks *blocks)
{
	if (blocks->change_count <= REPLAY_BATCH - REPLAY_EVENT_CHANGES &&
	    blocks->other_count < REPLAY_BATCH)
		return 0;
	return replay_blocks_flush(blocks);
}

/*
 * Applies what is like most, up to `end` or, if there is a limit, up to what is later. `alone` as
 * with acquire_one(). Returns the first event that was not applied; *usual is false if it is not
 * like most.
 */
static ALWAYS_INLINE const struct event *apply_usual(const struct view *view,
						     const struct event *event,
						     const struct event *end, uint64_t limit,
						     bool limited, bool alone, uint64_t *last,
						     struct replay_change **changes, bool *usual)
{
	struct replay_change *to = *changes;
	uint64_t acquired = *last;

	*usual = true;
	while (event < end && (!limited || event->order <= limit)) {
		*usual = apply_one(view, event, &acquired, 0, alone, to);
		if (__builtin_expect(!*usual, 0))
			break;
		event++;
		to++;
	}
	*changes = to;
	*last = acquired;
	return event;
}

/*
 * Applies what is like most and not later than the limit, for which there is room, and then one
 * event more. While releases wait for their tick to end none is like most.
 */
static int apply(struct replay_blocks *blocks, struct replay_span *span, uint64_t limit,
		 struct replay_hand *hand)
{
	struct replay_change *to = blocks->changes + blocks->change_count;
	const struct event *event = span->next, *end = span->end;
	const struct view view = view_of(blocks);
	uint64_t last = hand->last[0];
	bool usual = event->order >> 1 != blocks->early_tick;
	int rc = 0;

	if ((size_t)(end - event) > room(blocks, to))
		end = event + room(blocks, to);
	if (usual && blocks->last.count == 0 && (end[-1].order | 1) <= limit)
		event = apply_usual(&view, event, end, 0, false, true, &last, &to, &usual);
	else if (usual)
		event = apply_usual(&view, event, end, limit, true, false, &last, &to, &usual);
	hand->last[0] = last;
	if (!usual)
		rc = replay_blocks_any(blocks, event++, hand, 0, &to);
	blocks->change_count = (size_t)(to - blocks->changes);
	span->next = event;
	return rc;
}

int replay_blocks_apply(struct replay_blocks *blocks, struct replay_span *span, uint64_t limit)
{
	struct replay_hand hand = {.threads = {span->thread},
				   .last = {replay_last_take(&blocks->last, span->thread)}};
	int rc = 0;

	while (rc == 0 && span->next < span->end && span->next->order <= limit) {
		rc = make_room(blocks);
		if (rc == 0)
			rc = apply(blocks, span, limit, &hand);
	}
	replay_last_put(&blocks->last, span->thread, hand.last[0]);
	return rc;
}

/* Which of two spans has the next event, when the last one was of `last`. */
static ALWAYS_INLINE unsigned next_of(const struct event *a, const struct event *b, unsigned last)
{
	return b->order < a->order + last;
}

static const struct event *earlier_of(const struct event *a, const struct event *b, unsigned last)
{
	return next_of(a, b, last) ? b : a;
}

/* As apply(), the events of both spans, at most `count`. */
static int apply_two(struct replay_blocks *blocks, struct replay_span spans[2], uint64_t limit,
		     size_t count, struct replay_hand *hand, unsigned *last)
{
	struct replay_change *to = blocks->changes + blocks->change_count;
	const struct event *a = spans[0].next, *b = spans[1].next, *event = NULL;
	const struct replay_change *end = to + count;
	const struct view view = view_of(blocks);
	unsigned from = *last;
	bool usual = earlier_of(a, b, from)->order >> 1 != blocks->early_tick;
	int rc = 0;

	while (to < end) {
		unsigned next = next_of(a, b, from);

		event = next ? b : a;
		if (event->order >= limit)
			break;
		from = next;
		usual = usual &&
			apply_one(&view, event, &hand->last[next], hand->last[!next], false, to);
		if (__builtin_expect(!usual, 0))
			break;
		a += 1 - next;
		b += next;
		to++;
	}
	if (!usual) {
		a += 1 - from;
		b += from;
		rc = replay_blocks_any(blocks, event, hand, from, &to);
	}
	blocks->change_count = (size_t)(to - blocks->changes);
	spans[0].next = a;
	spans[1].next = b;
	*last = from;
	return rc;
}

/* How many events can be applied before a span is at its end or there is no room. */
static size_t least(const struct replay_blocks *blocks, const struct replay_span spans[2])
{
	size_t count = room(blocks, blocks->changes + blocks->change_count);

	for (size_t i = 0; i < 2; i++)
		if (count > (size_t)(spans[i].end - spans[i].next))
			count = (size_t)(spans[i].end - spans[i].next);
	return count;
}

int replay_blocks_apply_two(struct replay_blocks *blocks, struct replay_span spans[2],
			    uint64_t limit, unsigned *last)
{
	struct replay_hand hand;
	int rc = 0;

	for (size_t i = 0; i < 2; i++) {
		hand.threads[i] = spans[i].thread;
		hand.last[i] = replay_last_take(&blocks->last, spans[i].thread);
	}
	while (rc == 0 && spans[0].next < spans[0].end && spans[1].next < spans[1].end) {
		const struct replay_span *next =
		    &spans[next_of(spans[0].next, spans[1].next, *last)];

		if (next->next->order >= limit)
			break;
		rc = make_room(blocks);
		if (rc == 0)
			rc = apply_two(blocks, spans, limit, least(blocks, spans), &hand, last);
	}
	for (size_t i = 0; i < 2; i++)
		replay_last_put(&blocks->last, spans[i].thread, hand.last[i]);
	return rc;
}
