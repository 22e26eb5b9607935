/*
 * CFI as the interpreter reads it. That its rows are right is shown by cfi_compare (tests/unwind),
 * over whole libraries; here is what no library has: CFI that is broken, and expressions.
 */
#include <errno.h>
#include <sys/mman.h>

#include "cfi.h"
#include "cfi_expr.h"
#include "preload_support.h"
#include "unwind_rule.h"

static struct cfi_module own_module(void)
{
	struct cfi_module module;

	ck_assert(unwind_find_module((uintptr_t)own_module, &module));
	return module;
}

START_TEST(finds_own_functions)
{
	struct cfi_module module = own_module();
	struct cfi_fde fde;
	struct cfi_row row;

	ck_assert_int_eq(cfi_find(&module, (uintptr_t)own_module, &fde), 0);
	ck_assert_uint_eq(fde.pc_start, (uintptr_t)own_module);
	ck_assert_int_eq(cfi_row(&module, &fde, fde.pc_start, &row), 0);
	ck_assert(!row.cfa_expression);
	ck_assert_uint_eq(row.cfa_register, ARCH_CFI_SP);
	ck_assert_int_eq(row.cfa_offset, ARCH_RA_AT_CFA ? 8 : 0);
	ck_assert_int_eq(cfi_find(&module, module.start, &fde), -ENOENT);
	ck_assert_int_eq(cfi_find(&module, module.end - 1, &fde), -ENOENT);
}
END_TEST

/* A copy of a module's readable bytes with a page after it that cannot be read. */
static struct cfi_module copy_module(const struct cfi_module *module)
{
	struct cfi_module copy;
	size_t bytes = module->end - module->start;
	char *memory;

	bytes = (bytes + 4095) & ~(size_t)4095;
	memory =
	    mmap(NULL, bytes + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
	memcpy(memory, (const void *)module->start, bytes);
	ck_assert_int_eq(mprotect(memory + bytes, 4096, PROT_NONE), 0);
	copy.start = (uintptr_t)memory;
	copy.end = copy.start + bytes;
	copy.hdr = module->hdr - module->start + copy.start;
	return copy;
}

/* Whatever the bytes of the CFI are, nothing outside the module is read and all ends. */
START_TEST(broken_cfi_is_refused)
{
	struct cfi_module module = own_module();
	struct cfi_module copy = copy_module(&module);
	size_t span = copy.end - copy.hdr;
	uint64_t seed = 1;
	unsigned refused = 0, found = 0;
	struct cfi_fde fde;
	struct cfi_row row;

	for (unsigned i = 0; i < 200000; i++) {
		uint8_t *byte = (uint8_t *)copy.hdr + support_random(&seed) % span;
		uint8_t was = *byte;
		uintptr_t pc = (uintptr_t)own_module - module.start + copy.start +
			       support_random(&seed) % 4096;

		*byte = (uint8_t)support_random(&seed);
		if (cfi_find(&copy, pc, &fde) == 0 && cfi_row(&copy, &fde, pc, &row) == 0)
			found++;
		else
			refused++;
		if (i % 3) /* the rest accumulates */
			*byte = was;
	}
	ck_assert_uint_gt(refused, 0);
	ck_assert_uint_gt(found, 0);
}
END_TEST

START_TEST(module_may_end_anywhere)
{
	struct cfi_module module = own_module();
	struct cfi_fde fde;
	struct cfi_row row;

	ck_assert_int_eq(cfi_find(&module, (uintptr_t)own_module, &fde), 0);
	for (uintptr_t end = module.hdr; end < (uintptr_t)fde.program_end; end++) {
		struct cfi_module cut = {module.start, end, module.hdr};
		struct cfi_fde other;

		if (cfi_find(&cut, (uintptr_t)own_module, &other) == 0)
			cfi_row(&cut, &other, (uintptr_t)own_module, &row);
	}
	module.hdr = module.end;
	ck_assert_int_eq(cfi_find(&module, (uintptr_t)own_module, &fde), -EINVAL);
}
END_TEST

static uintptr_t registers[ARCH_CFI_REGISTERS];
static uintptr_t memory[4] = {11, 22, 33, 44};

static int evaluate(const uint8_t *bytes, size_t length, uintptr_t *result)
{
	struct cfi_context context = {.registers = registers,
				      .cfa = 1000,
				      .low = (uintptr_t)memory,
				      .high = (uintptr_t)(memory + 4)};

	registers[3] = (uintptr_t)memory;
	return cfi_evaluate(&context, bytes, length, false, 0, result);
}

#define GIVES(value, ...)                                                                          \
	do {                                                                                       \
		static const uint8_t bytes[] = {__VA_ARGS__};                                      \
		uintptr_t result;                                                                  \
		ck_assert_int_eq(evaluate(bytes, sizeof(bytes), &result), 0);                      \
		ck_assert_uint_eq(result, (uintptr_t)(value));                                     \
	} while (0)

#define FAILS(...)                                                                                 \
	do {                                                                                       \
		static const uint8_t bytes[] = {__VA_ARGS__};                                      \
		uintptr_t result;                                                                  \
		ck_assert_int_eq(evaluate(bytes, sizeof(bytes), &result), -EINVAL);                \
	} while (0)

START_TEST(expressions)
{
	GIVES(5, 0x35);						  /* lit5 */
	GIVES(22, 0x73, 8, 0x06);				  /* breg3+8, deref */
	GIVES(33, 0x73, 0x18, 0x38, 0x1c, 0x06);		  /* breg3+24, lit8, minus, deref */
	GIVES(1000, 0x9c);					  /* call_frame_cfa */
	GIVES(-3, 0x09, 0xfd);					  /* const1s -3 */
	GIVES(0x1234, 0x0a, 0x34, 0x12);			  /* const2u */
	GIVES(300, 0x10, 0xac, 0x02);				  /* constu 300 */
	GIVES(7, 0x33, 0x34, 0x22);				  /* 3 + 4 */
	GIVES(12, 0x33, 0x34, 0x1e);				  /* 3 * 4 */
	GIVES(1, 0x34, 0x33, 0x2b);				  /* 4 > 3 */
	GIVES(48, 0x33, 0x34, 0x24);				  /* 3 << 4 */
	GIVES(9, 0x35, 0x23, 0x04);				  /* lit5, plus_uconst 4 */
	GIVES(2, 0x31, 0x28, 0x01, 0x00, 0x33, 0x32);		  /* lit1, bra +1, lit3, lit2 */
	GIVES(-6, 0x36, 0x1f);					  /* neg */
	GIVES(3, 0x33, 0x34, 0x16, 0x13, 0x12, 0x1c, 0x33, 0x22); /* swap, drop, dup, minus, ... */
	FAILS(0x06);						  /* deref of nothing */
	FAILS(0x73, 0x20, 0x06);				  /* one past the memory */
	FAILS(0x73, 0x79, 0x06);				  /* before it */
	FAILS(0x2f, 0xfd, 0xff);				  /* skip to itself, for ever */
	FAILS(0xf0);						  /* unknown */
	FAILS(0x08);						  /* operand missing */
	FAILS(0x2f, 0x10, 0x00);				  /* jump out */
}
END_TEST

START_TEST(random_expressions_end)
{
	uint64_t seed = 7;
	uint8_t bytes[24];
	uintptr_t result;

	for (unsigned i = 0; i < 300000; i++) {
		for (size_t j = 0; j < sizeof(bytes); j++)
			bytes[j] = (uint8_t)support_random(&seed);
		evaluate(bytes, support_random(&seed) % sizeof(bytes), &result);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cfi");
	TCase *tcase = tcase_create("cfi");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, finds_own_functions);
	tcase_add_test(tcase, broken_cfi_is_refused);
	tcase_add_test(tcase, module_may_end_anywhere);
	tcase_add_test(tcase, expressions);
	tcase_add_test(tcase, random_expressions_end);
	suite_add_tcase(suite, tcase);
	return support_run(suite);
}
