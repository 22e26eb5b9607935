#include "flush.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#include "clock.h"
#include "codec.h"
#include "encode.h"
#include "encode_tables.h"
#include "pack.h"
#include "sole.h"
#include "stop.h"
#include "sys.h"
#include "trace_file.h"

static bool compresses;

void flush_init(bool compress)
{
	compresses = compress;
}

/* What one flush works with. */
struct flush {
	struct thread *thread;
	struct codec *codec;
	struct encode_tables *tables;
};

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
static unsigned tick_shift(const struct thread *thread)
{
	unsigned fine = clock_fine_shift(), staged = thread->stage.segment.head.tick_shift;
	struct trace_clock now;

	if (!sole_had_ring(thread))
		return fine;
	if (!stage_is_empty(&thread->stage) && staged > fine)
		return staged;
	now = clock_pair();
	return clock_coarse_shift(&trace_file_header()->start, &now);
}

/* Writes what the stage has, and with `with_part` what the codec has, as one segment. */
static bool append(const struct flush *flush, bool with_part)
{
	struct thread *thread = flush->thread;
	struct trace_events *head = &thread->stage.segment.head;
	struct iovec pieces[2] = {{head, sizeof(*head)}, {NULL, 0}};

	refresh_name(thread);
	memcpy(head->name, thread->ring.control->name, sizeof(head->name));
	head->clock = clock_pair();
	head->lost_events = thread->lost;
	pieces[1].iov_base =
	    (void *)pack_columns(flush->codec, &thread->stage, with_part, compresses, &thread->pack,
				 head, &pieces[1].iov_len);
	STOP_POINT("flush.packed");
	if (trace_file_append(TRACE_SEGMENT_EVENTS, thread->ring.index, pieces, 2) < 0)
		return false;
	STOP_POINT("flush.written");
	stage_clear(&thread->stage);
	return true;
}

/* Begins the segment that the ring's words go into. */
static void begin(const struct flush *flush, unsigned shift)
{
	const struct thread *thread = flush->thread;
	const struct ring *ring = &thread->ring;
	struct encode_segment *segment = &flush->thread->stage.segment;

	segment->head = (struct trace_events){
	    .ring = ring->index,
	    .thread = thread->serial,
	    .tid = thread->tid,
	    .from = ring->head - ring_used(ring),
	    .first_event = ring->control->flushed_events,
	    .lost_events = thread->lost,
	    .clock = clock_pair(),
	};
	memcpy(segment->head.name, ring->control->name, sizeof(segment->head.name));
	encode_begin(segment, flush->tables, shift);
}

/* Sees to it that there is a segment in the making which the ring's words can go into. */
static bool make_fit(const struct flush *flush)
{
	struct thread *thread = flush->thread;
	struct ring *ring = &thread->ring;
	unsigned shift = tick_shift(thread);

	if (!stage_is_empty(&thread->stage)) {
		if (encode_fits(&thread->stage.segment, flush->tables, ring->head - ring_used(ring),
				shift))
			return true;
		if (!append(flush, false))
			return false;
		ring_release_stage(ring);
	}
	begin(flush, shift);
	return true;
}

/* Returns false when the words are still only where they were. */
static bool flush_words(const struct flush *flush, bool all)
{
	struct thread *thread = flush->thread;
	struct ring *ring = &thread->ring;
	struct stage *stage = &thread->stage;
	struct encode_segment before;

	if (!make_fit(flush))
		return false;
	before = stage->segment;
	encode_part(&stage->segment, flush->tables, flush->codec, ring->data, ring_used(ring));
	STOP_POINT("flush.encoded");
	if (!all && !ring->is_private && stage_add(stage, flush->codec)) {
		STOP_POINT("flush.staged");
		ring_release(ring, thread->ring_events);
	} else if (append(flush, true)) {
		ring_release_all(ring, thread->ring_events);
	} else {
		stage->segment = before;
		encode_tables_forget(ring->index);
		return false;
	}
	STOP_POINT("flush.released");
	thread->ring_events = 0;
	sole_ring_emptied(thread);
	return true;
}

static bool flush_stage(const struct flush *flush)
{
	if (!append(flush, false))
		return false;
	ring_release_stage(&flush->thread->ring);
	return true;
}

static void give_up(struct thread *thread)
{
	uint64_t events = thread->ring_events;

	if (!stage_is_empty(&thread->stage))
		events += thread->stage.segment.head.events;
	thread->lost += events;
	thread->ring.control->lost_events = thread->lost;
	__atomic_fetch_add(&trace_file_header()->lost_events, events, __ATOMIC_RELAXED);
	stage_clear(&thread->stage);
	ring_release_all(&thread->ring, thread->ring_events);
	thread->ring_events = 0;
	sole_ring_emptied(thread);
}

static void flush(struct thread *thread, bool all, bool need_room)
{
	struct flush flush = {.thread = thread};
	bool has_words = ring_used(&thread->ring) != 0, done = false;

	if (!has_words && (!all || stage_is_empty(&thread->stage)))
		return;
	flush.codec = codec_take();
	if (flush.codec) {
		flush.tables = encode_tables_of(thread->ring.index, &flush.codec->own);
		done = has_words ? flush_words(&flush, all) : flush_stage(&flush);
		codec_put(flush.codec);
	}
	if (!done && (need_room || thread->ring.is_private))
		give_up(thread);
}

/*
 * Signals wait: a handler that jumped away between the segment's writing and the release of its
 * space would leave the events in both, and one that allocates would lose events for the whole
 * time.
 */
static void flush_undisturbed(struct thread *thread, bool all, bool need_room)
{
	uint64_t every = UINT64_MAX, old = 0;

	SYS4(rt_sigprocmask, SIG_SETMASK, &every, &old, sizeof(every));
	flush(thread, all, need_room);
	SYS4(rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof(old));
}

void flush_ring(struct thread *thread)
{
	flush_undisturbed(thread, false, true);
}

void flush_all(struct thread *thread)
{
	flush_undisturbed(thread, true, true);
}

void flush_last(struct thread *thread)
{
	flush_undisturbed(thread, true, false);
}

void flush_forked(void)
{
	codec_forked();
	encode_tables_forked();
}
