#include "memo.h"

#include <stdatomic.h>
#include <string.h>

_Static_assert((MEMO_CHECKS & (MEMO_CHECKS - 1)) == 0, "positions are taken modulo this");

/* 0 is "none", and with positions that begin here nothing is alive at first. */
#define FIRST_POSITION (2 * MEMO_CHECKS)
#define LAST_POSITION  (INT32_MAX - 4 * MEMO_CHECKS)

void memo_reset(struct memo *memo, uint32_t generation)
{
	for (unsigned i = 0; i < MEMO_SETS * MEMO_WAYS; i++)
		memo->stacks[i / MEMO_WAYS][i % MEMO_WAYS].pc = 0;
	memset(memo->latest, 0, sizeof(memo->latest));
	memset(memo->tags, 0, sizeof(memo->tags));
	memo->head = FIRST_POSITION;
	atomic_signal_fence(memory_order_seq_cst);
	memo->generation = generation;
}

const struct memo_stack *memo_find(struct memo *memo, const struct unwind_origin *origin,
				   uintptr_t top, unsigned room, bool own, bool also_latest)
{
	unsigned latest = memo_latest_of(origin->pc, origin->sp);
	const struct memo_stack *set = memo->stacks[latest % MEMO_SETS];
	unsigned looks = MEMO_WAYS - !also_latest;

	for (unsigned i = 1; i <= looks; i++) {
		unsigned way = (memo->latest[latest] + i) % MEMO_WAYS;

		if (!memo_is_known(memo, &set[way], origin, top, room, own))
			continue;
		memo->latest[latest] = (uint8_t)way;
		return &set[way];
	}
	return NULL;
}

bool memo_seen(struct memo *memo, uint32_t node, uintptr_t sp)
{
	uint64_t hash = (sp ^ (uint64_t)node << 32) * 0x9e3779b97f4a7c15;
	struct memo_tag *tag = &memo->tags[hash >> (64 - __builtin_ctz(MEMO_TAGS))];
	uint8_t now = (uint8_t)(++memo->looks / MEMO_OF_LATE), own = (uint8_t)(hash >> 32);
	bool seen = tag->hash == own && (uint8_t)(now - tag->when) <= 1;

	*tag = (struct memo_tag){own, now};
	return seen;
}

/* Room for contiguous checks, which are the caller's to fill in: the position of the first. */
static memo_position reserve(struct memo *memo, unsigned count)
{
	memo_position first = memo->head;

	if (first > LAST_POSITION) {
		memo_reset(memo, memo->generation);
		first = memo->head;
	}
	if (first % MEMO_CHECKS + count > MEMO_CHECKS)
		first += MEMO_CHECKS - first % MEMO_CHECKS;
	/* What is overwritten from now on is dead, should the caller never come to its end. */
	memo->head = first + count;
	atomic_signal_fence(memory_order_seq_cst);
	return first;
}

void memo_keep(struct memo *memo, const struct memo_stack *stack, const struct memo_check *checks)
{
	unsigned latest = memo_latest_of(stack->pc, stack->sp);
	/* The one before the latest was found longest ago, if they come in turn. */
	unsigned way = (memo->latest[latest] + MEMO_WAYS - 1) % MEMO_WAYS;
	struct memo_stack *kept = &memo->stacks[latest % MEMO_SETS][way];
	memo_position first;
	struct memo_check *to;

	if (stack->count > MEMO_CHECKS / 2)
		return;
	/* At least one, so that there is a position that tells of its end. */
	first = reserve(memo, stack->count + 1U);
	to = &memo->checks[first % MEMO_CHECKS];
	memcpy(to, checks, stack->count * sizeof(*checks));
	kept->pc = 0;
	atomic_signal_fence(memory_order_seq_cst);
	kept->sp = stack->sp;
	kept->fp = stack->fp;
	kept->fp_mask = stack->fp_mask;
	kept->checks = to;
	kept->first = first;
	kept->node = stack->node;
	kept->reach = stack->reach;
	kept->frames = stack->frames;
	kept->count = stack->count;
	atomic_signal_fence(memory_order_seq_cst);
	kept->pc = stack->pc;
	memo->latest[latest] = (uint8_t)way;
}
