/*
 * A new handler that gives back a reserve when memory is short: its calls come while operator new
 * is under way and are the program's own all the same.
 */
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

int main(int argc, char **argv)
{
	volatile std::size_t enormous = PTRDIFF_MAX;

	if (!truth_is_baseline(argc, argv)) {
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
