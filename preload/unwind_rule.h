/*
 * Rules: what one frame's CFI says, as one small integer, cached by pc for the whole process.
 *
 * Nearly every frame is of one form: the CFA is sp or fp plus a constant, the return address is at
 * a fixed place, and the caller's fp is unchanged or saved at a constant distance below the CFA.
 * Such a rule takes 29 bits, so that with what identifies the pc an entry is one 8-byte word, read
 * and written whole: no lock, no version, nothing torn. A 48-bit pc is hashed bijectively into 13
 * bits that choose a pair of words and 35 that stand in the word, so a hit is never another pc's.
 * (The idea of 64-bit entries: facts of framehop and Linux's ORC; layout is our own.)
 *
 * An entry may vanish at any time, and is then made again from CFI.
 */
#ifndef UNWIND_RULE_H
#define UNWIND_RULE_H

#include "arch.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct cfi_module;
struct cfi_row;

enum unwind_rule_kind {
	UNWIND_RULE_NONE,    /* not in the cache */
	UNWIND_RULE_SP,	     /* CFA = sp + offset */
	UNWIND_RULE_FP,	     /* CFA = fp + offset */
	UNWIND_RULE_REALIGN, /* CFA = *(fp - offset), caller's fp = *fp: realigned stack (gcc) */
	UNWIND_RULE_END,     /* outermost frame */
	UNWIND_RULE_GENERAL, /* CFI says something no rule can: ask the general unwinder */
	UNWIND_RULE_NO_CFI,  /* a module has no CFI for this pc (hand-written code) */
	UNWIND_RULE_UNKNOWN, /* in no module (JIT); never cached */
};

/* kind in bits 0..2, CFA offset in words from bit 3, distance of saved fp below the CFA above. */
typedef uint32_t unwind_rule;

#define UNWIND_RULE_BITS     29
#define UNWIND_RULE_FP_SHIFT (3 + ARCH_RULE_CFA_BITS)

static inline enum unwind_rule_kind unwind_rule_kind(unwind_rule rule)
{
	return (enum unwind_rule_kind)(rule & 7);
}

/* In bytes. */
static inline uintptr_t unwind_rule_cfa(unwind_rule rule)
{
	return rule & (((1u << ARCH_RULE_CFA_BITS) - 1) << 3);
}

/* Bytes from the saved fp up to the CFA; 0: fp is as it was. */
static inline uintptr_t unwind_rule_fp(unwind_rule rule)
{
	return (uintptr_t)(rule >> UNWIND_RULE_FP_SHIFT) * 8;
}

#define UNWIND_RULE_SET_BITS 13 /* 8192 pairs: 128 KiB, touched as it fills */
#define UNWIND_RULE_PAIRS    (1U << UNWIND_RULE_SET_BITS)
#define UNWIND_RULE_TAG_BITS (48 - UNWIND_RULE_SET_BITS)

/* Atomic, relaxed: a word says all there is to know, and points to nothing. */
extern _Atomic uint64_t unwind_rules[UNWIND_RULE_PAIRS][2];

/* Bijective on 48 bits (an odd factor), with its best bits on top. */
static inline uint64_t unwind_rule_hash(uintptr_t pc)
{
	return (pc * 0x9e3779b97f4b) & 0xffffffffffff;
}

/* The slow half of unwind_rule_of: looks into CFI and caches what it says. */
unwind_rule unwind_rule_miss(uintptr_t pc);

/*
 * The rule for the frame that `pc`, a return address, leads back to. Never UNWIND_RULE_NONE. Any
 * thread, any signal context, no lock where glibc has _dl_find_object (2.35).
 */
static inline unwind_rule unwind_rule_of(uintptr_t pc)
{
	uint64_t hash = unwind_rule_hash(pc);
	_Atomic uint64_t *pair = unwind_rules[hash >> UNWIND_RULE_TAG_BITS];
	uint64_t tag = hash & ((1ULL << UNWIND_RULE_TAG_BITS) - 1);
	uint64_t word = atomic_load_explicit(&pair[0], memory_order_relaxed);
	if (__builtin_expect(word >> UNWIND_RULE_BITS != tag, 0))
		word = atomic_load_explicit(&pair[1], memory_order_relaxed);
	unwind_rule rule = (unwind_rule)(word & ((1u << UNWIND_RULE_BITS) - 1));
	if (__builtin_expect(word >> UNWIND_RULE_BITS != tag || !rule || pc >> 48, 0))
		return unwind_rule_miss(pc);
	return rule;
}

/* The rule that a row is, UNWIND_RULE_GENERAL when it is none. */
unwind_rule unwind_rule_from_row(const struct cfi_module *module, const struct cfi_row *row);

/* The module whose code holds `pc`, and where its CFI is. Any thread, any signal context. */
bool unwind_find_module(uintptr_t pc, struct cfi_module *module);

/*
 * Counts calls of unwind_rules_forget: what was remembered of code under an older number may be
 * about code that is gone.
 */
extern _Atomic uint32_t unwind_generation;

/* Code in [start, end) was unmapped: whatever is loaded there later has rules of its own. */
void unwind_rules_forget(uintptr_t start, uintptr_t end);

/* How many rules were made from CFI since the start, for figures in logs and tests. */
uint64_t unwind_rules_made(void);

#endif
