/* Rules and their cache, alone and with threads that look up while code is forgotten. */
#include <dlfcn.h>
#include <sys/mman.h>

#include "cfi.h"
#include "preload_support.h"
#include "unwind_rule.h"

static unwind_rule rule_of_row(uint32_t reg, int offset, int fp_offset)
{
	struct cfi_module module = {0, UINTPTR_MAX, 0};
	struct cfi_row row = {.cfa_register = reg, .cfa_offset = offset};

	row.place[ARCH_CFI_RA] = (struct cfi_place){CFI_OFFSET, -8};
	if (fp_offset)
		row.place[ARCH_CFI_FP] = (struct cfi_place){CFI_OFFSET, fp_offset};
	if (!ARCH_RA_AT_CFA)
		row.place[ARCH_CFI_RA].offset = fp_offset + 8;
	return unwind_rule_from_row(&module, &row);
}

START_TEST(rules_say_what_rows_say)
{
	unwind_rule rule = rule_of_row(ARCH_CFI_SP, 64, -16);

	ck_assert_int_eq(unwind_rule_kind(rule), UNWIND_RULE_SP);
	ck_assert_uint_eq(unwind_rule_cfa(rule), 64);
	ck_assert_uint_eq(unwind_rule_fp(rule), 16);
	rule = rule_of_row(ARCH_CFI_FP, 16, -16);
	ck_assert_int_eq(unwind_rule_kind(rule), UNWIND_RULE_FP);
	ck_assert_uint_eq(unwind_rule_cfa(rule), 16);
	ck_assert_int_eq(unwind_rule_kind(rule_of_row(3, 16, -16)), UNWIND_RULE_GENERAL);
	ck_assert_int_eq(unwind_rule_kind(rule_of_row(ARCH_CFI_SP, 60, -16)), UNWIND_RULE_GENERAL);
	ck_assert_int_eq(unwind_rule_kind(rule_of_row(ARCH_CFI_SP, -64, -16)), UNWIND_RULE_GENERAL);
}
END_TEST

/* The largest frame that fits, and the next. */
START_TEST(large_frames_are_general)
{
	int most = ((1 << ARCH_RULE_CFA_BITS) - 1) * 8;
	int fp_most = ((1 << ARCH_RULE_FP_BITS) - 1) * 8;
	unwind_rule rule = rule_of_row(ARCH_CFI_SP, most, -fp_most);

	ck_assert_uint_eq(unwind_rule_cfa(rule), (uintptr_t)most);
	ck_assert_uint_eq(unwind_rule_fp(rule), (uintptr_t)fp_most);
	ck_assert_uint_lt(rule, 1U << UNWIND_RULE_BITS);
	ck_assert_int_eq(unwind_rule_kind(rule_of_row(ARCH_CFI_SP, most + 8, -16)),
			 UNWIND_RULE_GENERAL);
	ck_assert_int_eq(unwind_rule_kind(rule_of_row(ARCH_CFI_SP, most, -fp_most - 8)),
			 UNWIND_RULE_GENERAL);
}
END_TEST

START_TEST(hash_is_bijective)
{
	uint64_t factor = unwind_rule_hash(1), inverse = factor, seed = 3;

	for (int i = 0; i < 6; i++)
		inverse *= 2 - factor * inverse;
	for (int i = 0; i < 1000; i++) {
		uint64_t pc = support_random(&seed) & 0xffffffffffff;

		ck_assert_uint_eq((unwind_rule_hash(pc) * inverse) & 0xffffffffffff, pc);
	}
}
END_TEST

static unwind_rule from_cfi(uintptr_t pc)
{
	struct cfi_module module;
	struct cfi_fde fde;
	struct cfi_row row;

	if (!unwind_find_module(pc - 1, &module))
		return UNWIND_RULE_UNKNOWN;
	if (cfi_find(&module, pc - 1, &fde) != 0)
		return UNWIND_RULE_NO_CFI;
	if (fde.signal_frame || cfi_row(&module, &fde, pc - 1, &row) != 0)
		return UNWIND_RULE_GENERAL;
	return unwind_rule_from_row(&module, &row);
}

/* Far more pcs than the cache holds, each asked for several times, in any order. */
static void look_up(unsigned number, unsigned count)
{
	uintptr_t code = (uintptr_t)dlsym(RTLD_DEFAULT, "printf");
	uint64_t seed = number;

	for (unsigned i = 0; i < count; i++) {
		uintptr_t pc = code + support_random(&seed) % (i % 2 ? 400000 : 600);

		ck_assert_uint_eq(unwind_rule_of(pc), from_cfi(pc));
	}
}

START_TEST(cache_says_what_cfi_says)
{
	look_up(1, 300000);
	ck_assert_uint_gt(unwind_rules_made(), 20000);
	ck_assert_uint_lt(unwind_rules_made(), 300000);
}
END_TEST

static void look_up_or_forget(unsigned number)
{
	uintptr_t code = (uintptr_t)dlsym(RTLD_DEFAULT, "printf");

	if (number > 0)
		look_up(number, 50000);
	else
		for (unsigned i = 0; i < 300; i++)
			unwind_rules_forget(code, code + 100000);
}

START_TEST(threads_agree)
{
	support_threads(4, look_up_or_forget);
}
END_TEST

START_TEST(forgets_a_range)
{
	uintptr_t code = (uintptr_t)dlsym(RTLD_DEFAULT, "printf");
	uint64_t made;
	uint32_t generation = atomic_load(&unwind_generation);

	for (uintptr_t pc = code + 1; pc <= code + 200; pc++)
		unwind_rule_of(pc);
	made = unwind_rules_made();
	unwind_rules_forget(code, code + 100);
	ck_assert_uint_eq(atomic_load(&unwind_generation), generation + 1);
	for (uintptr_t pc = code + 101; pc <= code + 200; pc++)
		unwind_rule_of(pc);
	ck_assert_uint_eq(unwind_rules_made(), made);
	for (uintptr_t pc = code + 1; pc <= code + 100; pc++)
		unwind_rule_of(pc);
	ck_assert_uint_eq(unwind_rules_made(), made + 100);
}
END_TEST

/* What is in no module now may be in one later. */
START_TEST(unknown_code_is_not_kept)
{
	char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t made = unwind_rules_made();

	ck_assert_int_eq(unwind_rule_kind(unwind_rule_of((uintptr_t)page + 1)),
			 UNWIND_RULE_UNKNOWN);
	ck_assert_int_eq(unwind_rule_kind(unwind_rule_of(7)), UNWIND_RULE_UNKNOWN);
	ck_assert_int_eq(unwind_rule_kind(unwind_rule_of(UINTPTR_MAX)), UNWIND_RULE_UNKNOWN);
	ck_assert_uint_eq(unwind_rules_made(), made);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rule");
	TCase *tcase = tcase_create("rule");

	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, rules_say_what_rows_say);
	tcase_add_test(tcase, large_frames_are_general);
	tcase_add_test(tcase, hash_is_bijective);
	tcase_add_test(tcase, cache_says_what_cfi_says);
	tcase_add_test(tcase, threads_agree);
	tcase_add_test(tcase, forgets_a_range);
	tcase_add_test(tcase, unknown_code_is_not_kept);
	suite_add_tcase(suite, tcase);
	return support_run(suite);
}
