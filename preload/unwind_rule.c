#include "unwind_rule.h"
#include "cfi.h"
#include <dlfcn.h>
#include <link.h>

#define PAIRS		   (1u << UNWIND_RULE_SET_BITS)
#define TAG_MASK	   ((1ULL << UNWIND_RULE_TAG_BITS) - 1)
#define RULE_MASK	   ((1ULL << UNWIND_RULE_BITS) - 1)
#define HASH_INVERSE_STEPS 5

_Atomic uint64_t unwind_rules[UNWIND_RULE_PAIRS][2];
_Atomic uint32_t unwind_generation;
static _Atomic uint64_t rules_made; /* relaxed: a figure */

uint64_t unwind_rules_made(void)
{
	return atomic_load_explicit(&rules_made, memory_order_relaxed);
}

/* glibc 2.35's lock-free lookup, where the C library has it. */
#if __GLIBC_PREREQ(2, 35)
extern int _dl_find_object(void *, struct dl_find_object *) __attribute__((weak));

static bool find_object(uintptr_t pc, struct cfi_module *module, bool *known)
{
	struct dl_find_object found;
	*known = _dl_find_object != NULL;
	if (!*known || _dl_find_object((void *)pc, &found) != 0)
		return false;
	module->start = (uintptr_t)found.dlfo_map_start;
	module->end = (uintptr_t)found.dlfo_map_end;
	module->hdr = (uintptr_t)found.dlfo_eh_frame;
	return true;
}
#else
static bool find_object(uintptr_t pc, struct cfi_module *module, bool *known)
{
	(void)pc, (void)module;
	*known = false;
	return false;
}
#endif

struct search {
	uintptr_t pc;
	struct cfi_module *module;
};

static int visit_module(struct dl_phdr_info *info, size_t size, void *data)
{
	(void)size;
	const struct search *search = data;
	struct cfi_module module = {.start = UINTPTR_MAX};
	bool holds = false;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + header->p_vaddr;
		uintptr_t end = start + header->p_memsz;
		if (header->p_type == PT_GNU_EH_FRAME)
			module.hdr = start;
		if (header->p_type != PT_LOAD)
			continue;
		holds |= search->pc >= start && search->pc < end;
		module.start = start < module.start ? start : module.start;
		module.end = end > module.end ? end : module.end;
	}
	if (holds)
		*search->module = module;
	return holds;
}

bool unwind_find_module(uintptr_t pc, struct cfi_module *module)
{
	bool known;
	if (find_object(pc, module, &known))
		return true;
	struct search search = {.pc = pc, .module = module};
	return !known && dl_iterate_phdr(visit_module, &search) == 1;
}

static unwind_rule make(enum unwind_rule_kind kind, uint64_t cfa, uint64_t fp)
{
	if (cfa % 8 || fp % 8 || cfa >> (ARCH_RULE_CFA_BITS + 3) || fp >> (ARCH_RULE_FP_BITS + 3))
		return UNWIND_RULE_GENERAL;
	return (unwind_rule)((unsigned)kind | cfa | fp / 8 << UNWIND_RULE_FP_SHIFT);
}

/* Whether an expression of the row is exactly DW_OP_breg(fp) with an offset, then `rest`. */
static bool is_fp_expression(const struct cfi_module *module, int32_t where, int *offset,
			     const uint8_t *rest, size_t rest_bytes)
{
	const uint8_t *bytes;
	size_t length;
	if (cfi_expression(module, where, &bytes, &length) != 0 || length != 2 + rest_bytes)
		return false;
	if (bytes[0] != 0x70 + ARCH_CFI_FP || bytes[1] & 0x80) /* one-byte SLEB128 only */
		return false;
	*offset = bytes[1] & 0x40 ? (int)bytes[1] - 0x80 : bytes[1];
	for (size_t i = 0; i < rest_bytes; i++)
		if (bytes[2 + i] != rest[i])
			return false;
	return true;
}

/*
 * gcc's function with a realigned stack keeps the CFA's address in a slot below fp:
 * CFA = *(fp - 8), caller's fp = *fp.
 */
static unwind_rule realign_rule(const struct cfi_module *module, const struct cfi_row *row)
{
	static const uint8_t dereference[] = {0x06}; /* DW_OP_deref */
	const struct cfi_place *fp = &row->place[ARCH_CFI_FP];
	int cfa_offset, fp_offset;
	if (!ARCH_RA_AT_CFA || fp->kind != CFI_EXPRESSION)
		return UNWIND_RULE_GENERAL;
	if (!is_fp_expression(module, row->cfa_offset, &cfa_offset, dereference, 1) ||
	    !is_fp_expression(module, fp->offset, &fp_offset, NULL, 0))
		return UNWIND_RULE_GENERAL;
	if (cfa_offset >= 0 || fp_offset != 0)
		return UNWIND_RULE_GENERAL;
	return make(UNWIND_RULE_REALIGN, (uint64_t)-cfa_offset, 0);
}

/* Whether the return address is where rules have it. */
static bool usual_return_address(const struct cfi_row *row)
{
	const struct cfi_place *ra = &row->place[ARCH_CFI_RA];
	const struct cfi_place *fp = &row->place[ARCH_CFI_FP];
	if (ra->kind != CFI_OFFSET)
		return false;
	if (ARCH_RA_AT_CFA)
		return ra->offset == -8;
	return fp->kind == CFI_OFFSET && ra->offset == fp->offset + 8;
}

unwind_rule unwind_rule_from_row(const struct cfi_module *module, const struct cfi_row *row)
{
	const struct cfi_place *fp = &row->place[ARCH_CFI_FP];
	if (row->place[ARCH_CFI_RA].kind == CFI_UNDEFINED)
		return UNWIND_RULE_END;
	if (!usual_return_address(row) || row->place[ARCH_CFI_SP].kind != CFI_SAME)
		return UNWIND_RULE_GENERAL;
	if (row->cfa_expression)
		return realign_rule(module, row);
	if (row->cfa_register != ARCH_CFI_SP && row->cfa_register != ARCH_CFI_FP)
		return UNWIND_RULE_GENERAL;
	if (row->cfa_offset < 0 || (fp->kind != CFI_SAME && fp->kind != CFI_OFFSET))
		return UNWIND_RULE_GENERAL;
	if (fp->kind == CFI_OFFSET && fp->offset >= 0)
		return UNWIND_RULE_GENERAL;
	return make(row->cfa_register == ARCH_CFI_SP ? UNWIND_RULE_SP : UNWIND_RULE_FP,
		    (uint64_t)row->cfa_offset,
		    fp->kind == CFI_OFFSET ? (uint64_t) - (int64_t)fp->offset : 0);
}

/* What CFI says for the frame of return address `pc`: the call is the instruction before it. */
static unwind_rule rule_from_cfi(const struct cfi_module *module, uintptr_t pc)
{
	struct cfi_fde fde;
	struct cfi_row row;
	int error = cfi_find(module, pc - 1, &fde);
	if (error)
		return UNWIND_RULE_NO_CFI;
	if (fde.signal_frame || cfi_row(module, &fde, pc - 1, &row) != 0)
		return UNWIND_RULE_GENERAL;
	return unwind_rule_from_row(module, &row);
}

/*
 * Puts a word in its pair, unless forget() ran since `generation` was read. Either forget() sees
 * the word and clears it, or this sees the new generation: both fence between their two steps.
 * (Words never move from one place to the other: forget() could miss one under way.)
 */
static void cache(uint64_t hash, unwind_rule rule, uint32_t generation)
{
	_Atomic uint64_t *pair = unwind_rules[hash >> UNWIND_RULE_TAG_BITS];
	uint64_t word = (hash & TAG_MASK) << UNWIND_RULE_BITS | rule;
	unsigned way = (unsigned)unwind_rules_made() & 1;
	if (!atomic_load_explicit(&pair[0], memory_order_relaxed))
		way = 0;
	else if (!atomic_load_explicit(&pair[1], memory_order_relaxed))
		way = 1;
	atomic_store_explicit(&pair[way], word, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&unwind_generation, memory_order_relaxed) != generation)
		atomic_store_explicit(&pair[way], 0, memory_order_relaxed);
}

unwind_rule unwind_rule_miss(uintptr_t pc)
{
	uint32_t generation = atomic_load_explicit(&unwind_generation, memory_order_acquire);
	struct cfi_module module;
	if (!unwind_find_module(pc - 1, &module))
		return UNWIND_RULE_UNKNOWN; /* not kept: a module may be loaded there later */
	unwind_rule rule = rule_from_cfi(&module, pc);
	atomic_fetch_add_explicit(&rules_made, 1, memory_order_relaxed);
	if (!(pc >> 48))
		cache(unwind_rule_hash(pc), rule, generation);
	return rule;
}

/* The pc that hashes to `hash`: multiplication by the factor's inverse modulo 2^48. */
static uintptr_t unhash(uint64_t hash)
{
	uint64_t factor = unwind_rule_hash(1), inverse = factor;
	for (int i = 0; i < HASH_INVERSE_STEPS; i++)
		inverse *= 2 - factor * inverse; /* Newton: doubles the bits that are right */
	return (hash * inverse) & 0xffffffffffff;
}

void unwind_rules_forget(uintptr_t start, uintptr_t end)
{
	atomic_fetch_add_explicit(&unwind_generation, 1, memory_order_seq_cst);
	atomic_thread_fence(memory_order_seq_cst);
	for (uint64_t set = 0; set < UNWIND_RULE_PAIRS; set++) {
		for (int way = 0; way < 2; way++) {
			_Atomic uint64_t *entry = &unwind_rules[set][way];
			uint64_t word = atomic_load_explicit(entry, memory_order_relaxed);
			if (!(word & RULE_MASK))
				continue;
			uint64_t tag = word >> UNWIND_RULE_BITS;
			uintptr_t pc = unhash(set << UNWIND_RULE_TAG_BITS | tag);
			if (pc > start && pc <= end) /* return addresses: the call before it */
				atomic_store_explicit(entry, 0, memory_order_relaxed);
		}
	}
}
