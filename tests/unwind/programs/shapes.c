/*
 * Frames of every shape a compiler makes, in random nests, with an allocation in each: fixed and
 * variable size, alloca, realigned, variadic, many arguments, large locals, tail calls, recursion,
 * callbacks from qsort.
 *
 *     shapes ROUNDS DEPTH
 */
#include <alloca.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed = 88172645463325252U;

static unsigned pick(unsigned bound)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 16) % bound;
}

/* So that nothing is optimised away. */
static void use(volatile void *memory)
{
	__asm__ volatile("" : : "r"(memory) : "memory");
}

static __attribute__((noinline)) void allocate(size_t bytes)
{
	char *block = malloc(bytes + 1);

	use(block);
	free(block);
}

static void descend(int depth);

static __attribute__((noinline)) void plain(int depth)
{
	allocate((size_t)depth);
	descend(depth);
	allocate(1);
}

static __attribute__((noinline)) void many_saved(int depth)
{
	unsigned a = pick(9), b = pick(9), c = pick(9), d = pick(9), e = pick(9), f = pick(9);

	descend(depth);
	allocate(a + b);
	use(&seed);
	allocate(c + d + e);
	allocate(a + f + d);
}

static __attribute__((noinline)) void with_alloca(int depth)
{
	char *memory = alloca(pick(300) + 1);

	use(memory);
	allocate(3);
	descend(depth);
	use(memory);
}

static __attribute__((noinline)) void with_array(int depth)
{
	unsigned count = pick(40) + 1;
	long array[count];

	use(array);
	descend(depth);
	allocate(count);
	use(array);
}

static __attribute__((noinline)) void realigned(int depth)
{
	_Alignas(64) char local[128];

	use(local);
	allocate(5);
	descend(depth);
	use(local);
}

static __attribute__((noinline)) void realigned_array(int depth)
{
	_Alignas(128) char local[256];
	char *memory = alloca(pick(100) + 1);

	use(local);
	use(memory);
	descend(depth);
	allocate(6);
	use(local);
}

static __attribute__((noinline)) void large(int depth)
{
	char local[9000];

	use(local);
	descend(depth);
	allocate(7);
	use(local);
}

static __attribute__((noinline)) void variadic(int depth, ...)
{
	va_list list;

	va_start(list, depth);
	allocate((size_t)va_arg(list, int));
	descend(depth);
	va_end(list);
}

static __attribute__((noinline)) long arguments(int depth, long b, long c, long d, long e, long f,
						long g, long h, long i, long j)
{
	descend(depth);
	allocate((size_t)(b & 7));
	return b + c + d + e + f + g + h + i + j;
}

static __attribute__((noinline)) void tail(int depth)
{
	allocate(8);
	descend(depth); /* a jump at -O2 */
}

static int compare(const void *a, const void *b)
{
	allocate(9);
	return *(const int *)a - *(const int *)b;
}

static __attribute__((noinline)) void sorted(int depth)
{
	int numbers[] = {5, 2, 4, 1};

	qsort(numbers, 4, sizeof(*numbers), compare);
	descend(depth);
	use(numbers);
}

static __attribute__((noinline)) void descend(int depth)
{
	allocate(2);
	if (depth-- <= 0)
		return;
	switch (pick(11)) {
	case 0:
		plain(depth);
		break;
	case 1:
		many_saved(depth);
		break;
	case 2:
		with_alloca(depth);
		break;
	case 3:
		with_array(depth);
		break;
	case 4:
		realigned(depth);
		break;
	case 5:
		realigned_array(depth);
		break;
	case 6:
		large(depth);
		break;
	case 7:
		variadic(depth, 1, 2, 3);
		break;
	case 8:
		arguments(depth, 1, 2, 3, 4, 5, 6, 7, 8, 9);
		break;
	case 9:
		tail(depth);
		break;
	default:
		sorted(depth);
		break;
	}
	allocate(4);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 1000;
	int depth = argc > 2 ? atoi(argv[2]) : 20;

	for (int i = 0; i < rounds; i++)
		descend((int)pick((unsigned)depth));
	printf("%d rounds\n", rounds);
	return 0;
}
