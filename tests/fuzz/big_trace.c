/*
 * Writes a long synthetic trace, to measure how fast the analyzer reads:
 *
 *     big_trace EVENTS THREADS FILE
 *
 * Sizes, life times and sites are spread as programs have them: most blocks are small and die
 * young, some live on; a few thousand stacks; the allocator gives addresses out again, last freed
 * first.
 */
#include "trace_builder.h"

#include <stdio.h>
#include <stdlib.h>

#define STACKS	    4000
#define SLOTS	    200000 /* addresses a thread has */
#define RING_WORDS  8192
#define THREADS_MAX 32

static uint64_t state = 88172645463325252ULL;

/* xorshift64 (Marsaglia 2003). */
static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

struct thread {
	uint32_t ring;
	uint64_t base;
	uint32_t free_slots[SLOTS]; /* last freed first */
	uint32_t free_count;
	uint32_t live[SLOTS]; /* in order of allocation */
	uint32_t live_count;
	uint32_t wanted; /* live blocks it swings around */
};

static uint32_t make_stacks(struct trace_builder *builder, uint32_t *stacks)
{
	for (uint32_t i = 0; i < STACKS; i++)
		stacks[i] = trace_builder_node(builder, i < 8 ? 0 : stacks[next_random() % i],
					       0x555500001001 + i * 64);
	return STACKS;
}

static void step(struct trace_builder *builder, struct thread *thread, const uint32_t *stacks,
		 uint64_t tick)
{
	uint64_t random = next_random();
	uint32_t at, slot;

	if (thread->live_count > thread->wanted || thread->free_count == 0 ||
	    (thread->live_count != 0 && random % 100 < 49)) {
		/* Of the last few mostly, else any. */
		at = random >> 32 & 7
			 ? thread->live_count - 1 - (random >> 40) % 8 % thread->live_count
			 : (uint32_t)(random >> 40) % thread->live_count;
		slot = thread->live[at];
		thread->live[at] = thread->live[--thread->live_count];
		thread->free_slots[thread->free_count++] = slot;
		trace_builder_release(builder, thread->ring, tick, TRACE_EVENT_FREE,
				      thread->base + slot * 48ULL);
		return;
	}
	slot = thread->free_slots[--thread->free_count];
	thread->live[thread->live_count++] = slot;
	trace_builder_acquire(
	    builder, thread->ring, tick, TRACE_EVENT_MALLOC, thread->base + slot * 48ULL,
	    random >> 20 & 15 ? (random >> 24) % 200 : (random >> 24) % 100000,
	    stacks[(random >> 50) % 100 < 90 ? (random >> 30) % 64 : (random >> 30) % STACKS]);
}

int main(int argc, char **argv)
{
	static struct thread threads[THREADS_MAX];
	static uint32_t stacks[STACKS];
	uint64_t events = argc == 4 ? strtoull(argv[1], NULL, 10) : 0;
	unsigned count = argc == 4 ? (unsigned)atoi(argv[2]) : 0;
	struct trace_builder *builder;
	uint64_t tick = 0;
	const uint8_t *image;
	size_t bytes;
	FILE *file;

	if (events == 0 || count == 0 || count > THREADS_MAX) {
		fprintf(stderr, "usage: big_trace EVENTS THREADS FILE\n");
		return 2;
	}
	builder = trace_builder_new();
	make_stacks(builder, stacks);
	for (unsigned i = 0; i < count; i++) {
		threads[i].ring = trace_builder_ring(builder, i, RING_WORDS);
		threads[i].base = 0x7f0000000000 + i * 0x4000000ULL;
		threads[i].wanted = SLOTS / 2;
		for (uint32_t slot = 0; slot < SLOTS; slot++)
			threads[i].free_slots[threads[i].free_count++] = SLOTS - 1 - slot;
	}
	for (uint64_t i = 0; i < events;) {
		/* Threads run for a while each, as on few processors. */
		struct thread *thread = &threads[next_random() % count];

		for (unsigned burst = 0; burst < 50 && i < events; burst++, i++) {
			tick += 20 + next_random() % 100;
			step(builder, thread, stacks, tick);
		}
	}
	image = trace_builder_finish(builder, &bytes);
	file = fopen(argv[3], "w");
	if (file == NULL || fwrite(image, 1, bytes, file) != bytes || fclose(file) != 0) {
		perror(argv[3]);
		return 2;
	}
	printf("%llu events, %zu bytes\n", (unsigned long long)events, bytes);
	trace_builder_free(builder);
	return 0;
}
