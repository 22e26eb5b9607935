/*
 * The trace file as the recorder sees it: a header page mapped shared, segments appended with one
 * write each, and segments that stay mapped (rings, stack nodes). One file per process.
 *
 * Any thread may append or map at any time: space is reserved by moving `tail`, which lies in the
 * file itself, with one atomic operation; nobody waits for anybody. A process killed in between
 * leaves a hole that readers skip.
 *
 * The program may close our descriptor, or put a file of its own in its place: each use first asks
 * whether it still is our file, and opens it again by its path if not.
 */
#ifndef TRACE_FILE_H
#define TRACE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "memprof/trace.h"

/*
 * Creates the file `path`, mode 0600, never through a symbolic link and never over another file
 * (-EEXIST), with `fixed` as the constant part of its header (the checksum is filled in). Replaces
 * the file of a parent process before a fork as the current one. 0 or -errno.
 */
int trace_file_create(const char *path, const struct trace_header *fixed);

/* The mapped header of the current file; NULL when there is none. */
struct trace_header *trace_file_header(void);

/* Absolute path of the current file, for messages. */
const char *trace_file_path(void);

/*
 * Appends a segment whose payload is the `count` (at most 4) pieces one after the other. 0 or
 * -errno; then nothing readable was written, and the header says so. Any thread, signal-safe.
 */
int trace_file_append(enum trace_segment_type type, uint32_t index, const struct iovec *pieces,
		      unsigned count);

/*
 * Appends a segment of `bytes` in all (a multiple of the page size), mapped shared, with disk space
 * behind each page (writing to a hole of a full disk would raise SIGBUS in the program). Its head
 * is in place. NULL on failure. Any thread, signal-safe.
 */
void *trace_file_map(enum trace_segment_type type, uint32_t index, size_t bytes);

/*
 * In a forked child: puts private memory in place of the mapped segments and the header, which
 * belong to the parent, and forgets its file. Until the next trace_file_create() nothing can be
 * appended.
 */
void trace_file_forked(void);

/* Bytes of a page of this machine. */
size_t trace_file_page(void);

#endif
