/* What kinds of events there are, by the table of memprof/trace.h. */
#ifndef EVENT_KIND_H
#define EVENT_KIND_H

#include <stddef.h>
#include <stdint.h>

#include "memprof/trace.h"

static const uint8_t event_kind_class[TRACE_EVENT_KIND_MAX] = {
#define KIND_CLASS(symbol, number, name, class, family) [number] = TRACE_CLASS_##class,
    TRACE_EVENT_KINDS(KIND_CLASS)
#undef KIND_CLASS
};

/* UINT16_MAX, more than any ring has, for what is no kind. */
static const uint16_t event_class_words[] = {
    [TRACE_CLASS_NONE] = UINT16_MAX, [TRACE_CLASS_ACQUIRE] = 4, [TRACE_CLASS_RELEASE] = 2,
    [TRACE_CLASS_REALLOC] = 6,	     [TRACE_CLASS_MAP] = 4,	[TRACE_CLASS_UNMAP] = 3,
    [TRACE_CLASS_REMAP] = 7,	     [TRACE_CLASS_FAILED] = 4,	[TRACE_CLASS_SAMPLE] = 2,
};

/* Words an event takes whose first word is `first`; 0 for one that is no event. */
static inline size_t event_words(uint64_t first)
{
	unsigned class = event_kind_class[first & (TRACE_EVENT_KIND_MAX - 1)];

	return class == TRACE_CLASS_NONE ? 0 : event_class_words[class];
}

#endif
