/*
 * A new handler that gives back a reserve when memory is short: its calls come while operator new
 * is under way and are the program's own all the same.
 *
 * "jumps": one that leaves operator new by longjmp. That call never ended; those that fail later,
 * from wherever on the stack, do.
 */
#include <csetjmp>
#include <new>

#include "truth.h"

static const std::size_t reserve_bytes = 12345;
static void *reserve;

static void give_back()
{
	if (reserve) {
		truth_free(reserve, reserve_bytes);
		reserve = nullptr;
	} else {
		std::set_new_handler(nullptr);
	}
}

static const volatile std::size_t enormous = PTRDIFF_MAX;
static std::jmp_buf out;

static void leave()
{
	std::longjmp(out, 1);
}

static void be_left()
{
	std::set_new_handler(leave);
	if (setjmp(out) == 0)
		::operator delete(::operator new(enormous));
	std::set_new_handler(nullptr);
}

static void fail()
{
	void *block = malloc(enormous);

	TRUTH_REQUIRE(!block);
	truth.failed++;
	try {
		::operator delete(::operator new(enormous));
	} catch (const std::bad_alloc &) {
		truth_library(TRUTH_EXCEPTION_BYTES(sizeof(std::bad_alloc)));
	}
	truth.failed++;
}

TRUTH_NOINLINE static void at_depth(int depth, void (*what)())
{
	if (depth)
		at_depth(depth - 1, what);
	else
		what();
	__asm__ volatile("" ::: "memory");
}

static void jumps()
{
	for (int left = 0; left < 12; left++)
		for (int failing = 0; failing < 12; failing++) {
			at_depth(left, be_left);
			at_depth(failing, fail);
		}
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "jumps") == 0) {
		jumps();
	} else if (!truth_is_baseline(argc, argv)) {
		reserve = truth_malloc(reserve_bytes);
		std::set_new_handler(give_back);
		try {
			::operator delete(::operator new(enormous));
		} catch (const std::bad_alloc &) {
			truth_library(TRUTH_EXCEPTION_BYTES(sizeof(std::bad_alloc)));
		}
		truth.failed++;
		TRUTH_REQUIRE(!reserve);
	}
	truth_print(1, &truth);
	return 0;
}
