// Exceptions thrown through frames with destructors that allocate: an event in every phase.
//
//     storm ROUNDS
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

namespace
{
struct Guard {
	std::vector<int> *numbers;

	explicit Guard(int count) : numbers(new std::vector<int>(count + 1))
	{
	}
	~Guard()
	{
		std::string last(40 + numbers->size() % 7, 'x'); // allocates while unwinding
		delete numbers;
	}
};

__attribute__((noinline)) int dive(int depth, int thrown)
{
	Guard guard(depth);

	if (depth == thrown % 9)
		throw std::runtime_error("this is longer than what fits a small string");
	if (depth == 0)
		return 1;
	try {
		return dive(depth - 1, thrown) + depth;
	} catch (const std::logic_error &) {
		return 0;
	}
}
} // namespace

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? std::atoi(argv[1]) : 1000;
	int caught = 0;

	for (int i = 0; i < rounds; i++) {
		try {
			caught += dive(i % 13, i) < 0;
		} catch (const std::exception &error) {
			caught += std::string(error.what()).size() > 1;
		}
	}
	std::printf("%d caught\n", caught);
	return 0;
}
