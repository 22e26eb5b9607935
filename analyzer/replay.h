/*
 * All events of a trace in order of time, as changes of the heap.
 *
 * Each ring is a stream in order of time already; a heap of streams merges them. The table of live
 * blocks tells a release what it releases. Consumers (the aggregates) get changes in batches, for
 * tight loops; a batch never reaches over a boundary in time that the consumer asked for.
 *
 * Memory grows with live blocks, stacks, rings and threads, not with events.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct callstack_table;
struct trace_reader;

#define REPLAY_BATCH 1000 /* changes, at most */

/*
 * What happened to a block: these together. They are so far apart that those of a whole batch can
 * be added up: replay_flag_count() tells then how many had one.
 */
enum replay_change_flag {
	REPLAY_FREE = 1,	     /* it is gone; else it came */
	REPLAY_MISMATCHED = 1 << 10, /* FREE: by a function of another family */
	REPLAY_REALLOC = 1 << 20,    /* it came by one */
	/* FREE: by its allocator, which allocated nothing in between. The highest. */
	REPLAY_TEMPORARY = 1 << 30,
};

_Static_assert(REPLAY_BATCH < 1 << 10, "a sum of one flag ends below the next");

static inline uint64_t replay_flag_count(uint64_t sum, enum replay_change_flag flag)
{
	return sum / flag % REPLAY_MISMATCHED;
}

struct replay_change {
	uint64_t tick;	 /* shifted by reader->tick_shift */
	uint32_t origin; /* its number */
	uint32_t flags;	 /* enum replay_change_flag */
};

/*
 * From here on a number stands for blocks of that site and size. If it stood for others before,
 * none of them is live. Comes with the number's first block, a batch has a number but once, and all
 * changes of the batch with that number are of it.
 */
struct replay_origin {
	uint64_t tick; /* of that block */
	uint64_t bytes;
	uint32_t number; /* from 1 on; below twice the most that were in use at a time */
	uint32_t site;
};

enum replay_op {
	REPLAY_FAILED, /* bytes: what was asked for */
	REPLAY_MAP,
	REPLAY_UNMAP,
	REPLAY_SAMPLE, /* bytes: the value */
};

/* What is not of the heap. */
struct replay_other {
	uint64_t tick;
	uint64_t bytes;
	uint64_t address; /* MAP, UNMAP only */
	uint32_t site;	  /* FAILED, MAP */
	uint8_t op;	  /* enum replay_op */
	uint8_t kind;	  /* enum trace_event_kind */
};

/* Each in order of time; all between two boundaries. A view that dies when the call returns. */
struct replay_batch {
	const struct replay_origin *origins;
	size_t origin_count;
	const struct replay_change *changes;
	size_t count;
	const struct replay_other *others;
	size_t other_count;
};

/* No boundary any more. */
#define REPLAY_NEVER UINT64_MAX

struct replay_consumer {
	void *context;
	/* Changes in order of time. Returns 0 or -errno, which ends the replay. */
	int (*changes)(void *context, const struct replay_batch *batch);
	/* Every change before tick `at` has been handed over. Returns the next boundary. */
	uint64_t (*boundary)(void *context, uint64_t at);
	uint64_t first_boundary; /* shifted tick, REPLAY_NEVER: none */
};

/* What only the replay sees. */
struct replay_figures {
	uint64_t events;	/* records, a realloc being one */
	uint64_t foreign_frees; /* of addresses that nobody allocated */
	uint64_t replaced;	/* blocks at whose address another was allocated: a free was lost */
	uint64_t unreadable_segments;
	uint64_t unreadable_events; /* known to be in them */
	bool unreadable_ring;	    /* a ring's words end in something that is no event */
	uint64_t absurd;	    /* acquisitions of more than an address space holds: left out */
};

/* Runs the whole trace. `callstacks` gets the sites numbered. Returns 0 or -errno. */
int replay_run(const struct trace_reader *reader, struct callstack_table *callstacks,
	       const struct replay_consumer *consumer, struct replay_figures *figures);

#endif
