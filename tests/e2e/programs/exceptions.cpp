/*
 * An exception storm: thrown through frames that hold blocks, caught at different depths, rethrown
 * as another type. "baseline" throws once, for what the unwinder allocates the first time.
 */
#include <stdexcept>

#include "truth.h"

struct holder {
	char *block;
	std::size_t bytes;
	explicit holder(std::size_t n) : block(new char[n]), bytes(n)
	{
		truth_got(block, n);
	}
	~holder()
	{
		truth_gave(block, bytes);
		delete[] block;
	}
};

struct small {
	int depth;
};

static char thrown; /* stands for the exception object in the ledger */

TRUTH_NOINLINE static void fall(int depth, int catch_at)
{
	holder h(100 + static_cast<std::size_t>(depth));

	__asm__ volatile("" ::"r"(h.block) : "memory");
	if (depth == 0) {
		truth_got(&thrown, TRUTH_EXCEPTION_BYTES(sizeof(small)));
		truth.library_allocations++;
		truth.library_bytes += TRUTH_EXCEPTION_BYTES(sizeof(small));
		throw small{depth};
	}
	if (depth == catch_at) {
		try {
			fall(depth - 1, -1);
		} catch (small &s) {
			holder during(50);

			s.depth = depth;
			throw; /* the same object goes on */
		}
	}
	fall(depth - 1, catch_at);
	__asm__ volatile("" ::: "memory");
}

int main(int argc, char **argv)
{
	const int rounds = truth_is_baseline(argc, argv) ? 0 : 3000;

	for (int i = 0; i < rounds; i++) {
		try {
			fall(1 + i % 40, i % 7 + 1);
		} catch (const small &) {
		}
		truth_gave(&thrown, TRUTH_EXCEPTION_BYTES(sizeof(small)));
	}
	truth_print(1, &truth);
	return 0;
}
