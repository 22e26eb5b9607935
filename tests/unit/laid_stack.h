/*
 * Stacks laid out by hand, every frame of one size, and rules for their code: what is right can be
 * read off the words.
 */
#ifndef LAID_STACK_H
#define LAID_STACK_H

#include <sys/mman.h>

#include "check_support.h"
#include "unwind_rule.h"

#define PAGE	    4096
#define FRAME_BYTES 1024
#define CODE_STEP   16

/* A frame of so many bytes, the topmost of which are fp and the return address. */
#define RULE(bytes) (UNWIND_RULE_SP | (bytes) | 2U << UNWIND_RULE_FP_SHIFT)

/* Of the stack, and of what its return addresses lead to: the same in each run, as their hashes. */
static const uintptr_t low = 0x1000100000, code = 0x2000000000;

static inline uintptr_t sp_of(unsigned i)
{
	return low + (uintptr_t)i * FRAME_BYTES;
}

/* As unwind_rule_miss() would have it, were there code. */
static inline void put_rule(uintptr_t pc, unwind_rule rule)
{
	uint64_t hash = unwind_rule_hash(pc), tag = hash & ((1ULL << UNWIND_RULE_TAG_BITS) - 1);
	_Atomic uint64_t *pair = unwind_rules[hash >> UNWIND_RULE_TAG_BITS];

	atomic_store(&pair[atomic_load(&pair[0]) != 0], tag << UNWIND_RULE_BITS | rule);
	ck_assert_uint_eq(unwind_rule_of(pc), rule);
}

/* Memory that cannot be read yet. */
static inline void map_at(uintptr_t address, size_t bytes)
{
	void *at = mmap((void *)address, bytes, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	ck_assert_ptr_eq(at, (void *)address);
}

#endif
