#include "record.h"

#include "clock.h"
#include "event_kind.h"
#include "flush.h"
#include "resident.h"
#include "sole.h"

static struct record_settings settings;

void record_init(const struct record_settings *chosen)
{
	settings = *chosen;
}

bool record_maps(void)
{
	return settings.maps;
}

uint64_t record_before(struct thread *thread)
{
	return sole_stamp(thread);
}

static inline uint32_t stack_of(struct thread *thread, const struct unwind_origin *origin)
{
	return settings.backend->stack(thread->unwind_state, origin, settings.max_depth,
				       &thread->unwind_counts);
}

/* A sample of the resident size. */
#define SAMPLE_WORDS 2

/* Room in the ring, emptying it when it is full. */
static inline uint64_t *reserve(struct thread *thread, size_t words)
{
	uint64_t *at = ring_reserve(&thread->ring, words);

	if (__builtin_expect(at != NULL, 1))
		return at;
	flush_ring(thread);
	return ring_reserve(&thread->ring, words);
}

static inline void commit(struct thread *thread, size_t words, uint64_t tick)
{
	ring_commit(&thread->ring, words);
	thread->ring_events++;
	if (__builtin_expect(resident_due(tick), 0))
		record_resident(thread);
}

static void put_resident(struct thread *thread, uint64_t bytes)
{
	uint64_t *at = reserve(thread, SAMPLE_WORDS);

	at[0] = clock_ticks() << 8 | TRACE_EVENT_RSS;
	at[1] = bytes;
	ring_commit(&thread->ring, SAMPLE_WORDS);
	thread->ring_events++;
}

void record_resident(struct thread *thread)
{
	uint64_t bytes = resident_take(clock_ticks());

	if (bytes)
		put_resident(thread, bytes);
}

/*
 * The last step of every event that has a stack: ACQUIRE, MAP and FAILED look alike. There is room
 * for a sample behind it: were the ring emptied for that one, record_relabel() would find nothing.
 */
static inline void put_four(struct thread *thread, unsigned kind, uint64_t second, size_t bytes,
			    unsigned aux, const struct unwind_origin *origin)
{
	uint64_t tick = sole_stamp(thread);
	uint32_t stack = stack_of(thread, origin);
	uint64_t *at = reserve(thread, 4 + SAMPLE_WORDS);

	at[0] = tick << 8 | kind;
	at[1] = second;
	at[2] = bytes;
	at[3] = stack | (uint64_t)aux << 32;
	commit(thread, 4, tick);
}

void record_acquire(struct thread *thread, unsigned kind, const void *address, size_t bytes,
		    unsigned alignment_log2, const struct unwind_origin *origin)
{
	put_four(thread, kind, (uintptr_t)address, bytes, alignment_log2, origin);
	thread->acquired++;
}

static bool is_acquisition(const uint64_t *at, const void *address)
{
	return (at[0] & 0xff) <= TRACE_EVENT_NEW_ARRAY && event_words(at[0]) == 4 &&
	       at[1] == (uintptr_t)address;
}

/*
 * The acquisition of `address` wherever it is in the ring, unless another event has to do with that
 * address since: what a handler or a sample put behind it is stepped over. NULL: there is none.
 */
__attribute__((noinline, cold)) static uint64_t *find_acquisition(const struct ring *ring,
								  const void *address)
{
	uint64_t *at = ring->data, *found = NULL;

	while (at < ring->next && event_words(at[0])) {
		if (is_acquisition(at, address))
			found = at;
		else if (at[1] == (uintptr_t)address ||
			 (event_words(at[0]) > 4 && at[4] == (uintptr_t)address))
			found = NULL;
		at += event_words(at[0]);
	}
	return found;
}

bool record_relabel(struct thread *thread, unsigned kind, const void *address, size_t bytes,
		    unsigned alignment_log2)
{
	const struct ring *ring = &thread->ring;
	uint64_t *at = ring->next - 4;

	if (__builtin_expect(at < ring->data || !is_acquisition(at, address), 0))
		at = find_acquisition(ring, address);
	if (!at)
		return false;
	at[2] = bytes;
	at[3] = (uint32_t)at[3] | (uint64_t)alignment_log2 << 32;
	at[0] = (at[0] & ~0xffULL) | kind;
	return true;
}

void record_failed(struct thread *thread, unsigned kind, size_t bytes,
		   const struct unwind_origin *origin)
{
	put_four(thread, TRACE_EVENT_FAILED, kind, bytes, 0, origin);
	thread->failed++;
}

void record_map(struct thread *thread, unsigned kind, const void *address, size_t bytes,
		const struct unwind_origin *origin)
{
	put_four(thread, kind, (uintptr_t)address, bytes, 0, origin);
}

void record_release_at(struct thread *thread, unsigned kind, const void *address, uint64_t tick)
{
	uint64_t *at = reserve(thread, 2);

	at[0] = tick << 8 | kind;
	at[1] = (uintptr_t)address;
	commit(thread, 2, tick);
	thread->released++;
}

void record_release(struct thread *thread, unsigned kind, const void *address)
{
	record_release_at(thread, kind, address, sole_stamp(thread));
}

void record_realloc(struct thread *thread, unsigned kind, const void *old, const void *address,
		    size_t bytes, uint64_t before, const struct unwind_origin *origin)
{
	uint64_t tick = sole_stamp(thread);
	uint32_t stack = stack_of(thread, origin);
	uint64_t *at = reserve(thread, 6);

	at[0] = tick << 8 | kind;
	at[1] = (uintptr_t)address;
	at[2] = bytes;
	at[3] = stack;
	at[4] = (uintptr_t)old;
	at[5] = before;
	commit(thread, 6, tick);
	thread->acquired++;
	thread->released += old != NULL;
}

void record_unmap(struct thread *thread, unsigned kind, const void *address, size_t bytes,
		  uint64_t before)
{
	uint64_t *at = reserve(thread, 3);

	at[0] = before << 8 | kind;
	at[1] = (uintptr_t)address;
	at[2] = bytes;
	commit(thread, 3, before);
}

void record_remap(struct thread *thread, const void *old, size_t old_bytes, const void *address,
		  size_t bytes, uint64_t before, const struct unwind_origin *origin)
{
	uint64_t tick = sole_stamp(thread);
	uint32_t stack = stack_of(thread, origin);
	uint64_t *at = reserve(thread, 7);

	at[0] = tick << 8 | TRACE_EVENT_MREMAP;
	at[1] = (uintptr_t)address;
	at[2] = bytes;
	at[3] = stack;
	at[4] = (uintptr_t)old;
	at[5] = before;
	at[6] = old_bytes;
	commit(thread, 7, tick);
}

void record_recover(struct thread *thread)
{
	struct ring *ring = &thread->ring;
	uint64_t events = 0;
	size_t at = 0, words;

	ring_resume(ring);
	words = ring_used(ring);
	while (at < words && event_words(ring->data[at])) {
		at += event_words(ring->data[at]);
		events++;
	}
	thread->ring_events = events;
}
