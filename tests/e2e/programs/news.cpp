/*
 * Every form of operator new and delete, called as the compiler would call it, then the mix-ups
 * (a block of new freed by free and so on). "failures" adds calls that cannot succeed, "baseline"
 * makes none.
 */
#include <cstdint>
#include <cstring>
#include <new>

#include "truth.h"

static volatile std::size_t enormous = PTRDIFF_MAX;

static void *book(void *block, std::size_t bytes)
{
	TRUTH_REQUIRE(block);
	truth_got(block, bytes);
	return block;
}

static void *gone(void *block, std::size_t bytes)
{
	truth_gave(block, bytes);
	return block;
}

static void all_forms()
{
	const std::align_val_t wide{256};
	const std::nothrow_t &quiet = std::nothrow;
	void *p;

	p = book(::operator new(10), 10);
	::operator delete(gone(p, 10));
	p = book(::operator new(11), 11);
	::operator delete (gone(p, 11), std::size_t{11});
	p = book(::operator new(12, quiet), 12);
	::operator delete(gone(p, 12), quiet);
	p = book(::operator new(13, wide), 13);
	TRUTH_REQUIRE(reinterpret_cast<std::uintptr_t>(p) % 256 == 0);
	::operator delete(gone(p, 13), wide);
	p = book(::operator new(14, wide), 14);
	::operator delete (gone(p, 14), std::size_t{14}, wide);
	p = book(::operator new(15, wide, quiet), 15);
	::operator delete(gone(p, 15), wide, quiet);

	p = book(::operator new[](20), 20);
	::operator delete[](gone(p, 20));
	p = book(::operator new[](21), 21);
	::operator delete[](gone(p, 21), std::size_t{21});
	p = book(::operator new[](22, quiet), 22);
	::operator delete[](gone(p, 22), quiet);
	p = book(::operator new[](23, wide), 23);
	TRUTH_REQUIRE(reinterpret_cast<std::uintptr_t>(p) % 256 == 0);
	::operator delete[](gone(p, 23), wide);
	p = book(::operator new[](24, wide), 24);
	::operator delete[](gone(p, 24), std::size_t{24}, wide);
	p = book(::operator new[](25, wide, quiet), 25);
	::operator delete[](gone(p, 25), wide, quiet);

	p = book(::operator new(0), 0);
	::operator delete(gone(p, 0));
	::operator delete(nullptr);
	::operator delete[](nullptr);
}

struct alignas(128) over_aligned {
	char bytes[384];
};

struct throws {
	char bytes[72];
	throws()
	{
		throw 1;
	}
};

/* As programs write them; `sink` keeps the compiler from dropping a pair. */
static void *volatile sink;

static void expressions()
{
	alignas(over_aligned) static char room[sizeof(over_aligned)];
	auto *number = new long(7);
	auto *numbers = new int[100];
	auto *aligned = new over_aligned;
	auto *placed = new (room) over_aligned; /* must not count */

	sink = number;
	book(number, sizeof(long));
	sink = numbers;
	book(numbers, 100 * sizeof(int));
	sink = aligned;
	book(aligned, sizeof(over_aligned));
	sink = placed;
	gone(number, sizeof(long));
	delete number;
	gone(numbers, 100 * sizeof(int));
	delete[] numbers;
	gone(aligned, sizeof(over_aligned));
	delete aligned;

	auto *kept = new char[4321];
	sink = kept;
	book(kept, 4321);

	try {
		sink = new throws; /* the block is taken and given back */
	} catch (int) {
	}
	truth_got(&kept, sizeof(throws));
	truth_library(TRUTH_EXCEPTION_BYTES(sizeof(int)));
	truth_gave(nullptr, sizeof(throws));
}

/*
 * The object of a bad_alloc is taken inside operator new, by libstdc++'s nothrow forms too, which
 * catch it themselves. The inner call that failed is the outer's one failure.
 */
static void failures()
{
	for (int array = 0; array < 2; array++) {
		bool caught = false;

		try {
			void *p = array ? ::operator new[](enormous) : ::operator new(enormous);
			::operator delete(p);
		} catch (const std::bad_alloc &) {
			caught = true;
		}
		TRUTH_REQUIRE(caught);
		truth.failed++;
		truth_library(TRUTH_EXCEPTION_BYTES(sizeof(std::bad_alloc)));
	}
	TRUTH_REQUIRE(!::operator new(enormous, std::nothrow));
	TRUTH_REQUIRE(!::operator new[](enormous, std::nothrow));
	TRUTH_REQUIRE(
	    !::operator new (enormous & ~std::size_t{63}, std::align_val_t{64}, std::nothrow));
	truth.failed += 3;
	for (int i = 0; i < 3; i++)
		truth_library(TRUTH_EXCEPTION_BYTES(sizeof(std::bad_alloc)));
}

/* Works in practice, is wrong in every standard; the report counts it. */
static void mix_ups()
{
	using release = void (*)(void *);
	using acquire = void *(*)(std::size_t);
	static const volatile acquire news[] = {static_cast<acquire>(std::malloc),
						static_cast<acquire>(::operator new),
						static_cast<acquire>(::operator new[])};
	static const volatile release deletes[] = {static_cast<release>(std::free),
						   static_cast<release>(::operator delete),
						   static_cast<release>(::operator delete[])};

	for (int by = 0; by < 3; by++)
		for (int in = 0; in < 3; in++) {
			void *p = book(news[by](50), 50);

			deletes[in](gone(p, 50));
			truth.mismatched_frees += by != in;
		}
}

int main(int argc, char **argv)
{
	const bool fail = argc > 1 && std::strcmp(argv[1], "failures") == 0;

	for (int round = 0; round < 5 && !truth_is_baseline(argc, argv); round++) {
		if (fail)
			failures();
		all_forms();
		expressions();
		mix_ups();
	}
	truth_print(1, &truth);
	return 0;
}
