/* Demangling: names whose meaning is known, and names that were made to hurt. */
#include "demangle.h"

#include "check_support.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct {
	const char *name;
	const char *shown; /* NULL: not mangled */
} names[] = {
    {"main", NULL},
    {"", NULL},
    {"_", NULL},
    {"_Z", NULL},
    {"_start", NULL},
    {"malloc@plt", NULL},
    {"_Znwm", "operator new(unsigned long)"},
    {"_Znam@plt", "operator new[](unsigned long)@plt"},
    {"_Znwm@GLIBCXX_3.4", "operator new(unsigned long)@GLIBCXX_3.4"},
    {"_ZN3FooC4Ev", "Foo::Foo()"},
    {"_ZN3FooC2Ev", "Foo::Foo()"},
    {"_ZN12_GLOBAL__N_13fooEv", "(anonymous namespace)::foo()"},
    {"_ZL3foov.constprop.0", "foo() [clone .constprop.0]"},
    {"_ZNKSt8functionIFiiEEclEi", "std::function<int (int)>::operator()(int) const"},
    {"_ZZ4mainENKUliE_clEi", "main::{lambda(int)#1}::operator()(int) const"},
    {"_ZNSt6vectorIiSaIiEE9push_backERKi",
     "std::vector<int, std::allocator<int> >::push_back(int const&)"},
    {"_ZN5alloc7raw_vec19RawVec$LT$T$C$A$GT$16reserve_for_push17h0123456789abcdefE",
     "alloc::raw_vec::RawVec<T,A>::reserve_for_push"},
    {"_RNvMs_NtCs9ltgdHTiPiY_5alloc7raw_vecINtB4_6RawVechE16reserve_for_push",
     "<alloc::raw_vec::RawVec<u8>>::reserve_for_push"},
    {"_RNvCs1234_7mycrate3foo", "mycrate::foo"},
};

#define NAMES (int)(sizeof(names) / sizeof(*names))

START_TEST(known)
{
	char *shown = demangle(names[_i].name);

	if (names[_i].shown)
		ck_assert_str_eq(shown, names[_i].shown);
	else
		ck_assert_ptr_null(shown);
	free(shown);
}
END_TEST

/* A name that is too long by one byte is left alone, one that just fits is not. */
START_TEST(long_input)
{
	for (int over = 0; over < 2; over++) {
		size_t letters = DEMANGLE_MAX_BYTES - strlen("_Z4000v") + (size_t)over;
		char name[DEMANGLE_MAX_BYTES + 2];
		char *shown;
		int head = snprintf(name, sizeof(name), "_Z%zu", letters);

		memset(name + head, 'a', letters);
		strcpy(name + head + letters, "v");
		ck_assert_uint_eq(strlen(name), DEMANGLE_MAX_BYTES + (size_t)over);
		shown = demangle(name);
		if (over)
			ck_assert_ptr_null(shown);
		else
			ck_assert_uint_eq(strlen(shown), letters + 2);
		free(shown);
	}
}
END_TEST

/* Each substitution doubles what is printed: 2^200 bytes from a few hundred. */
START_TEST(doubling)
{
	char name[2048] = "_Z1f1aIiiE";
	struct timespec from, to;
	char *shown;

	for (int i = 0; i < 200; i++) {
		char part[24];
		static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
		int last = i; /* S_ is 1a, S0_ 1a<int, int>, then each pair */

		if (last < 36)
			snprintf(part, sizeof(part), "S_IS%c_S%c_E", digits[last], digits[last]);
		else
			snprintf(part, sizeof(part), "S_IS%c%c_S%c%c_E", digits[last / 36],
				 digits[last % 36], digits[last / 36], digits[last % 36]);
		if (strlen(name) + strlen(part) < sizeof(name))
			strcat(name, part);
	}
	clock_gettime(CLOCK_MONOTONIC, &from);
	shown = demangle(name);
	clock_gettime(CLOCK_MONOTONIC, &to);
	ck_assert_ptr_null(shown);
	ck_assert_int_lt(to.tv_sec - from.tv_sec, 5);
}
END_TEST

START_TEST(deep)
{
	static const char *const units[] = {"P", "N1a", "I1a", "F", "X", "_ZL", "M", "T"};
	char name[DEMANGLE_MAX_BYTES + 1];

	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		strcpy(name, "_Z1f");
		while (strlen(name) + strlen(units[i]) < sizeof(name))
			strcat(name, units[i]);
		free(demangle(name));
		memcpy(name, "_RNvCs", 6);
		free(demangle(name));
	}
}
END_TEST

/* Any byte of a good name changed: an answer or none, and never trouble. */
START_TEST(damaged)
{
	unsigned seed = 1;
	int answers = 0;

	for (int round = 0; round < 20000; round++) {
		char name[256];
		size_t bytes;
		char *shown;

		seed = seed * 1664525 + 1013904223;
		snprintf(name, sizeof(name), "%s", names[6 + (seed >> 8) % (NAMES - 6)].name);
		bytes = strlen(name);
		seed = seed * 1664525 + 1013904223;
		name[(seed >> 8) % bytes] = (char)(1 + (seed >> 20) % 255);
		shown = demangle(name);
		answers += shown != NULL;
		free(shown);
	}
	ck_assert_int_gt(answers, 1000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("demangle");
	TCase *known_case = tcase_create("known");
	TCase *hostile = tcase_create("hostile");

	tcase_add_loop_test(known_case, known, 0, NAMES);
	tcase_add_test(hostile, long_input);
	tcase_add_test(hostile, doubling);
	tcase_add_test(hostile, deep);
	tcase_add_test(hostile, damaged);
	tcase_set_timeout(hostile, 60);
	suite_add_tcase(suite, known_case);
	suite_add_tcase(suite, hostile);
	return support_run(suite);
}
