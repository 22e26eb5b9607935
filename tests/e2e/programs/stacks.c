/*
 * Known stacks by construction: every expected frame is a function's name and a line taken with
 * __LINE__ where the call is written. Each group allocates its own number of bytes, so that a
 * stack can be told from the next by its figures alone.
 *
 * Built with -O2 and without sibling calls; "inlined" frames are always_inline functions.
 */
#include "truth.h"

struct place {
	const char *function;
	int line;
};

static struct place path[256]; /* outermost last; filled by the calls themselves */
static size_t path_length;
static int groups;

/* Makes `call` in the function `name`, and notes where that is, innermost call first. */
#define CALL(name, call)                                                                           \
	({                                                                                         \
		void *called = (call);                                                             \
		path[path_length++] = (struct place){name, __LINE__};                              \
		called;                                                                            \
	})

/* Adds one expected stack to the truth; `path` is innermost first. */
static void expect(size_t allocations, size_t bytes)
{
	truth_note("%s{\"allocations\":%zu,\"bytes\":%zu,\"stack\":[",
		   groups++ ? "," : ",\"stacks\":[", allocations, bytes);
	for (size_t i = 0; i < path_length; i++)
		truth_note("%s[\"%s\",%d]", i ? "," : "", path[i].function, path[i].line);
	truth_note("]}");
	path_length = 0;
}

static TRUTH_NOINLINE void *leaf(size_t bytes)
{
	void *block = CALL("leaf", malloc(bytes));

	truth_got(block, bytes);
	return block;
}

static TRUTH_NOINLINE void *middle(size_t bytes)
{
	void *block = CALL("middle", leaf(bytes));

	return block;
}

static inline __attribute__((always_inline)) void *inlined_twice(size_t bytes)
{
	void *block = CALL("inlined_twice", middle(bytes));

	return block;
}

static inline __attribute__((always_inline)) void *inlined(size_t bytes)
{
	void *block = CALL("inlined", inlined_twice(bytes));

	return block;
}

static TRUTH_NOINLINE void *plain(void)
{
	return CALL("plain", middle(1001));
}

static TRUTH_NOINLINE void *with_inlined(void)
{
	return CALL("with_inlined", inlined(1002));
}

static TRUTH_NOINLINE void *recurse(int depth, size_t bytes)
{
	void *block;

	if (depth > 1) {
		block = CALL("recurse", recurse(depth - 1, bytes));
	} else {
		block = CALL("recurse", leaf(bytes));
	}
	return block;
}

static TRUTH_NOINLINE void *through_pointer(void *(*volatile function)(size_t), size_t bytes)
{
	void *block = CALL("through_pointer", function(bytes));

	return block;
}

/* A frame whose size is not known when it is compiled. */
static TRUTH_NOINLINE void *with_alloca(size_t bytes)
{
	volatile char *room = __builtin_alloca(bytes);
	void *block;

	room[bytes - 1] = 1;
	block = CALL("with_alloca", leaf(bytes));
	return block;
}

/* A frame aligned by hand, found through a register. */
static TRUTH_NOINLINE void *with_realigned(size_t bytes)
{
	volatile char room[256] __attribute__((aligned(128)));
	void *block;

	room[bytes % 256] = 1;
	TRUTH_REQUIRE(room[bytes % 256]);
	block = CALL("with_realigned", leaf(bytes));
	return block;
}

int main(void)
{
	static const int depths[] = {5, 10, 24, 60, 100, 200};

	truth_free(CALL("main", plain()), 1001);
	expect(1, 1001);
	truth_free(CALL("main", with_inlined()), 1002);
	expect(1, 1002);
	for (size_t i = 0; i < sizeof(depths) / sizeof(*depths); i++) {
		size_t bytes = 2000 + (size_t)depths[i];

		truth_free(CALL("main", recurse(depths[i], bytes)), bytes);
		expect(1, bytes);
	}
	truth_free(CALL("main", through_pointer(middle, 1003)), 1003);
	expect(1, 1003);
	truth_free(CALL("main", with_alloca(1004)), 1004);
	expect(1, 1004);
	truth_free(CALL("main", with_realigned(1005)), 1005);
	expect(1, 1005);
	for (int i = 0; i < 10; i++) {
		path_length = 0;
		truth_free(CALL("main", leaf(1006)), 1006);
	}
	expect(10, 10060);
	truth_note("]");
	truth_print(1, &truth);
	return 0;
}
