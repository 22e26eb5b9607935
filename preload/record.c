#include "record.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>

#include "clock.h"
#include "codec.h"
#include "encode.h"
#include "resident.h"
#include "sole.h"
#include "stop.h"
#include "sys.h"
#include "trace_file.h"

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

/* Room in the ring, emptying it when it is full. */
static inline uint64_t *reserve(struct thread *thread, size_t words)
{
	uint64_t *at = ring_reserve(&thread->ring, words);

	if (__builtin_expect(at != NULL, 1))
		return at;
	record_flush(thread);
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
	uint64_t *at = reserve(thread, 2);

	at[0] = clock_ticks() << 8 | TRACE_EVENT_RSS;
	at[1] = bytes;
	ring_commit(&thread->ring, 2);
	thread->ring_events++;
}

void record_resident(struct thread *thread)
{
	uint64_t bytes = resident_take(clock_ticks());

	if (bytes)
		put_resident(thread, bytes);
}

/* The last step of every event that has a stack: ACQUIRE, MAP and FAILED look alike. */
static inline void put_four(struct thread *thread, unsigned kind, uint64_t second, size_t bytes,
			    unsigned aux, const struct unwind_origin *origin)
{
	uint64_t tick = sole_stamp(thread);
	uint32_t stack = stack_of(thread, origin);
	uint64_t *at = reserve(thread, 4);

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

static bool is_acquisition(const struct ring *ring, const uint64_t *at, const void *address)
{
	return at >= ring->data && (at[0] & 0xff) <= TRACE_EVENT_NEW_ARRAY &&
	       event_words(at[0]) == 4 && at[1] == (uintptr_t)address;
}

bool record_relabel(struct thread *thread, unsigned kind, const void *address, size_t bytes,
		    unsigned alignment_log2)
{
	const struct ring *ring = &thread->ring;
	uint64_t *at = ring->next - 4;

	/* A sample of the resident size may have followed. */
	if (!is_acquisition(ring, at, address))
		at -= 2;
	if (!is_acquisition(ring, at, address) ||
	    (at != ring->next - 4 && (at[4] & 0xff) != TRACE_EVENT_RSS))
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

/* An heir's flush of a dead thread's ring must not take the heir's name. */
static void refresh_name(struct thread *thread)
{
	char name[16] = "";

	if (thread != thread_tls.thread)
		return;
	SYS2(prctl, PR_GET_NAME, name);
	memcpy(thread->ring.control->name, name, sizeof(name));
}

/* Times need to tell the order of two threads' events: those of a sole recorder need not. */
static unsigned tick_shift(const struct thread *thread, const struct trace_clock *now)
{
	if (sole_had_ring(thread))
		return clock_coarse_shift(&trace_file_header()->start, now);
	return clock_fine_shift();
}

static void give_up(struct thread *thread)
{
	thread->lost += thread->ring_events;
	thread->ring.control->lost_events = thread->lost;
	__atomic_fetch_add(&trace_file_header()->lost_events, thread->ring_events,
			   __ATOMIC_RELAXED);
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

static void flush(struct thread *thread, bool need_room)
{
	struct ring *ring = &thread->ring;
	size_t words = ring_used(ring);
	struct trace_events head = {
	    .ring = ring->index,
	    .thread = thread->serial,
	    .tid = thread->tid,
	    .from = ring->head - words,
	    .to = ring->head,
	    .first_event = ring->control->flushed_events,
	    .lost_events = thread->lost,
	};
	struct codec *codec;
	struct iovec pieces[2] = {{&head, sizeof(head)}, {NULL, 0}};
	bool written;

	if (!words)
		return;
	refresh_name(thread);
	memcpy(head.name, ring->control->name, sizeof(head.name));
	head.clock = clock_pair();
	codec = codec_take();
	if (codec)
		pieces[1].iov_base =
		    (void *)encode_words(codec, ring->data, words, tick_shift(thread, &head.clock),
					 settings.compress, &head, &pieces[1].iov_len);
	STOP_POINT("flush.encoded");
	written = codec && trace_file_append(TRACE_SEGMENT_EVENTS, ring->index, pieces, 2) == 0;
	if (codec)
		codec_put(codec);
	if (!written)
		encode_tables_forget(ring->index);
	if (!written && !need_room && !ring->is_private)
		return;
	if (!written)
		give_up(thread);
	STOP_POINT("flush.written");
	ring_release(ring, thread->ring_events);
	STOP_POINT("flush.released");
	thread->ring_events = 0;
	sole_ring_emptied(thread);
}

/*
 * Signals wait: a handler that jumped away between the segment's writing and the release of its
 * space would leave the events in both, and one that allocates would lose events for the whole
 * time.
 */
static void flush_undisturbed(struct thread *thread, bool need_room)
{
	uint64_t all = UINT64_MAX, old = 0;

	SYS4(rt_sigprocmask, SIG_SETMASK, &all, &old, sizeof(all));
	flush(thread, need_room);
	SYS4(rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof(old));
}

void record_flush(struct thread *thread)
{
	flush_undisturbed(thread, true);
}

void record_flush_last(struct thread *thread)
{
	flush_undisturbed(thread, false);
}
