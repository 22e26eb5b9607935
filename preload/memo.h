/*
 * What a thread remembers of the stacks it has walked, kept so that walking one again is little
 * more than reading its return addresses again.
 *
 * A walk is a pure function of its first frame and of the words it read. So frames are kept as
 * *checks* {where, value}: "the word at `where` was `value`", in the order in which they were read,
 * contiguous for the frames that one event walked (a *run*). A run ends where the walk ended or
 * met frames already kept: then it has a link to those. The checks from a frame to the end of its
 * run, and on along the links, are its *chain*. Whoever stands in the chain's first frame {pc, sp,
 * and fp where the chain depends on it} and finds every check still true has the same stack, and
 * its id is the one kept with that frame. A check that is not true any more ends what is known: the
 * walk goes on from the last frame before it.
 *
 * Runs lie in a ring of records, found through a hash of (pc, sp), and are overwritten in time.
 * Positions count records ever made, so a position alone tells whether its record still exists.
 *
 * Frames that lead into the outer part of another stack get their ids from *joins*: {first frame,
 * last frame of a chain's piece, id of what is beyond} -> id.
 *
 * Stacks that are one run are found without all this, in sets of a few that may begin with the same
 * {pc, sp}: one frame often has several stacks that come in turn.
 *
 * All of it belongs to one thread and is never read by another. A reader that was interrupted for
 * good (longjmp out of a signal handler) leaves it sound: records are found only when they are
 * complete.
 */
#ifndef MEMO_H
#define MEMO_H

#include <stdbool.h>
#include <stdint.h>

#define MEMO_RECORDS 2048 /* power of two */
#define MEMO_INDEX   2048
#define MEMO_JOINS   1024
#define MEMO_SETS    64
#define MEMO_WAYS    4
#define MEMO_LATEST  512

typedef uint32_t memo_position; /* of a record; 0: none */

struct memo_check {
	uintptr_t value;
	uintptr_t where;
};

enum memo_kind {
	MEMO_CHECK, /* a word that decides where later ones are */
	MEMO_FRAME, /* the check is of its return address */
	MEMO_LINK,  /* the return address into the frame that `link` tells; end of a run */
	MEMO_END,   /* the outermost frame; end of a run */
	MEMO_OPEN,  /* a frame beyond which nothing was kept; end of a run */
};

struct memo_meta {
	uintptr_t sp;	   /* of the frame */
	memo_position end; /* last record of the run */
	union {
		uint32_t node;	    /* stack id of the chain from here; 0: not known */
		memo_position link; /* LINK: the frame it leads to */
	};
	uint32_t
	    fp_below;	/* sp less the address that fp was last restored from; 0: not in this run */
	uint32_t reach; /* sp of the run's last record less this one's; UINT32_MAX: or more */
	uint16_t frames;   /* from here to the end of the run, both included */
	uint16_t fp_check; /* the chain depends on fp, whose value is so many checks before; or 0 */
	uint8_t kind;	   /* enum memo_kind */
	uint8_t end_kind;  /* that of the run's last record */
};

_Static_assert(sizeof(struct memo_meta) == 32, "two share a cache line");

struct memo_join {
	memo_position first; /* 0: not in use */
	memo_position last;
	uint32_t outer; /* id of the frames beyond `last` */
	uint32_t node;	/* id of `first` and all beyond */
};

/* A whole stack that is one run: all that it takes to know it again, but its checks. */
struct memo_stack {
	_Alignas(64) uintptr_t pc; /* of its first frame; 0: not in use */
	uintptr_t sp;
	uintptr_t fp;			 /* of which the bits of */
	uintptr_t fp_mask;		 /* this decide: all or none */
	const struct memo_check *checks; /* the first record's; the next `count` decide */
	memo_position first;		 /* its first record */
	uint32_t node;
	uint32_t reach;
	uint16_t frames;
	uint16_t count;
};

_Static_assert(sizeof(struct memo_stack) == 64, "one to a cache line");

struct memo {
	memo_position head;  /* the next record's; everything before is complete */
	uint32_t generation; /* the caller's; 0: nothing was ever kept */
	struct memo_check checks[MEMO_RECORDS];
	struct memo_meta meta[MEMO_RECORDS];
	memo_position index[MEMO_INDEX];
	struct memo_join joins[MEMO_JOINS];
	struct memo_stack stacks[MEMO_SETS][MEMO_WAYS];
	uint8_t latest[MEMO_LATEST]; /* the way of its set that was found last, by finer hash */
};

static inline struct memo_check *memo_check_at(struct memo *memo, memo_position position)
{
	return &memo->checks[position % MEMO_RECORDS];
}

static inline struct memo_meta *memo_meta_at(struct memo *memo, memo_position position)
{
	return &memo->meta[position % MEMO_RECORDS];
}

/* Whether the record at `position` has not been overwritten. Then nor has the rest of its run. */
static inline bool memo_alive(const struct memo *memo, memo_position position)
{
	/* Positions begin beyond 2 * MEMO_RECORDS, so that 0 is never alive. */
	return memo->head - position - 1 < MEMO_RECORDS;
}

static inline memo_position *memo_index_at(struct memo *memo, uintptr_t pc, uintptr_t sp)
{
	uint64_t hash = (pc ^ sp << 20) * 0x9e3779b97f4a7c15;
	return &memo->index[hash >> (64 - __builtin_ctz(MEMO_INDEX))];
}

/* Whether the chain from `position` asks nothing of fp, or asks what `fp` is. */
static inline bool memo_fp_fits(struct memo *memo, memo_position position, uintptr_t fp)
{
	memo_position check = position - memo_meta_at(memo, position)->fp_check;

	return check == position ||
	       (memo_alive(memo, check) && memo_check_at(memo, check)->value == fp);
}

/* The position of the frame {pc, sp, fp}; 0: it is not known. */
static inline memo_position memo_find(struct memo *memo, uintptr_t pc, uintptr_t sp, uintptr_t fp)
{
	memo_position position = *memo_index_at(memo, pc, sp);

	if (!memo_alive(memo, position) || memo_check_at(memo, position)->value != pc ||
	    memo_meta_at(memo, position)->sp != sp || !memo_fp_fits(memo, position, fp))
		return 0;
	return position;
}

/* Where `latest` tells the way for {pc, sp}; modulo MEMO_SETS it is the set. */
static inline unsigned memo_latest_of(uintptr_t pc, uintptr_t sp)
{
	uint64_t hash = (pc ^ sp << 20) * 0x9e3779b97f4a7c15;
	return (unsigned)(hash >> (64 - __builtin_ctz(MEMO_LATEST)));
}

/* Keeps the stack that begins with the record at `first` and is one run with a known id. */
void memo_keep_stack(struct memo *memo, memo_position first);

/* Forgets everything. */
void memo_reset(struct memo *memo, uint32_t generation);

/*
 * Room for a run of `count` contiguous records: the position of the first; the records are the
 * caller's to fill in, and nobody finds them before memo_publish(). 0: too many.
 */
memo_position memo_reserve(struct memo *memo, unsigned count);

/* Puts the frames among the `count` records from `first` on into the index. */
void memo_publish(struct memo *memo, memo_position first, unsigned count);

/* The id kept for a join, 0: none. */
uint32_t memo_join_find(struct memo *memo, memo_position first, memo_position last, uint32_t outer);
void memo_join_keep(struct memo *memo, memo_position first, memo_position last, uint32_t outer,
		    uint32_t node);

#endif
