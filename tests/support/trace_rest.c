#include "trace_rest.h"

#include "trace_columns.h"

#include <stdlib.h>
#include <string.h>

static void *check(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

void trace_words_add(struct trace_words *to, const uint64_t *words, size_t count, uint64_t events)
{
	to->words = check(realloc(to->words, (to->count + count) * sizeof(*words) + 1));
	if (count != 0)
		memcpy(to->words + to->count, words, count * sizeof(*words));
	to->count += count;
	to->events += (uint32_t)events;
}

static void append(struct trace_words *to, const struct trace_words *more)
{
	trace_words_add(to, more->words, more->count, more->events);
}

/* Sets the columns of `which` (bits) to what those of both have more than those of `before`. */
static void put_more(struct trace_rest *rest, unsigned which, const struct trace_words *before,
		     const struct trace_words *words, const struct trace_events *head)
{
	struct trace_events less = *head, more = *head;
	struct trace_words all = {0};
	const uint8_t *at;
	uint8_t *columns;

	append(&all, before);
	append(&all, words);
	less.events = before->events;
	more.events = all.events;
	free(trace_columns_encode(before->words, before->count, &less));
	at = columns = trace_columns_encode(all.words, all.count, &more);
	for (size_t i = 0; i < TRACE_COLUMNS; i++) {
		uint32_t bytes = more.column_bytes[i] - less.column_bytes[i];

		if (which >> i & 1) {
			rest->bytes[i] = bytes;
			rest->columns[i] = check(malloc(bytes + 1));
			memcpy(rest->columns[i], at + less.column_bytes[i], bytes);
		}
		at += more.column_bytes[i];
	}
	free(columns);
	free(all.words);
}

struct trace_rest trace_rest_encode(const struct trace_words *group,
				    const struct trace_words *segment,
				    const struct trace_words *words,
				    const struct trace_events *head)
{
	unsigned time = 1U << TRACE_COLUMN_TIME, others = ((1U << TRACE_COLUMNS) - 1) & ~time;
	struct trace_words before = {0};
	struct trace_rest rest;

	append(&before, group);
	append(&before, segment);
	put_more(&rest, others, &before, words, head);
	/* Times begin with the segment. */
	put_more(&rest, time, segment, words, head);
	free(before.words);
	return rest;
}

size_t trace_rest_bytes(const struct trace_rest *rest)
{
	size_t total = 0;

	for (size_t i = 0; i < TRACE_COLUMNS; i++)
		total += rest->bytes[i];
	return total;
}

uint8_t *trace_rest_put(uint8_t *to, struct trace_rest *rest, uint32_t *column_bytes)
{
	for (size_t i = 0; i < TRACE_COLUMNS; i++) {
		column_bytes[i] = rest->bytes[i];
		to = mempcpy(to, rest->columns[i], rest->bytes[i]);
		free(rest->columns[i]);
	}
	return to;
}
