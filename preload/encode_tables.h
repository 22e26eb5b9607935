/*
 * What segments of one ring take over from each other: the shapes and addresses that a group of
 * segments has had so far (docs/trace-format.md). A ring's are its owner's alone, or its heir's.
 */
#ifndef ENCODE_TABLES_H
#define ENCODE_TABLES_H

#include <stdbool.h>
#include <stdint.h>

#include "memprof/trace.h"
#include "ring.h"

/* The shortest event has two words; the one with most addresses to the word is as short. */
#define EVENTS_MAX   (RING_WORDS / 2)
#define SHAPE_BITS   9 /* pairs of shapes */
#define ADDRESS_BITS 13

/*
 * A group's numbers of addresses have 16 bits, so its segments are as many as surely do not have
 * more. Entries of `slots` are address | number; EMPTY is none that is put there.
 */
#define NUMBER_BITS   16
#define ADDRESS_EMPTY UINT64_MAX
#define ADDRESS_LIMIT (ADDRESS_EMPTY >> NUMBER_BITS)

/* The last event of a shape: what its next one is compared with. */
struct shape {
	uint64_t key; /* kind | aux | stack; 0: none */
	uint64_t size;
	uint32_t code; /* number in this group, plus 1 */
};

struct encode_tables {
	uint64_t to;	   /* the position the group's next events begin at */
	uint64_t expected; /* the next address of FRESH */
	uint64_t last_released;
	uint32_t segments; /* of the group */
	uint32_t shapes;   /* in use */
	uint32_t addresses;
	uint32_t last_stack;
	struct shape plain[TRACE_EVENT_KIND_MAX]; /* without a stack: by kind */
	struct shape pairs[1 << SHAPE_BITS][2];
	uint64_t slots[1 << ADDRESS_BITS];
};

/*
 * The tables of a ring; `spare`, emptied, for one that has none: there is no memory, or there are
 * too many rings. Signal-safe.
 */
struct encode_tables *encode_tables_of(uint32_t ring, struct encode_tables *spare);

/* Whether the events from position `from` of the ring on can be encoded with what is there. */
bool encode_tables_go_on(const struct encode_tables *tables, uint64_t from);

/*
 * A segment begins at `from`: whether it goes on with its ring's group. If not the tables are empty
 * again.
 */
bool encode_tables_begin(struct encode_tables *tables, uint64_t from);

/* The events before `to` went in. */
void encode_tables_end(struct encode_tables *tables, uint64_t to);

/*
 * What was encoded last for `ring` is not in the file: the ring's next segment must not go on from
 * it. By the ring's owner.
 */
void encode_tables_forget(uint32_t ring);

/* In a forked child: forgets all. */
void encode_tables_forked(void);

#endif
