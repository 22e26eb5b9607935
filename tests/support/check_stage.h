/* Streams of events, some staged and some not, and what a report must tell of them. */
#ifndef CHECK_STAGE_H
#define CHECK_STAGE_H

#include <stddef.h>
#include <stdint.h>

struct profile;
struct profile_totals;
struct trace_builder;

#define STAGE_BYTES 8192
#define STAGE_STEP  40 /* events between two flushes: a part of a stage holds them */

/* Each fails the test if it cannot; the caller frees with profile_free(). */
struct profile *stage_load_path(const char *path);
struct profile *stage_load_image(const uint8_t *bytes, size_t count);
/* The builder stays the caller's. */
struct profile *stage_load(struct trace_builder *builder);

/* Events [from, to) of a stream of all classes that repeats addresses, sizes and times. */
void stage_put(struct trace_builder *builder, uint32_t ring, uint64_t from, uint64_t to);

/* The first events of that stream, all of them in the ring. */
struct profile *stage_reference(uint64_t events);

void stage_same_totals(const struct profile_totals *totals, const struct profile_totals *wanted);

#endif
