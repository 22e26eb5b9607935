/*
 * Reads with pread, so that a file that changes or shrinks below us gives a short read and no
 * signal. The scan looks for a segment's magic at 64-byte steps wherever it does not find a head,
 * and takes one only when its hash is right: event data cannot pass for a head by accident.
 */
#include "trace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define SCAN_BYTES	  (64 * 1024)
#define SEGMENT_BYTES_MAX (UINT64_C(1) << 48)

static int fail(char *error, size_t error_bytes, int code, const char *text)
{
	snprintf(error, error_bytes, "%s", text);
	return -code;
}

int trace_file_open(struct trace_file *file, const char *path, char *error, size_t error_bytes)
{
	struct stat st;
	int code;

	/* O_NONBLOCK: a FIFO must be refused, not waited for. */
	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file->fd < 0) {
		code = errno;
		snprintf(error, error_bytes, "cannot be opened: %s", strerror(code));
		return -code;
	}
	if (fstat(file->fd, &st) != 0) {
		code = errno;
		snprintf(error, error_bytes, "cannot be read: %s", strerror(code));
	} else if (S_ISDIR(st.st_mode)) {
		code = EISDIR;
		fail(error, error_bytes, code, "is a directory: name a trace file");
	} else if (!S_ISREG(st.st_mode)) {
		code = EINVAL;
		fail(error, error_bytes, code, "is not a regular file: name a trace file");
	} else {
		file->size = (uint64_t)st.st_size;
		return 0;
	}
	trace_file_close(file);
	return -code;
}

void trace_file_close(struct trace_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

void trace_file_refresh(struct trace_file *file)
{
	struct stat st;

	if (fstat(file->fd, &st) == 0)
		file->size = (uint64_t)st.st_size;
}

size_t trace_file_read(const struct trace_file *file, uint64_t offset, void *into, size_t bytes)
{
	size_t done = 0;

	while (done < bytes && offset + done < INT64_MAX) {
		ssize_t n =
		    pread(file->fd, (char *)into + done, bytes - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

void trace_scan_init(struct trace_scan *scan, const struct trace_file *file)
{
	scan->file = file;
	scan->offset = TRACE_HEADER_BYTES;
}

static bool head_sound(const struct trace_segment *segment)
{
	return segment->magic == TRACE_SEGMENT_MAGIC &&
	       segment->head_hash ==
		   XXH3_64bits(segment, offsetof(struct trace_segment, head_hash)) &&
	       segment->bytes >= sizeof(*segment) && segment->bytes <= SEGMENT_BYTES_MAX &&
	       segment->payload_bytes <= segment->bytes - sizeof(*segment);
}

static bool all_zeros(const uint8_t *bytes, size_t count)
{
	return count == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0);
}

/* Where the file has something after `offset`: at most its size; `offset` where nobody can tell. */
static uint64_t skip_hole(const struct trace_file *file, uint64_t offset)
{
	off_t there = lseek(file->fd, (off_t)offset, SEEK_DATA);

	if (there < 0)
		return errno == ENXIO && offset < file->size ? file->size : offset;
	return (uint64_t)there & ~(uint64_t)(TRACE_SEGMENT_ALIGN - 1);
}

/* Looks through a gap from scan->offset on; leaves scan->offset at the head or at the end. */
static bool search_head(struct trace_scan *scan, struct trace_head *head)
{
	uint8_t buffer[SCAN_BYTES] __attribute__((aligned(64)));
	uint64_t offset = scan->offset;
	size_t got;

	while ((got = trace_file_read(scan->file, offset, buffer, sizeof(buffer))) > 0) {
		for (size_t i = 0; i < got; i += TRACE_SEGMENT_ALIGN) {
			size_t piece =
			    got - i < TRACE_SEGMENT_ALIGN ? got - i : TRACE_SEGMENT_ALIGN;

			if (piece == sizeof(head->segment)) {
				memcpy(&head->segment, buffer + i, sizeof(head->segment));
				if (head_sound(&head->segment)) {
					scan->offset = offset + i;
					return true;
				}
			}
			if (head->gap.zeros)
				head->gap.zeros = all_zeros(buffer + i, piece);
			head->gap.bytes += piece;
		}
		offset += got;
		if (got == sizeof(buffer) && all_zeros(buffer, got)) {
			uint64_t next = skip_hole(scan->file, offset);

			head->gap.bytes += next - offset;
			offset = next;
		}
	}
	scan->offset = offset;
	return false;
}

bool trace_scan_next(struct trace_scan *scan, struct trace_head *head)
{
	uint64_t end;

	head->gap = (struct trace_gap){.offset = scan->offset, .zeros = true};
	head->cut = false;
	if (trace_file_read(scan->file, scan->offset, &head->segment, sizeof(head->segment)) !=
		sizeof(head->segment) ||
	    !head_sound(&head->segment)) {
		if (!search_head(scan, head))
			return false;
	}
	head->offset = scan->offset;
	end = head->offset + sizeof(head->segment) + head->segment.payload_bytes;
	if (trace_segment_mapped(head->segment.type))
		end = head->offset + head->segment.bytes;
	head->cut = end > scan->file->size;
	scan->offset +=
	    (head->segment.bytes + TRACE_SEGMENT_ALIGN - 1) & ~(uint64_t)(TRACE_SEGMENT_ALIGN - 1);
	return true;
}
