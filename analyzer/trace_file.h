/*
 * The bytes of a trace file: reading them, and finding the heads of segments in them.
 *
 * Nothing is mapped: the file may be cut or changed by others while we read, and a mapping would
 * answer that with SIGBUS. Everything read is untrusted.
 */
#ifndef TRACE_FILE_H
#define TRACE_FILE_H

#include <memprof/trace.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace_file {
	int fd;
	uint64_t size;
};

/*
 * Opens the regular file at `path`. Returns 0, or -errno with one line for people in `error`.
 * trace_file_close() releases it.
 */
int trace_file_open(struct trace_file *file, const char *path, char *error, size_t error_bytes);
void trace_file_close(struct trace_file *file);

/* Looks at the size again: a live process makes its file longer. */
void trace_file_refresh(struct trace_file *file);

/* Reads up to `bytes` at `offset`; returns how many there were, less at the end or on an error. */
size_t trace_file_read(const struct trace_file *file, uint64_t offset, void *into, size_t bytes);

/* What lies between two segments, or after the last. */
struct trace_gap {
	uint64_t offset;
	uint64_t bytes;
	bool zeros; /* nothing but zeros */
};

/* A sound head: its hash is right, its lengths agree with each other. */
struct trace_head {
	uint64_t offset;
	struct trace_segment segment;
	bool cut;	      /* the file ends within what it announces */
	struct trace_gap gap; /* what was passed over before it */
};

/* A walk over all sound heads. */
struct trace_scan {
	const struct trace_file *file;
	uint64_t offset;
};

void trace_scan_init(struct trace_scan *scan, const struct trace_file *file);

/*
 * The next sound head, looked for at every TRACE_SEGMENT_ALIGN after the end of the one before.
 * Returns false at the end of the file; only `head->gap` is filled in then.
 */
bool trace_scan_next(struct trace_scan *scan, struct trace_head *head);

static inline bool trace_segment_mapped(uint32_t type)
{
	return type == TRACE_SEGMENT_RING || type == TRACE_SEGMENT_NODES ||
	       type == TRACE_SEGMENT_WIDE || type == TRACE_SEGMENT_WINDOW;
}

#endif
