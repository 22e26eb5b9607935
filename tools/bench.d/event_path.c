/*
 * Where a malloc/free pair's nanoseconds go: hooks built up step by step from an empty one, each
 * run on the same churn of blocks, the steps taking turns.
 *
 *     event_path [-d DEPTH] [-n PAIRS] [-r ROUNDS] [-t]     nanoseconds, medians
 *     event_path -i [...]      instructions as well, counted by valgrind's callgrind
 *     event_path -s STEP       that step alone, once
 *
 * -t: as where other threads have events as well: with fenced stamps and fine times.
 */
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "codec.h"
#include "encode.h"
#include "encode_tables.h"
#include "event_path_churn.h"
#include "interpose.h"
#include "options.h"
#include "pack.h"
#include "sole.h"
#include "trace_file.h"

#define ROUNDS_MAX 101

enum step { BARE, EMPTY, GUARD, CLOCK, UNWIND, RING, ENCODE, COMPRESS, WRITE, STEPS };

static const char *const names[STEPS] = {
    [BARE] = "bare: the allocator alone",
    [EMPTY] = "empty hook",
    [GUARD] = "guard",
    [CLOCK] = "clock: two stamps",
    [UNWIND] = "unwind, all known",
    [RING] = "words into the ring",
    [ENCODE] = "encode: columns",
    [COMPRESS] = "stage and compress: zstd",
    [WRITE] = "write, resident size: all",
};

static const struct unwind_backend *backend;
static unsigned max_depth;
static volatile uint64_t sink;
static long pairs = 400000;
static int depth = 20;

static unsigned shift(const struct thread *thread)
{
	struct trace_clock now = clock_pair();

	if (thread->sole)
		return clock_coarse_shift(&trace_file_header()->start, &now);
	return clock_fine_shift();
}

/* Without `compress` each ring's columns are made and forgotten. */
static void encode_ring(struct thread *thread, bool compress)
{
	struct ring *ring = &thread->ring;
	struct stage *stage = &thread->stage;
	struct codec *codec = codec_take();
	struct encode_tables *tables = encode_tables_of(ring->index, &codec->own);
	size_t bytes = 0;

	if (stage_is_empty(stage)) {
		stage->segment.head = (struct trace_events){.from = ring->head - ring_used(ring)};
		encode_begin(&stage->segment, tables, shift(thread));
	}
	encode_part(&stage->segment, tables, codec, ring->data, ring_used(ring));
	if (compress && !stage_add(stage, codec)) {
		pack_columns(codec, stage, true, true, &thread->pack, &stage->segment.head, &bytes);
		stage_clear(stage);
	}
	codec_put(codec);
	sink += bytes;
}

/* What a full ring leads to in a step. */
static void empty_ring(struct thread *thread, enum step step)
{
	if (step >= ENCODE)
		encode_ring(thread, step >= COMPRESS);
	ring_release(&thread->ring, thread->ring_events);
	thread->ring_events = 0;
}

static inline __attribute__((always_inline)) uint64_t *room(struct thread *thread, enum step step,
							    size_t words)
{
	uint64_t *at = ring_reserve(&thread->ring, words);

	if (__builtin_expect(at != NULL, 1))
		return at;
	empty_ring(thread, step);
	return ring_reserve(&thread->ring, words);
}

/* The hooks' own steps, as in interpose_malloc.c and record.c, up to `step`. */
static inline __attribute__((always_inline)) void *stepped_malloc(enum step step, size_t bytes)
{
	struct thread *thread;
	uint64_t tick = 0, *at;
	uint32_t stack = 0;
	void *block;

	if (!real_ready())
		return NULL;
	if (step == EMPTY)
		return real.malloc(bytes);
	thread = thread_enter(HOOK_FRAME | GUARD_REAL);
	block = real.malloc(bytes);
	if (step == WRITE) {
		hook_acquired(thread, HOOK_FRAME, TRACE_EVENT_MALLOC, block, bytes, 0, HOOK_ORIGIN);
		return block;
	}
	thread_phase(HOOK_FRAME);
	if (step >= CLOCK)
		tick = sole_stamp(thread);
	if (step >= UNWIND)
		stack = backend->stack(thread->unwind_state, HOOK_ORIGIN, max_depth,
				       &thread->unwind_counts);
	if (step >= RING) {
		at = room(thread, step, 4);
		at[0] = tick << 8 | TRACE_EVENT_MALLOC;
		at[1] = (uintptr_t)block;
		at[2] = bytes;
		at[3] = stack;
		ring_commit(&thread->ring, 4);
		thread->ring_events++;
	} else {
		sink = tick + stack;
	}
	thread_leave();
	return block;
}

static inline __attribute__((always_inline)) void stepped_free(enum step step, void *block)
{
	struct thread *thread;
	uint64_t tick = 0, *at;

	if (!block)
		return;
	if (step == EMPTY) {
		real.free(block);
		return;
	}
	thread = thread_enter(HOOK_FRAME);
	if (step == WRITE) {
		record_release(thread, TRACE_EVENT_FREE, block);
	} else {
		if (step >= CLOCK)
			tick = sole_stamp(thread);
		if (step >= RING) {
			at = room(thread, step, 2);
			at[0] = tick << 8 | TRACE_EVENT_FREE;
			at[1] = (uintptr_t)block;
			ring_commit(&thread->ring, 2);
			thread->ring_events++;
		} else {
			sink = tick;
		}
	}
	thread_phase(HOOK_FRAME | GUARD_REAL);
	real.free(block);
	thread_leave();
}

#define HOOKS(step)                                                                                \
	static __attribute__((noinline)) void *malloc_##step(size_t bytes)                         \
	{                                                                                          \
		return stepped_malloc(step, bytes);                                                \
	}                                                                                          \
	static __attribute__((noinline)) void free_##step(void *block)                             \
	{                                                                                          \
		stepped_free(step, block);                                                         \
	}
HOOKS(EMPTY)
HOOKS(GUARD)
HOOKS(CLOCK)
HOOKS(UNWIND)
HOOKS(RING)
HOOKS(ENCODE)
HOOKS(COMPRESS)
HOOKS(WRITE)

static const struct churn_hooks hooks[STEPS] = {
    {malloc, free},
    {malloc_EMPTY, free_EMPTY},
    {malloc_GUARD, free_GUARD},
    {malloc_CLOCK, free_CLOCK},
    {malloc_UNWIND, free_UNWIND},
    {malloc_RING, free_RING},
    {malloc_ENCODE, free_ENCODE},
    {malloc_COMPRESS, free_COMPRESS},
    {malloc_WRITE, free_WRITE},
};

/* Nanoseconds of this thread's processor a pair took. */
static double run(enum step step)
{
	struct timespec from, to;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
	churn(&hooks[step], pairs, depth);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
	return ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) /
	       (double)pairs;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void time_steps(int rounds, double *ns)
{
	static double figures[STEPS][ROUNDS_MAX];

	for (int round = 0; round < rounds; round++)
		for (int step = 0; step < STEPS; step++)
			figures[step][round] = run((enum step)step);
	for (int step = 0; step < STEPS; step++) {
		qsort(figures[step], (size_t)rounds, sizeof(double), by_value);
		ns[step] = figures[step][rounds / 2];
	}
}

/* Instructions callgrind counts for `count` pairs of a step; 0: it could not. */
static double collected(const char *self, int step, long count)
{
	char command[4200], line[512];
	double found = 0;
	FILE *out;

	snprintf(command, sizeof(command),
		 "valgrind --tool=callgrind --callgrind-out-file=/dev/null '%s' -s %d -n %ld -d %d "
		 "2>&1",
		 self, step, count, depth);
	out = popen(command, "r");
	if (!out)
		return 0;
	while (fgets(line, sizeof(line), out)) {
		const char *said = strstr(line, "Collected : ");

		if (said)
			found = atof(said + strlen("Collected : "));
	}
	pclose(out);
	return found;
}

#define COUNTED_PAIRS 100000

static void print(const char *self, const double *ns, bool instructions)
{
	double before = 0;

	printf("%-28s %8s %8s%s\n", "ns a malloc/free pair", "in all", "added",
	       instructions ? "   instructions     added" : "");
	for (int step = 0; step < STEPS; step++) {
		printf("%-28s %8.1f %8.1f", names[step], ns[step],
		       step ? ns[step] - ns[step - 1] : 0);
		if (instructions) {
			double count = (collected(self, step, 2 * COUNTED_PAIRS) -
					collected(self, step, COUNTED_PAIRS)) /
				       COUNTED_PAIRS;

			printf(" %14.1f %9.1f", count, step ? count - before : 0);
			before = count;
		}
		putchar('\n');
		fflush(stdout);
	}
}

static void start(bool threaded)
{
	struct thread *thread;

	backend = unwind_find("auto");
	max_depth = 256;
	hooks[WRITE].free(hooks[WRITE].malloc(1));
	thread = thread_tls.thread;
	if (!thread || !threaded)
		return;
	thread->sole = thread->sole_ring = false;
	thread_tls.generation++;
	*(volatile uint64_t *)(uintptr_t)thread_generation = thread_tls.generation;
	thread->sole_rings_left = UINT32_MAX;
}

int main(int argc, char **argv)
{
	double ns[STEPS];
	bool instructions = false, threaded = false;
	int rounds = 11, step = -1, option;

	while ((option = getopt(argc, argv, "d:n:r:s:it")) != -1) {
		switch (option) {
		case 'd':
			depth = atoi(optarg);
			break;
		case 'n':
			pairs = atol(optarg);
			break;
		case 'r':
			rounds = atoi(optarg);
			break;
		case 's':
			step = atoi(optarg);
			break;
		case 'i':
			instructions = true;
			break;
		case 't':
			threaded = true;
			break;
		default:
			return 2;
		}
	}
	if (pairs < 1 || depth < 0 || rounds < 1 || rounds > ROUNDS_MAX || step >= STEPS)
		return 2;
	setenv("MEMPROF_OUT", "/dev/shm/event_path.bin", 0);
	setenv("MEMPROF_QUIET", "1", 0);
	start(threaded);
	if (step >= 0) {
		run((enum step)step);
		return 0;
	}
	time_steps(rounds, ns);
	print(argv[0], ns, instructions);
	return 0;
}
