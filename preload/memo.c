#include "memo.h"

#include <stdatomic.h>
#include <string.h>

_Static_assert((MEMO_RECORDS & (MEMO_RECORDS - 1)) == 0, "positions are taken modulo this");
_Static_assert((MEMO_JOINS & (MEMO_JOINS - 1)) == 0, "hashes are masked by this");

/* 0 is "none", and with positions that begin here nothing is alive at first. */
#define FIRST_POSITION (2 * MEMO_RECORDS)
#define LAST_POSITION  (INT32_MAX - 4 * MEMO_RECORDS) /* the top bit is others' to use */

void memo_reset(struct memo *memo, uint32_t generation)
{
	memset(memo->index, 0, sizeof(memo->index));
	memset(memo->joins, 0, sizeof(memo->joins));
	memset(memo->stacks, 0, sizeof(memo->stacks));
	memset(memo->latest, 0, sizeof(memo->latest));
	memo->head = FIRST_POSITION;
	memo->generation = generation;
}

memo_position memo_reserve(struct memo *memo, unsigned count)
{
	memo_position first = memo->head;

	if (count > MEMO_RECORDS / 2)
		return 0;
	if (first > LAST_POSITION) {
		memo_reset(memo, memo->generation);
		first = memo->head;
	}
	if (first % MEMO_RECORDS + count > MEMO_RECORDS)
		first += MEMO_RECORDS - first % MEMO_RECORDS;
	/* What is overwritten from now on is dead, should we never come to memo_publish(). */
	memo->head = first + count;
	atomic_signal_fence(memory_order_seq_cst);
	return first;
}

void memo_publish(struct memo *memo, memo_position first, unsigned count)
{
	atomic_signal_fence(memory_order_seq_cst);
	for (memo_position position = first; position < first + count; position++) {
		const struct memo_meta *meta = memo_meta_at(memo, position);

		if (meta->kind != MEMO_CHECK && meta->kind != MEMO_LINK)
			*memo_index_at(memo, memo_check_at(memo, position)->value, meta->sp) =
			    position;
	}
}

static struct memo_join *join_at(struct memo *memo, memo_position first, memo_position last,
				 uint32_t outer)
{
	uint64_t hash = first * 0x9e3779b97f4a7c15 ^ (last + ((uint64_t)outer << 32));
	hash *= 0xff51afd7ed558ccd;
	return &memo->joins[hash >> 40 & (MEMO_JOINS - 1)];
}

uint32_t memo_join_find(struct memo *memo, memo_position first, memo_position last, uint32_t outer)
{
	const struct memo_join *join = join_at(memo, first, last, outer);

	if (join->first != first || join->last != last || join->outer != outer)
		return 0;
	return join->node;
}

void memo_join_keep(struct memo *memo, memo_position first, memo_position last, uint32_t outer,
		    uint32_t node)
{
	struct memo_join *join = join_at(memo, first, last, outer);

	join->first = 0;
	atomic_signal_fence(memory_order_seq_cst);
	join->last = last;
	join->outer = outer;
	join->node = node;
	atomic_signal_fence(memory_order_seq_cst);
	join->first = first;
}

void memo_keep_stack(struct memo *memo, memo_position first)
{
	const struct memo_meta *meta = memo_meta_at(memo, first);
	uintptr_t pc = memo_check_at(memo, first)->value;
	unsigned latest = memo_latest_of(pc, meta->sp);
	/* The one before the latest was found longest ago, if they come in turn. */
	unsigned way = (memo->latest[latest] + MEMO_WAYS - 1) % MEMO_WAYS;
	struct memo_stack *stack = &memo->stacks[latest % MEMO_SETS][way];

	stack->pc = 0;
	atomic_signal_fence(memory_order_seq_cst);
	stack->sp = meta->sp;
	stack->fp = memo_check_at(memo, first - meta->fp_check)->value;
	stack->fp_mask = meta->fp_check ? UINTPTR_MAX : 0;
	stack->checks = memo_check_at(memo, first);
	stack->first = first;
	stack->node = meta->node;
	stack->reach = meta->reach;
	stack->frames = meta->frames;
	stack->count = (uint16_t)(meta->end - first);
	atomic_signal_fence(memory_order_seq_cst);
	stack->pc = pc;
	memo->latest[latest] = (uint8_t)way;
}
