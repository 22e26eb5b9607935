#include "trace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "descriptor.h"
#include "stop.h"
#include "sys.h"

/* Our own mappings of the file, so that a forked child can cut itself off. */
#define MAPPINGS_MAX 65536

struct mapping {
	void *memory;
	size_t bytes;
};

static struct trace_header *header;
static size_t page_bytes;
static struct descriptor descriptor = DESCRIPTOR_NONE;
static char path_absolute[PATH_MAX];
static struct mapping mappings[MAPPINGS_MAX];
static atomic_uint mapping_count; /* relaxed: read only by the child of a fork */

struct trace_header *trace_file_header(void)
{
	return header;
}

const char *trace_file_path(void)
{
	return path_absolute;
}

size_t trace_file_page(void)
{
	if (!page_bytes)
		page_bytes = getauxval(AT_PAGESZ) ? getauxval(AT_PAGESZ) : 4096;
	return page_bytes;
}

static size_t round_up(size_t n, size_t unit)
{
	return (n + unit - 1) / unit * unit;
}

/* The descriptor, opened anew when the program took it from us. -errno when that fails. */
static int usable_descriptor(void)
{
	int fd = descriptor_get(&descriptor);
	int result;

	if (fd >= 0)
		return fd;
	fd = descriptor_open(path_absolute, O_RDWR | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd;
	result = descriptor_readopt(&descriptor, fd);
	return result < 0 ? result : descriptor_get(&descriptor);
}

/* Growing a file over RLIMIT_FSIZE raises SIGXFSZ in the program: ask first. */
static bool size_allowed(uint64_t end)
{
	struct rlimit limit;

	if (SYS4(prlimit64, 0, RLIMIT_FSIZE, NULL, &limit) < 0)
		return true;
	return end <= limit.rlim_cur;
}

/* Moves `offset` on by what was written, all of it or not. */
static int write_fully(int fd, struct iovec *pieces, unsigned count, uint64_t *offset)
{
	while (count) {
		long written = SYS5(pwritev, fd, pieces, STOP_PIECES(count), *offset, 0);

		if (written == -EINTR)
			continue;
		if (written <= 0)
			return written ? (int)written : -EIO;
		STOP_POINT("append.part");
		*offset += (uint64_t)written;
		while (count && (size_t)written >= pieces->iov_len) {
			written -= (long)pieces->iov_len;
			pieces++;
			count--;
		}
		if (count) {
			pieces->iov_base = (char *)pieces->iov_base + written;
			pieces->iov_len -= (size_t)written;
		}
	}
	return 0;
}

static int write_zeros(int fd, uint64_t from, uint64_t to)
{
	static const char zeros[4096];
	int result = 0;

	while (from < to && result == 0) {
		size_t bytes = to - from < sizeof(zeros) ? to - from : sizeof(zeros);
		struct iovec piece = {(void *)zeros, bytes};

		result = write_fully(fd, &piece, 1, &from);
	}
	return result;
}

/* Disk space for [offset, offset + bytes), so that touching its mapping cannot fail. */
static int allocate(int fd, uint64_t offset, size_t bytes)
{
	long result;

	do
		result = SYS4(fallocate, fd, 0, offset, bytes);
	while (result == -EINTR);
	if (result != -EOPNOTSUPP && result != -ENOSYS)
		return (int)result;
	return write_zeros(fd, offset, offset + bytes);
}

static void *map_shared(int fd, uint64_t offset, size_t bytes, int *result)
{
	long memory = SYS6(mmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
	unsigned index;

	*result = memory < 0 && memory > -4096 ? (int)memory : 0;
	if (*result < 0)
		return NULL;
	index = atomic_fetch_add_explicit(&mapping_count, 1, memory_order_relaxed);
	if (index < MAPPINGS_MAX)
		mappings[index] = (struct mapping){(void *)memory, bytes};
	return (void *)memory;
}

void trace_file_forked(void)
{
	unsigned count = atomic_load_explicit(&mapping_count, memory_order_relaxed);

	for (unsigned i = 0; i < count && i < MAPPINGS_MAX; i++)
		SYS6(mmap, mappings[i].memory, mappings[i].bytes, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
	atomic_store_explicit(&mapping_count, 0, memory_order_relaxed);
	descriptor_forked();
	descriptor_close(&descriptor);
	/* A hook that the fork interrupted finds a header, now private, and no file to open again.
	 */
	path_absolute[0] = 0;
}

static void set_path(const char *path)
{
	size_t length = 0;

	if (path[0] != '/') {
		long got = SYS2(getcwd, path_absolute, sizeof(path_absolute) - 1);

		/* The count includes the NUL; a directory that is gone begins with "(". */
		if (got > 1 && path_absolute[0] == '/') {
			length = (size_t)got - 1;
			if (path_absolute[length - 1] != '/')
				path_absolute[length++] = '/';
		}
	}
	strncpy(path_absolute + length, path, sizeof(path_absolute) - 1 - length);
}

static int fill_new_file(int fd, const struct trace_header *fixed)
{
	struct trace_header *mapped;
	int result;

	if (!size_allowed(trace_file_page()))
		return -EFBIG;
	result = allocate(fd, 0, trace_file_page());
	if (result < 0)
		return result;
	mapped = map_shared(fd, 0, trace_file_page(), &result);
	if (!mapped)
		return result;
	memcpy(mapped, fixed, offsetof(struct trace_header, tail));
	mapped->header_bytes = (uint32_t)trace_file_page();
	mapped->page_size = (uint32_t)trace_file_page();
	mapped->checksum = XXH3_64bits(mapped, offsetof(struct trace_header, checksum));
	mapped->tail = trace_file_page();
	header = mapped;
	return 0;
}

int trace_file_create(const char *path, const struct trace_header *fixed)
{
	int fd = descriptor_open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	int result;

	if (fd < 0)
		return fd;
	set_path(path);
	result = fill_new_file(fd, fixed);
	if (result == 0)
		result = descriptor_adopt(&descriptor, fd);
	if (result < 0) {
		SYS3(unlinkat, AT_FDCWD, path, 0);
		SYS1(close, fd);
	}
	return result;
}

/* A piece of the file, and where the end was before it was reserved. */
struct place {
	uint64_t before, start, end;
};

/* Reserves `bytes` at a multiple of `alignment` at the end of the file. */
static struct place reserve(size_t bytes, size_t alignment)
{
	uint64_t *tail = &header->tail;
	struct place place = {.before = __atomic_load_n(tail, __ATOMIC_RELAXED)};

	do {
		place.start = round_up(place.before, alignment);
		place.end = place.start + bytes;
	} while (!__atomic_compare_exchange_n(tail, &place.before, place.end, false,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return place;
}

/* Who finds less file than was reserved must know that a write may have been cut off by the end. */
static void begin_writing(void)
{
	__atomic_fetch_add(&header->writing, 1, __ATOMIC_RELAXED);
}

static void end_writing(void)
{
	__atomic_fetch_sub(&header->writing, 1, __ATOMIC_RELEASE);
}

/* Gives back what nothing was written to, unless more was reserved after it. */
static void unreserve(const struct place *place)
{
	uint64_t end = place->end;

	__atomic_compare_exchange_n(&header->tail, &end, place->before, false, __ATOMIC_RELAXED,
				    __ATOMIC_RELAXED);
}

static struct trace_segment segment_head(enum trace_segment_type type, uint32_t index, size_t bytes,
					 size_t payload_bytes, uint64_t payload_hash)
{
	struct trace_segment head = {
	    .magic = TRACE_SEGMENT_MAGIC,
	    .type = type,
	    .index = index,
	    .bytes = bytes,
	    .payload_bytes = payload_bytes,
	    .payload_hash = payload_hash,
	};

	head.head_hash = XXH3_64bits(&head, offsetof(struct trace_segment, head_hash));
	return head;
}

static int failed(int result)
{
	__atomic_fetch_or(&header->flags, TRACE_FLAG_WRITE_FAILED, __ATOMIC_RELAXED);
	return result;
}

/* Pieces are hashed as one; the streaming state is 576 bytes, so on the stack of a slow path. */
static uint64_t hash_pieces(const struct iovec *pieces, unsigned count)
{
	XXH3_state_t state;

	if (count == 1)
		return XXH3_64bits(pieces->iov_base, pieces->iov_len);
	XXH3_64bits_reset(&state);
	for (unsigned i = 0; i < count; i++)
		XXH3_64bits_update(&state, pieces[i].iov_base, pieces[i].iov_len);
	return XXH3_64bits_digest(&state);
}

/*
 * Between our asking for the descriptor and our using it the program may close it: then it is
 * opened again, but not for ever.
 */
#define TRIES_MAX 100

static int write_pieces(struct iovec *pieces, unsigned count, uint64_t *offset)
{
	uint64_t start = *offset;
	int result = -EBADF;

	for (unsigned i = 0; i < TRIES_MAX && result == -EBADF && *offset == start; i++) {
		int fd = usable_descriptor();

		result = fd < 0 ? fd : write_fully(fd, pieces, count, offset);
	}
	return result;
}

static int append(enum trace_segment_type type, uint32_t index, const struct iovec *pieces,
		  unsigned count)
{
	struct trace_segment head;
	static const char padding[TRACE_SEGMENT_ALIGN];
	struct iovec all[6];
	size_t payload = 0, bytes;
	struct place place;
	uint64_t reached;
	int result;

	if (count > 4)
		return -EINVAL;
	for (unsigned i = 0; i < count; i++) {
		all[i + 1] = pieces[i];
		payload += pieces[i].iov_len;
	}
	bytes = round_up(sizeof(head) + payload, TRACE_SEGMENT_ALIGN);
	head = segment_head(type, index, bytes, payload, hash_pieces(pieces, count));
	all[0] = (struct iovec){&head, sizeof(head)};
	all[count + 1] = (struct iovec){(void *)padding, bytes - sizeof(head) - payload};
	place = reserve(bytes, TRACE_SEGMENT_ALIGN);
	STOP_POINT("append.reserved");
	reached = place.start;
	result = size_allowed(place.end) ? write_pieces(all, count + 2, &reached) : -EFBIG;
	if (result == 0)
		return 0;
	/* A full disk may have taken the head and some of the rest. */
	if (reached == place.start || write_zeros(usable_descriptor(), place.start, reached) == 0)
		unreserve(&place);
	return failed(result);
}

int trace_file_append(enum trace_segment_type type, uint32_t index, const struct iovec *pieces,
		      unsigned count)
{
	int result;

	begin_writing();
	result = append(type, index, pieces, count);
	end_writing();
	return result;
}

/* Disk space at `place`, mapped; NULL with the reason in `result`. */
static void *map_place(const struct place *place, int *result)
{
	void *memory = NULL;

	*result = size_allowed(place->end) ? -EBADF : -EFBIG;
	for (unsigned i = 0; i < TRIES_MAX && *result == -EBADF; i++) {
		int fd = usable_descriptor();

		*result = fd < 0 ? fd : allocate(fd, place->start, place->end - place->start);
		if (*result == 0)
			memory = map_shared(fd, place->start, place->end - place->start, result);
	}
	return memory;
}

static void *map(enum trace_segment_type type, uint32_t index, size_t bytes)
{
	struct place place = reserve(bytes, trace_file_page());
	struct trace_segment *segment;
	int result;

	STOP_POINT("map.reserved");
	segment = map_place(&place, &result);
	if (!segment) {
		/* What has its disk space is a hole for readers, as long as it lies before the end.
		 */
		if (result != -ENOMEM)
			unreserve(&place);
		failed(result);
		return NULL;
	}
	STOP_POINT("map.mapped");
	*segment = segment_head(type, index, bytes, bytes - sizeof(*segment), 0);
	STOP_POINT("map.headed");
	return segment;
}

void *trace_file_map(enum trace_segment_type type, uint32_t index, size_t bytes)
{
	void *segment;

	begin_writing();
	segment = map(type, index, bytes);
	end_writing();
	return segment;
}
