/*
 * C++ names in stacks: templates, namespaces, lambdas, members, and new through the standard
 * containers, whose frames are inlined or not as the compiler likes.
 */
#include <map>
#include <string>
#include <vector>

#include "truth.h"

/* What the compiler calls the first lambda of a function. */
#ifdef __clang__
#define LAMBDA "$_0"
#else
#define LAMBDA "{lambda(unsigned long)#1}"
#endif

namespace shapes
{

template <typename T> struct box {
	T *room;
	TRUTH_NOINLINE explicit box(std::size_t count) : room(new T[count])
	{
		truth_got(room, count * sizeof(T));
	}
	TRUTH_NOINLINE ~box()
	{
		delete[] room;
	}
};

template <typename T, int N> TRUTH_NOINLINE void fill(const char *)
{
	box<T> b(N);

	truth_gave(b.room, N * sizeof(T));
	__asm__ volatile("" ::"r"(b.room) : "memory");
}

} // namespace shapes

TRUTH_NOINLINE static void in_vector(std::size_t count)
{
	std::vector<double> v;

	v.reserve(count);
	__asm__ volatile("" ::"r"(v.data()) : "memory");
	truth_got(v.data(), count * sizeof(double));
	truth_gave(v.data(), count * sizeof(double));
}

TRUTH_NOINLINE static void in_map(int count)
{
	std::map<int, long> m;
	const std::size_t node = 48; /* colour, three pointers, the pair */

	for (int i = 0; i < count; i++) {
		m[i] = i;
		truth_got(&m, node);
	}
	for (int i = 0; i < count; i++)
		truth_gave(&m, node);
}

int main(int argc, char **argv)
{
	if (!truth_is_baseline(argc, argv)) {
		shapes::fill<int, 100>("");
		shapes::fill<short, 77>("");
		in_vector(1234);
		in_map(50);
		auto lambda = [](std::size_t bytes) TRUTH_NOINLINE {
			auto *p = new char[bytes];

			truth_got(p, bytes);
			__asm__ volatile("" ::"r"(p) : "memory");
			truth_gave(p, bytes);
			delete[] p;
		};
		lambda(4242);
		truth_note(",\"names\":["
			   "[400,\"shapes::box<int>::box(unsigned long)\","
			   "\"void shapes::fill<int, 100>(char const*)\",\"main\"],"
			   "[154,\"shapes::box<short>::box(unsigned long)\","
			   "\"void shapes::fill<short, 77>(char const*)\",\"main\"],"
			   "[9872,\"in_vector(unsigned long)\",\"main\"],"
			   "[2400,\"in_map(int)\",\"main\"],"
			   "[4242,\"main::" LAMBDA "::operator()(unsigned long) const\","
			   "\"main\"]]");
	}
	truth_print(1, &truth);
	return 0;
}
