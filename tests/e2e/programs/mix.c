/*
 * One thread, half a million calls drawn at random over a thousand slots: every size class, every
 * C function that returns a block, realloc both ways. The argument sets the number of calls.
 */
#include <malloc.h>

#include "truth.h"

#define SLOTS 1024

static struct {
	void *block;
	size_t bytes;
} slots[SLOTS];

/* Sizes from 0 to 1 MiB, small ones far more often. */
static size_t draw_bytes(uint64_t *state)
{
	uint64_t r = truth_random(state);
	unsigned bits = (unsigned)(r >> 32) % 100;

	bits = bits < 80 ? bits % 9 : bits < 99 ? 12 : 20;
	return (size_t)(r & (((uint64_t)1 << bits) - 1));
}

static void fill(size_t slot, unsigned how, size_t bytes)
{
	void *block = NULL;

	switch (how) {
	case 0:
		block = calloc(3, bytes / 3);
		bytes = bytes / 3 * 3;
		break;
	case 1:
		TRUTH_REQUIRE(posix_memalign(&block, 64, bytes) == 0);
		break;
	case 2:
		bytes &= ~(size_t)31;
		block = aligned_alloc(32, bytes);
		break;
	case 3:
		block = memalign(128, bytes);
		break;
	default:
		block = malloc(bytes);
	}
	TRUTH_REQUIRE(block);
	truth_got(block, bytes);
	slots[slot].block = block;
	slots[slot].bytes = bytes;
}

static void drain(size_t slot)
{
	truth_free(slots[slot].block, slots[slot].bytes);
	slots[slot].block = NULL;
	slots[slot].bytes = 0;
}

static void resize(size_t slot, size_t bytes)
{
	void *old = slots[slot].block;
	uintptr_t old_number = (uintptr_t)old;
	void *block = realloc(old, bytes + 1);

	TRUTH_REQUIRE(block);
	truth_moved((void *)old_number, slots[slot].bytes, block, bytes + 1);
	slots[slot].block = block;
	slots[slot].bytes = bytes + 1;
}

int main(int argc, char **argv)
{
	long calls = argc > 1 ? atol(argv[1]) : 500000; /* "baseline" is 0 */
	uint64_t state = 88172645463325252ULL;

	for (long i = 0; i < calls; i++) {
		uint64_t r = truth_random(&state);
		size_t slot = r % SLOTS;
		unsigned how = (unsigned)(r >> 40) % 12;

		if (how == 11 && malloc_usable_size(slots[slot].block) < slots[slot].bytes)
			return 96;
		if (how >= 9)
			resize(slot, draw_bytes(&state));
		else if (slots[slot].block)
			drain(slot);
		else
			fill(slot, how, draw_bytes(&state));
	}
	for (size_t slot = 0; slot < SLOTS; slot += 2)
		drain(slot);
	truth_print(1, &truth);
	return 0;
}
