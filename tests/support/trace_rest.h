/*
 * The columns of events that follow others: of a part of a stage, or of a segment that goes on with
 * a group. They are what the columns of all have more than those of the events before.
 */
#ifndef TRACE_REST_H
#define TRACE_REST_H

#include <memprof/trace.h>

#include <stddef.h>
#include <stdint.h>

/* The words of some events. */
struct trace_words {
	uint64_t *words; /* heap, where trace_words_add() is used */
	size_t count;
	uint32_t events;
};

/* Adds a copy. Aborts on lack of memory. */
void trace_words_add(struct trace_words *to, const uint64_t *words, size_t count, uint64_t events);

struct trace_rest {
	uint8_t *columns[TRACE_COLUMNS]; /* heap; trace_rest_put() frees them */
	uint32_t bytes[TRACE_COLUMNS];
};

/*
 * Encodes `words`, which follow `segment` in one segment with that head; the segments of its group
 * before had `group`. Aborts on lack of memory.
 */
struct trace_rest trace_rest_encode(const struct trace_words *group,
				    const struct trace_words *segment,
				    const struct trace_words *words,
				    const struct trace_events *head);

/* Length of all columns. */
size_t trace_rest_bytes(const struct trace_rest *rest);

/* Puts the columns one after the other to `to` and frees them; returns their end. */
uint8_t *trace_rest_put(uint8_t *to, struct trace_rest *rest, uint32_t *column_bytes);

#endif
