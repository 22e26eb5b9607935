/* What may be read as stack: every word below the bound has to be there. */
#include <sys/mman.h>

#include "preload_support.h"
#include "stack_bounds.h"

#define PAGE ((size_t)4096)

static struct stack_bounds bounds;

/* Reads every word up to the bound: a wrong one is a fault. */
static uintptr_t read_up(uintptr_t sp)
{
	uintptr_t top = stack_bounds_top(&bounds, sp);

	for (uintptr_t at = sp; at + sizeof(uintptr_t) <= top; at += sizeof(uintptr_t))
		*(volatile uintptr_t *)at;
	return top;
}

static uintptr_t here(void)
{
	return (uintptr_t)__builtin_frame_address(0) & ~(uintptr_t)7;
}

/* `pages` that can be read between one page before and one after that cannot. */
static uintptr_t map_between(size_t pages)
{
	char *memory =
	    mmap(NULL, (pages + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(memory, MAP_FAILED);
	ck_assert_int_eq(mprotect(memory + PAGE, pages * PAGE, PROT_READ | PROT_WRITE), 0);
	return (uintptr_t)memory + PAGE;
}

START_TEST(own_stack_of_main)
{
	uintptr_t top = read_up(here());

	ck_assert_uint_gt(top, here());
	ck_assert_uint_eq(bounds.own.high, top);
	ck_assert_uint_gt(top, (uintptr_t)&top);
}
END_TEST

__attribute__((noinline)) static void go_down(unsigned depth)
{
	volatile char pad[3000];

	pad[0] = 1;
	ck_assert_uint_eq(stack_bounds_top(&bounds, here()), bounds.own.high);
	if (depth)
		go_down(depth - 1);
	(void)pad[0];
}

START_TEST(own_stack_grows)
{
	read_up(here());
	go_down(1500);
}
END_TEST

static void *in_thread(void *unused)
{
	uintptr_t top = read_up(here());

	ck_assert_uint_gt(top, here());
	ck_assert_uint_le(top, (uintptr_t)__builtin_thread_pointer());
	return unused;
}

/* One struct handed from thread to thread, as a ring of a thread that ended is. */
START_TEST(own_stacks_of_threads)
{
	pthread_attr_t attributes;
	pthread_t thread;

	read_up(here());
	pthread_attr_init(&attributes);
	for (size_t i = 0; i < 20; i++) {
		pthread_attr_setstacksize(&attributes, (i % 5 + 4) * 16384);
		ck_assert_int_eq(pthread_create(&thread, &attributes, in_thread, NULL), 0);
		pthread_join(thread, NULL);
	}
	read_up(here());
}
END_TEST

START_TEST(other_memory_ends_where_it_ends)
{
	for (size_t pages = 1; pages < 100; pages += 7) {
		uintptr_t low = map_between(pages), high = low + pages * PAGE;
		uintptr_t top;

		read_up(here());
		top = read_up(low + 64);
		ck_assert_uint_le(top, high);
		ck_assert_uint_gt(top, low + 64);
		ck_assert_uint_eq(read_up(high - 16), high);
	}
}
END_TEST

START_TEST(nothing_of_what_cannot_be_read)
{
	uintptr_t low = map_between(1);

	ck_assert_uint_eq(stack_bounds_top(&bounds, low - 64), low - 64);
	ck_assert_uint_eq(stack_bounds_top(&bounds, low + PAGE), low + PAGE);
	ck_assert_uint_eq(stack_bounds_top(&bounds, 8), 8);
}
END_TEST

/* The upper part of a mapping goes away after a walk that needed only the lower. */
START_TEST(other_memory_may_shrink)
{
	uintptr_t low = map_between(8);

	read_up(low);
	stack_bounds_proved(&bounds, low, low + 256);
	ck_assert_uint_eq(read_up(low), low + 256);
	ck_assert_uint_eq(stack_bounds_extend(&bounds, low, low + 256), low + 8 * PAGE);
	stack_bounds_proved(&bounds, low, low + 256);
	ck_assert_int_eq(mprotect((void *)(low + PAGE), PAGE, PROT_NONE), 0);
	ck_assert_uint_eq(read_up(low), low + 256);
	ck_assert_uint_eq(stack_bounds_extend(&bounds, low, low + 256), low + PAGE);
	read_up(low);
}
END_TEST

/* What was found out earlier, and said to be stack, is not believed. */
START_TEST(other_memory_looked_at_anew)
{
	uintptr_t low = map_between(2);

	read_up(low);
	ck_assert_int_eq(mprotect((void *)(low + PAGE), PAGE, PROT_NONE), 0);
	ck_assert_uint_eq(stack_bounds_anew(&bounds, low), low + PAGE);
	ck_assert_uint_eq(read_up(low), low + PAGE);
	ck_assert_uint_eq(stack_bounds_anew(&bounds, here()), stack_bounds_top(&bounds, here()));
	ck_assert(stack_bounds_readable(low));
	ck_assert(stack_bounds_readable(low + PAGE - 8));
	ck_assert(!stack_bounds_readable(low + PAGE - 7));
	ck_assert(!stack_bounds_readable(low + PAGE));
	ck_assert(!stack_bounds_readable(low - 1));
	ck_assert(!stack_bounds_readable(UINTPTR_MAX - 3));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bounds");
	TCase *tcase = tcase_create("bounds");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, own_stack_of_main);
	tcase_add_test(tcase, own_stack_grows);
	tcase_add_test(tcase, own_stacks_of_threads);
	tcase_add_test(tcase, other_memory_ends_where_it_ends);
	tcase_add_test(tcase, nothing_of_what_cannot_be_read);
	tcase_add_test(tcase, other_memory_may_shrink);
	tcase_add_test(tcase, other_memory_looked_at_anew);
	suite_add_tcase(suite, tcase);
	return support_run(suite);
}
