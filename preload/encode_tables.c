#include "encode_tables.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "pages.h"

#define GROUP_ADDRESSES	  (1U << NUMBER_BITS)
#define GROUP_SEGMENTS	  64
#define GROUP_NONE	  UINT64_MAX /* as `to`: begin another */
#define RINGS_WITH_TABLES 1024	     /* the others' segments are each a group */

_Static_assert(EVENTS_MAX <= TRACE_EVENTS_MAX, "readers take what we write");
_Static_assert(GROUP_ADDRESSES <= TRACE_GROUP_ADDRESSES, "readers take as many");

/* The first is always there: under a tight RLIMIT_AS nothing can be mapped any more. */
static struct encode_tables first_tables = {.to = GROUP_NONE};
static _Atomic(struct encode_tables *) ring_tables[RINGS_WITH_TABLES] = {&first_tables};

void encode_tables_forget(uint32_t ring)
{
	struct encode_tables *of_ring =
	    ring < RINGS_WITH_TABLES
		? atomic_load_explicit(&ring_tables[ring], memory_order_relaxed)
		: NULL;

	if (of_ring)
		of_ring->to = GROUP_NONE;
}

void encode_tables_forked(void)
{
	for (unsigned i = 0; i < RINGS_WITH_TABLES; i++)
		encode_tables_forget(i);
}

struct encode_tables *encode_tables_of(uint32_t ring, struct encode_tables *spare)
{
	struct encode_tables *of_ring = NULL;

	if (ring < RINGS_WITH_TABLES) {
		of_ring = atomic_load_explicit(&ring_tables[ring], memory_order_relaxed);
		if (!of_ring) {
			of_ring = pages_map(sizeof(*of_ring));
			if (of_ring)
				of_ring->to = GROUP_NONE;
			atomic_store_explicit(&ring_tables[ring], of_ring, memory_order_relaxed);
		}
	}
	if (!of_ring) {
		of_ring = spare;
		of_ring->to = GROUP_NONE;
	}
	return of_ring;
}

bool encode_tables_go_on(const struct encode_tables *tables, uint64_t from)
{
	return from == tables->to && tables->addresses + 2 * EVENTS_MAX <= GROUP_ADDRESSES;
}

bool encode_tables_begin(struct encode_tables *tables, uint64_t from)
{
	if (encode_tables_go_on(tables, from) && tables->segments < GROUP_SEGMENTS) {
		tables->segments++;
		return true;
	}
	memset(tables, 0, offsetof(struct encode_tables, slots));
	memset(tables->slots, 0xff, sizeof(tables->slots));
	tables->segments = 1;
	return false;
}

void encode_tables_end(struct encode_tables *tables, uint64_t to)
{
	tables->to = to;
}
