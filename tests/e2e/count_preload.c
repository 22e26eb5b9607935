/*
 * A second opinion: counts allocator calls in the plainest way there is, to be compared with what
 * a recording says. It shares no code and no design with the recorder: one lock, one table from
 * address to size, counters in a mapped file that is right at every instant and needs no end.
 *
 * The file is $COUNT_OUT.PID.N, N from 0 in order of exec; run.py reads it as the words of
 * struct counts. A forked child gets a file of its own and takes its parent's blocks for foreign.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct counts {
	uint64_t allocations, frees, reallocs, bytes_allocated;
	uint64_t peak_bytes, peak_blocks, live_bytes, live_blocks;
	uint64_t foreign_frees, failed, table_full;
};

static struct counts before_file; /* until the constructor ran */
static struct counts *counts = &before_file;

#define TABLE_SLOTS ((size_t)1 << 23)
static struct {
	uintptr_t address;
	uint64_t bytes;
} * table;
static atomic_flag lock = ATOMIC_FLAG_INIT;

static void *(*next_malloc)(size_t);
static void *(*next_calloc)(size_t, size_t);
static void *(*next_realloc)(void *, size_t);
static void *(*next_reallocarray)(void *, size_t, size_t);
static int (*next_posix_memalign)(void **, size_t, size_t);
static void *(*next_aligned_alloc)(size_t, size_t);
static void *(*next_memalign)(size_t, size_t);
static void *(*next_valloc)(size_t);
static void *(*next_pvalloc)(size_t);
static void (*next_free)(void *);

/* What dlsym asks for before there is an allocator. */
static char arena[65536] __attribute__((aligned(16)));
static size_t arena_used;
static __thread int inside __attribute__((tls_model("initial-exec")));

static void find_next(void)
{
	inside++;
	next_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
	next_calloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
	next_realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
	next_reallocarray = (void *(*)(void *, size_t, size_t))dlsym(RTLD_NEXT, "reallocarray");
	next_posix_memalign = (int (*)(void **, size_t, size_t))dlsym(RTLD_NEXT, "posix_memalign");
	next_aligned_alloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "aligned_alloc");
	next_memalign = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "memalign");
	next_valloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "valloc");
	next_pvalloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "pvalloc");
	next_free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
	table = mmap(NULL, TABLE_SLOTS * sizeof(*table), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (table == MAP_FAILED)
		abort();
	inside--;
}

static void *from_arena(size_t bytes)
{
	void *block = arena + arena_used;

	arena_used += (bytes + 15) & ~(size_t)15;
	if (arena_used > sizeof(arena))
		abort();
	return block;
}

static int is_arena(const void *block)
{
	return (uintptr_t)block - (uintptr_t)arena < sizeof(arena);
}

/* True when the call is to be served from the arena. */
static int early(void)
{
	if (!next_free && !inside)
		find_next();
	return !next_free;
}

static void take_lock(void)
{
	while (atomic_flag_test_and_set_explicit(&lock, memory_order_acquire))
		sched_yield();
}

static void drop_lock(void)
{
	atomic_flag_clear_explicit(&lock, memory_order_release);
}

static size_t slot_of(uintptr_t address)
{
	return (size_t)((uint64_t)(address >> 4) * 0x9e3779b97f4a7c15ULL >> 41) & (TABLE_SLOTS - 1);
}

/* Both below: with the lock held. */
static void enter(void *block, size_t bytes)
{
	size_t slot = slot_of((uintptr_t)block);

	counts->allocations++;
	counts->bytes_allocated += bytes;
	counts->live_bytes += bytes;
	counts->live_blocks++;
	if (counts->live_bytes > counts->peak_bytes) {
		counts->peak_bytes = counts->live_bytes;
		counts->peak_blocks = counts->live_blocks;
	}
	if (counts->live_blocks > TABLE_SLOTS / 2) {
		counts->table_full++;
		return;
	}
	while (table[slot].address)
		slot = (slot + 1) & (TABLE_SLOTS - 1);
	table[slot].address = (uintptr_t)block;
	table[slot].bytes = bytes;
}

static void leave(uintptr_t block)
{
	size_t slot = slot_of(block), hole, home;

	while (table[slot].address != block) {
		if (!table[slot].address) {
			counts->foreign_frees++;
			return;
		}
		slot = (slot + 1) & (TABLE_SLOTS - 1);
	}
	counts->frees++;
	counts->live_bytes -= table[slot].bytes;
	counts->live_blocks--;
	hole = slot;
	for (;;) { /* close the gap in the chain */
		slot = (slot + 1) & (TABLE_SLOTS - 1);
		if (!table[slot].address)
			break;
		home = slot_of(table[slot].address);
		if (((slot - home) & (TABLE_SLOTS - 1)) >= ((slot - hole) & (TABLE_SLOTS - 1))) {
			table[hole] = table[slot];
			hole = slot;
		}
	}
	table[hole].address = 0;
}

static void *booked(void *block, size_t bytes)
{
	if (inside)
		return block;
	take_lock();
	if (block)
		enter(block, bytes);
	else
		counts->failed++;
	drop_lock();
	return block;
}

void *malloc(size_t bytes)
{
	return early() ? from_arena(bytes) : booked(next_malloc(bytes), bytes);
}

void *calloc(size_t count, size_t bytes)
{
	size_t all;

	if (__builtin_mul_overflow(count, bytes, &all))
		all = SIZE_MAX;
	return early() ? from_arena(all) : booked(next_calloc(count, bytes), all);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
	return early() ? NULL : booked(next_aligned_alloc(alignment, bytes), bytes);
}

void *memalign(size_t alignment, size_t bytes)
{
	return early() ? NULL : booked(next_memalign(alignment, bytes), bytes);
}

void *valloc(size_t bytes)
{
	return early() ? NULL : booked(next_valloc(bytes), bytes);
}

void *pvalloc(size_t bytes)
{
	return early() ? NULL : booked(next_pvalloc(bytes), bytes);
}

int posix_memalign(void **block, size_t alignment, size_t bytes)
{
	int error = early() ? ENOMEM : next_posix_memalign(block, alignment, bytes);

	booked(error ? NULL : *block, bytes);
	return error;
}

void free(void *block)
{
	if (!block || is_arena(block) || early())
		return;
	if (!inside) {
		take_lock();
		leave((uintptr_t)block);
		drop_lock();
	}
	next_free(block);
}

/* The lock is held across the call: nobody may be given the old address in between. */
static void *moved(void *old, size_t count, size_t bytes, int array)
{
	uintptr_t released = (uintptr_t)old;
	size_t all;
	void *block;

	if (early() || is_arena(old))
		abort();
	take_lock();
	inside++; /* glibc's reallocarray calls realloc */
	block = array ? next_reallocarray(old, count, bytes) : next_realloc(old, bytes);
	inside--;
	if (__builtin_mul_overflow(count, bytes, &all))
		all = SIZE_MAX;
	if (block) {
		if (released)
			leave(released);
		enter(block, all);
		counts->reallocs++;
	} else if (released && all == 0) {
		leave(released);
	} else {
		counts->failed++;
	}
	drop_lock();
	return block;
}

void *realloc(void *old, size_t bytes)
{
	return inside ? next_realloc(old, bytes) : moved(old, 1, bytes, 0);
}

void *reallocarray(void *old, size_t count, size_t bytes)
{
	return moved(old, count, bytes, 1);
}

/* Continues in a new file; what was counted so far goes along. */
static void open_counts(void)
{
	const char *out = getenv("COUNT_OUT");
	void *map;
	char path[512];
	int fd = -1;

	if (!out)
		return;
	for (int n = 0; n < 1000 && fd < 0; n++) {
		if (snprintf(path, sizeof(path), "%s.%d.%d", out, (int)getpid(), n) >=
		    (int)sizeof(path))
			return;
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 && errno != EEXIST)
			return;
	}
	if (fd < 0 || ftruncate(fd, sizeof(*counts)))
		return;
	map = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return;
	memcpy(map, counts, sizeof(*counts));
	counts = map;
}

static void before_fork(void)
{
	take_lock();
}

static void after_fork_in_parent(void)
{
	drop_lock();
}

static void after_fork_in_child(void)
{
	madvise(table, TABLE_SLOTS * sizeof(*table), MADV_DONTNEED);
	memset(&before_file, 0, sizeof(before_file));
	counts = &before_file;
	open_counts();
	drop_lock();
}

__attribute__((constructor)) static void begin(void)
{
	early();
	inside++;
	open_counts();
	pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
	inside--;
}
