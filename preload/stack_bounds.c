#include "stack_bounds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#include "sys.h"

#define PROBE_PAGES	  64 /* at most, to extend a range */
#define FIRST_PROBE_PAGES 16 /* hardly a stack needs more at once, and each costs 100 ns */
#define PROBE_PAGE                                                                                 \
	((uintptr_t)4096) /* no page is smaller; larger ones are probed more than once             \
			   */
/*
 * Nothing is mapped so close below a stack that grows, unless with MAP_FIXED: the kernel's
 * stack_guard_gap of 256 pages. So an sp in there is on that stack, grown since we looked.
 */
#define GROWTH_GAP	  (256 * PROBE_PAGE)
#define MAPS_BUFFER_BYTES 1024 /* threads may have as little as 16 KiB of stack */

extern void *__libc_stack_end __attribute__((weak)); /* set by the dynamic loader */

/* Reads "start-end perms rest\n" lines from a descriptor, a piece at a time. */
struct maps {
	int fd;
	ssize_t count;
	ssize_t at;
	char buffer[MAPS_BUFFER_BYTES];
};

static int maps_getc(struct maps *maps)
{
	if (maps->at == maps->count) {
		do
			maps->count = SYS3(read, maps->fd, maps->buffer, sizeof(maps->buffer));
		while (maps->count == -4 /* EINTR */);
		maps->at = 0;
		if (maps->count <= 0) {
			maps->count = 0;
			return -1;
		}
	}
	return (unsigned char)maps->buffer[maps->at++];
}

/* A hexadecimal number up to the next other character, which is taken too. */
static uintptr_t maps_number(struct maps *maps)
{
	uintptr_t number = 0;

	for (;;) {
		int c = maps_getc(maps);

		if (c >= '0' && c <= '9')
			number = number << 4 | (uintptr_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			number = number << 4 | (uintptr_t)(c - 'a' + 10);
		else
			return number;
	}
}

/* The next mapping; false at the end. */
static bool maps_next(struct maps *maps, struct stack_range *range, bool *readable)
{
	int c;

	range->low = maps_number(maps);
	range->high = maps_number(maps);
	*readable = maps_getc(maps) == 'r';
	do
		c = maps_getc(maps);
	while (c != '\n' && c != -1);
	return range->high != 0;
}

/* The readable memory around `sp` without a hole, as /proc/self/maps has it. */
static bool find_mapping(uintptr_t sp, struct stack_range *found)
{
	struct maps maps = {.count = 0, .at = 0};
	struct stack_range range;
	bool readable;

	found->low = found->high = 0;
	maps.fd = (int)SYS4(openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
	if (maps.fd < 0)
		return false;
	while (maps_next(&maps, &range, &readable)) {
		if (range.low > sp && (range.low != found->high || !readable))
			break;
		if (!readable)
			found->low = found->high = 0;
		else if (range.low == found->high)
			found->high = range.high;
		else
			*found = range;
	}
	SYS1(close, maps.fd);
	return sp >= found->low && sp < found->high;
}

static bool holds(const struct stack_range *range, uintptr_t address)
{
	return address >= range->low && address < range->high;
}

/* Where the own stack of this thread ends, if `mapping` is it; else 0. */
static uintptr_t own_top(const struct stack_range *mapping, uintptr_t sp)
{
	uintptr_t thread = (uintptr_t)__builtin_thread_pointer();
	uintptr_t end = &__libc_stack_end ? (uintptr_t)__libc_stack_end : 0;

	if (holds(mapping, thread) && sp < thread)
		return thread & ~(uintptr_t)7;
	if (end && holds(mapping, end) && sp < end)
		return end & ~(uintptr_t)7;
	return 0;
}

static bool is_main_stack(const struct stack_range *mapping)
{
	return &__libc_stack_end && holds(mapping, (uintptr_t)__libc_stack_end);
}

/* Looks whether sp is on the thread's own stack, and remembers that stack. */
static bool find_own(struct stack_bounds *bounds, uintptr_t sp)
{
	struct stack_range mapping;
	uintptr_t top;

	if (!find_mapping(sp, &mapping))
		return false;
	top = own_top(&mapping, sp);
	if (!top)
		return false;
	bounds->own.low = mapping.low;
	bounds->own.high = top;
	if (is_main_stack(&mapping))
		bounds->own.low -= GROWTH_GAP;
	return true;
}

/*
 * -EINVAL when the kernel can read at `address`, -EFAULT when not: rt_sigprocmask reads the mask
 * before it refuses what is to be done with it. A call that every program makes, so that filters of
 * system calls let it pass, as they do not process_vm_readv.
 */
static long probe(uintptr_t address)
{
	const int no_such_thing = -1;

	return SYS4(rt_sigprocmask, no_such_thing, address, NULL, 8);
}

/*
 * How far up from `sp` memory is readable, without touching it. Where that call is refused, the
 * mappings are read.
 */
static uintptr_t readable_from(uintptr_t sp, int pages)
{
	struct stack_range mapping;
	uintptr_t page = sp & -PROBE_PAGE;
	long result = -EINVAL;

	for (int i = 0; i < pages && (result = probe(page)) == -EINVAL; i++)
		page += PROBE_PAGE;
	if (page > sp)
		return page;
	return result != -EFAULT && find_mapping(sp, &mapping) ? mapping.high : sp;
}

bool stack_bounds_readable(uintptr_t address)
{
	uintptr_t last = address + sizeof(uintptr_t) - 1;

	return last > address && readable_from(address, 1) > address &&
	       (last / PROBE_PAGE == address / PROBE_PAGE || readable_from(last, 1) > last);
}

/* Where the range that holds sp is kept, if it is not the own stack. */
static struct stack_range *range_of(struct stack_bounds *bounds, uintptr_t sp)
{
	uint64_t hash = (sp >> 14) * 0x9e3779b97f4a7c15U;

	return &bounds->other[hash >> (64 - __builtin_ctz(STACK_BOUNDS_RANGES))];
}

/* If this is interrupted for good it leaves no range, rather than one of two halves. */
static void set(struct stack_range *range, uintptr_t sp, uintptr_t high)
{
	range->high = 0;
	atomic_signal_fence(memory_order_seq_cst);
	range->low = high > sp ? sp & -PROBE_PAGE : sp;
	atomic_signal_fence(memory_order_seq_cst);
	range->high = high;
}

/* Nor does this leave another thread's ranges. */
static void forget(struct stack_bounds *bounds, uintptr_t thread)
{
	*bounds = (struct stack_bounds){.thread = 0};
	atomic_signal_fence(memory_order_seq_cst);
	bounds->thread = thread;
}

uintptr_t stack_bounds_find(struct stack_bounds *bounds, uintptr_t sp)
{
	uintptr_t thread = (uintptr_t)__builtin_thread_pointer();
	struct stack_range *range = range_of(bounds, sp);

	if (bounds->thread != thread)
		forget(bounds, thread);
	if (holds(range, sp))
		return range->high;
	/* Below the stack of main as it was when looked for: it may have grown since. */
	if (!bounds->own.high || (sp < bounds->own.low && bounds->own.low - sp < GROWTH_GAP))
		if (find_own(bounds, sp))
			return bounds->own.high;
	set(range, sp, readable_from(sp, FIRST_PROBE_PAGES));
	return range->high;
}

uintptr_t stack_bounds_extend(struct stack_bounds *bounds, uintptr_t sp, uintptr_t wanted)
{
	struct stack_range *range = range_of(bounds, sp);
	uintptr_t high;

	if (holds(&bounds->own, sp))
		return bounds->own.high;
	if (!holds(range, sp))
		return sp;
	if (wanted < range->high || wanted - range->high > PROBE_PAGES * PROBE_PAGE)
		return range->high;
	high = readable_from(range->high, PROBE_PAGES);
	if (high > range->high)
		range->high = high;
	return range->high;
}

uintptr_t stack_bounds_anew(struct stack_bounds *bounds, uintptr_t sp)
{
	if (!stack_bounds_own(bounds, sp))
		*range_of(bounds, sp) = (struct stack_range){0};
	return stack_bounds_top(bounds, sp);
}

void stack_bounds_proved(struct stack_bounds *bounds, uintptr_t sp, uintptr_t high)
{
	struct stack_range *range = range_of(bounds, sp);

	if (holds(range, sp) && high > sp && high < range->high)
		range->high = high;
}
