/*
 * The ledger of a program that states its own truth.
 *
 * A program books every allocator call it makes itself and prints the sums as one line of JSON with
 * write(2): nothing here allocates. One ledger per thread; threads' ledgers are added up at the
 * end. A thread's peak is that of its own bookings, so a program with several threads sets the peak
 * from what its phases hold by construction.
 *
 * What the words mean is the interface contract of the report: a realloc that succeeds is one
 * release and one allocation; a peak is the first moment of the highest sum of requested bytes;
 * temporary is freed with no other allocation by the same thread in between; the free of a block
 * from before the recording (or of the parent's, after fork) is foreign and changes nothing else.
 */
#ifndef TRUTH_H
#define TRUTH_H

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__clang__) /* makes no clones, and does not know the word */
#define TRUTH_NOINLINE __attribute__((noinline))
#else
#define TRUTH_NOINLINE __attribute__((noinline, noclone))
#endif

struct truth {
	uint64_t allocations, frees, reallocs, bytes_allocated;
	uint64_t live_bytes, live_blocks, peak_bytes, peak_blocks;
	uint64_t temporary, foreign_frees, failed, mismatched_frees;
	uint64_t library_allocations, library_bytes; /* of all, those a library made for us */
	const void *last; /* the block of this thread's latest allocation */
};

/* The ledger of the calling thread. */
static __thread struct truth truth;

/* Books a block that was just returned. */
static inline void truth_got(const void *block, size_t bytes)
{
	truth.allocations++;
	truth.bytes_allocated += bytes;
	truth.live_bytes += bytes;
	truth.live_blocks++;
	truth.last = block;
	if (truth.live_bytes > truth.peak_bytes) {
		truth.peak_bytes = truth.live_bytes;
		truth.peak_blocks = truth.live_blocks;
	}
}

/* Books a block of `bytes` that is about to be, or was just, released. */
static inline void truth_gave(const void *block, size_t bytes)
{
	truth.frees++;
	truth.live_bytes -= bytes;
	truth.live_blocks--;
	if (block && block == truth.last) {
		truth.temporary++;
		truth.last = NULL;
	}
}

/* Books a realloc or reallocarray that returned `to`; `from` may be NULL. */
static inline void truth_moved(const void *from, size_t from_bytes, const void *to, size_t to_bytes)
{
	if (from)
		truth_gave(from, from_bytes);
	truth.reallocs++;
	truth_got(to, to_bytes);
}

/* Books a block of known size that a library took and released on the program's behalf. */
static inline void truth_library(size_t bytes)
{
	truth_got(&truth, bytes);
	truth_gave(&truth, bytes);
	truth.library_allocations++;
	truth.library_bytes += bytes;
}

/* What the C++ ABI allocates to throw an object of `bytes`: its header takes 128 on 64 bits. */
#define TRUTH_EXCEPTION_BYTES(bytes) (128 + (bytes))

/* malloc and free with their bookings, for programs whose subject is something else. */
static inline void *truth_malloc(size_t bytes)
{
	void *block = malloc(bytes);

	if (block)
		truth_got(block, bytes);
	return block;
}

static inline void truth_free(void *block, size_t bytes)
{
	if (block)
		truth_gave(block, bytes);
	free(block);
}

/* Adds the sums of `from` to `to`, peaks apart. */
static inline void truth_add(struct truth *to, const struct truth *from)
{
	to->allocations += from->allocations;
	to->frees += from->frees;
	to->reallocs += from->reallocs;
	to->bytes_allocated += from->bytes_allocated;
	to->live_bytes += from->live_bytes;
	to->live_blocks += from->live_blocks;
	to->temporary += from->temporary;
	to->foreign_frees += from->foreign_frees;
	to->failed += from->failed;
	to->mismatched_frees += from->mismatched_frees;
	to->library_allocations += from->library_allocations;
	to->library_bytes += from->library_bytes;
}

/* Extra members of the line of truth, each beginning with a comma. */
static char truth_extra[65536];
static size_t truth_extra_length;

__attribute__((format(printf, 1, 2))) static inline void truth_note(const char *format, ...)
{
	va_list arguments;
	size_t room = sizeof(truth_extra) - truth_extra_length;
	int length;

	va_start(arguments, format);
	length = vsnprintf(truth_extra + truth_extra_length, room, format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= room)
		_exit(99);
	truth_extra_length += (size_t)length;
}

/* Writes the line of truth to `fd`. Ends the program with status 99 when that fails. */
static inline void truth_print(int fd, const struct truth *sums)
{
	static char line[sizeof(truth_extra) + 1024];
	int length = snprintf(line, sizeof(line),
			      "{\"pid\":%d,\"allocations\":%ju,\"frees\":%ju,\"reallocs\":%ju,"
			      "\"bytes_allocated\":%ju,\"peak_bytes\":%ju,\"peak_blocks\":%ju,"
			      "\"live_bytes_end\":%ju,\"live_blocks_end\":%ju,\"temporary\":%ju,"
			      "\"foreign_frees\":%ju,\"failed\":%ju,\"mismatched_frees\":%ju,"
			      "\"library_allocations\":%ju,\"library_bytes\":%ju%s}\n",
			      (int)getpid(), (uintmax_t)sums->allocations, (uintmax_t)sums->frees,
			      (uintmax_t)sums->reallocs, (uintmax_t)sums->bytes_allocated,
			      (uintmax_t)sums->peak_bytes, (uintmax_t)sums->peak_blocks,
			      (uintmax_t)sums->live_bytes, (uintmax_t)sums->live_blocks,
			      (uintmax_t)sums->temporary, (uintmax_t)sums->foreign_frees,
			      (uintmax_t)sums->failed, (uintmax_t)sums->mismatched_frees,
			      (uintmax_t)sums->library_allocations, (uintmax_t)sums->library_bytes,
			      truth_extra);

	if (length < 0 || (size_t)length >= sizeof(line) ||
	    write(fd, line, (size_t)length) != length)
		_exit(99);
}

/* Is this the run that shows what the program's start and end allocate without its own calls? */
static inline int truth_is_baseline(int argc, char **argv)
{
	return argc > 1 && strcmp(argv[1], "baseline") == 0;
}

/* Ends the program, loudly, when the environment does not behave as the truth presumes. */
#define TRUTH_REQUIRE(condition)                                                                   \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			static const char message[] = "not so: " #condition "\n";                  \
			if (write(2, message, sizeof(message) - 1) < 0)                            \
				_exit(98);                                                         \
			_exit(97);                                                                 \
		}                                                                                  \
	} while (0)

/* A small random generator whose sequence is the same everywhere (xorshift64*). */
static inline uint64_t truth_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

/* Writes the line of truth to a file of its own, for programs of several processes. */
static inline void truth_save(const char *directory, const char *name, const struct truth *sums)
{
	char path[512];
	int fd;

	TRUTH_REQUIRE(snprintf(path, sizeof(path), "%s/truth.%d.%s", directory, (int)getpid(),
			       name) < (int)sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	TRUTH_REQUIRE(fd >= 0);
	truth_print(fd, sums);
	close(fd);
}

#endif
