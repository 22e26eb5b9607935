/* The trace file in a hostile house: what is written is sound, and never in somebody else's file.
 */
#include "trace_file.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "preload_support.h"
#include "preload_view.h"

#define PAGE 4096

/* A MODULE segment whose path has `path_bytes`, all of them `letter`. */
static int append_module(uint32_t number, size_t path_bytes, char letter)
{
	char path[9000];
	struct trace_module module = {
	    .start = 0x1000, .end = 0x2000, .module = number, .path_bytes = (uint32_t)path_bytes};
	struct iovec pieces[2] = {{&module, sizeof(module)}, {path, path_bytes}};

	memset(path, letter, path_bytes);
	return trace_file_append(TRACE_SEGMENT_MODULE, number, pieces, 2);
}

static void check_module(const struct support_segment *segment, size_t path_bytes, char letter)
{
	ck_assert_uint_eq(segment->head.payload_bytes, sizeof(struct trace_module) + path_bytes);
	for (size_t i = 0; i < path_bytes; i++)
		ck_assert_int_eq(segment->payload[sizeof(struct trace_module) + i], letter);
}

static void setup(void)
{
	support_enter();
	support_create();
}

static void leave(void)
{
	(void)!chdir("/");
	umount2(support_folder, MNT_DETACH); /* see small_file_system */
	support_leave();
}

/* The descriptor of the trace, as the kernel has it; -1: none open. */
static int trace_descriptor(const char *name)
{
	struct stat wanted, status;

	ck_assert_int_eq(stat(name, &wanted), 0);
	for (int fd = 3; fd < 2048; fd++)
		if (fstat(fd, &status) == 0 && status.st_ino == wanted.st_ino &&
		    status.st_dev == wanted.st_dev)
			return fd;
	return -1;
}

START_TEST(empty_trace)
{
	struct support_trace trace = support_parse("t");
	const struct trace_header *header = support_trace_header(&trace);
	struct stat status;
	struct view view;

	ck_assert_uint_eq(trace.size, PAGE);
	ck_assert_uint_eq(header->magic, TRACE_MAGIC);
	ck_assert_uint_eq(header->header_bytes, PAGE);
	ck_assert_uint_eq(header->tail, PAGE);
	ck_assert_uint_eq(header->checksum, XXH3_64bits(header, 112));
	ck_assert_int_eq(stat("t", &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0600);
	support_trace_free(&trace);
	ck_assert_int_eq(view_read("t", &view), 0);
	ck_assert(view.header_sound && view.bad_segments == 0 && !view.cut);
	ck_assert_str_eq(strrchr(trace_file_path(), '/'), "/t");
	ck_assert_int_eq(trace_file_path()[0], '/');
}
END_TEST

/* Every length from nothing to over a page: padded to 64, hashed, read back as written. */
START_TEST(appended_read_back)
{
	struct support_trace trace;
	struct view view;

	for (uint32_t i = 0; i < 300; i++)
		ck_assert_int_eq(append_module(i, i * 29, (char)('a' + i % 26)), 0);
	trace = support_parse("t");
	ck_assert_uint_eq(trace.count, 300);
	ck_assert_uint_eq(trace.holes, 0);
	ck_assert_uint_eq(support_trace_header(&trace)->tail, trace.size);
	for (uint32_t i = 0; i < 300; i++) {
		ck_assert_uint_eq(trace.segments[i].head.index, i);
		check_module(&trace.segments[i], i * 29, (char)('a' + i % 26));
	}
	support_trace_free(&trace);
	ck_assert_int_eq(view_read("t", &view), 0);
	ck_assert_uint_eq(view.modules, 300);
	ck_assert(view.bad_segments == 0 && !view.cut);
}
END_TEST

START_TEST(piece_counts)
{
	char a[] = "abcdefgh";
	struct iovec pieces[5] = {{a, 1}, {a + 1, 0}, {a + 1, 2}, {a + 3, 5}, {a, 1}};
	struct support_trace trace;

	ck_assert_int_eq(trace_file_append(99, 0, pieces, 4), 0);
	ck_assert_int_eq(trace_file_append(99, 1, pieces, 0), 0);
	ck_assert_int_eq(trace_file_append(99, 2, pieces, 5), -EINVAL);
	trace = support_parse("t");
	ck_assert_uint_eq(trace.count, 2);
	ck_assert_uint_eq(trace.segments[0].head.payload_bytes, 8);
	ck_assert_mem_eq(trace.segments[0].payload, a, 8);
	ck_assert_uint_eq(trace.segments[1].head.payload_bytes, 0);
	support_trace_free(&trace);
}
END_TEST

/* Mapped segments begin at pages, appended ones fit between; both are read as written. */
START_TEST(mapped)
{
	struct support_trace trace;
	char *memory[20];

	for (uint32_t i = 0; i < 20; i++) {
		ck_assert_int_eq(append_module(i, 100 * i, 'm'), 0);
		memory[i] = trace_file_map(TRACE_SEGMENT_NODES, i, PAGE * (1 + i % 3));
		ck_assert_ptr_nonnull(memory[i]);
		memset(memory[i] + 64, (int)(i + 1), PAGE * (1 + i % 3) - 64);
	}
	trace = support_parse("t");
	for (uint32_t i = 0; i < 20; i++) {
		const struct support_segment *found = support_nth(&trace, TRACE_SEGMENT_NODES, i);

		ck_assert_uint_eq(found->offset % PAGE, 0);
		ck_assert_uint_eq(found->head.index, i);
		ck_assert_uint_eq(found->head.payload_hash, 0);
		ck_assert_uint_eq(found->head.bytes, PAGE * (1 + i % 3));
		for (size_t k = 0; k < found->head.payload_bytes; k++)
			ck_assert_uint_eq(found->payload[k], i + 1);
		check_module(support_nth(&trace, TRACE_SEGMENT_MODULE, i), 100 * i, 'm');
	}
	support_trace_free(&trace);
}
END_TEST

START_TEST(never_over_another_file)
{
	struct trace_header header = support_header();
	struct stat status;
	uint8_t *content;
	size_t bytes;

	support_write("other", "keep me", 7);
	ck_assert_int_eq(trace_file_create("other", &header), -EEXIST);
	ck_assert_int_eq(symlink("other", "link"), 0);
	ck_assert_int_eq(trace_file_create("link", &header), -EEXIST);
	ck_assert_int_eq(symlink("nothing", "dangling"), 0);
	ck_assert_int_eq(trace_file_create("dangling", &header), -EEXIST);
	ck_assert_int_eq(stat("nothing", &status), -1);
	ck_assert_int_eq(trace_file_create("no/such/folder", &header), -ENOENT);
	content = support_read("other", &bytes);
	ck_assert_str_eq((char *)content, "keep me");
	free(content);
}
END_TEST

START_TEST(private_whatever_the_umask)
{
	struct trace_header header = support_header();
	struct stat status;

	umask(0);
	ck_assert_int_eq(trace_file_create("u", &header), 0);
	ck_assert_int_eq(stat("u", &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0600);
}
END_TEST

START_TEST(descriptor_closed)
{
	struct support_trace trace;

	ck_assert_int_eq(append_module(0, 10, 'a'), 0);
	ck_assert_int_eq(chdir("/"), 0);
	closefrom(3);
	ck_assert_int_eq(append_module(1, 10, 'b'), 0);
	closefrom(3);
	ck_assert_ptr_nonnull(trace_file_map(TRACE_SEGMENT_NODES, 0, PAGE));
	ck_assert_int_eq(chdir(support_folder), 0);
	trace = support_parse("t");
	ck_assert_uint_eq(trace.count, 3);
	ck_assert_uint_eq(support_trace_header(&trace)->flags, 0);
	support_trace_free(&trace);
}
END_TEST

START_TEST(descriptor_taken)
{
	struct support_trace trace;
	uint8_t *content;
	size_t bytes;
	int other = open("other", O_RDWR | O_CREAT, 0600);
	int ours = trace_descriptor("t");

	ck_assert_int_ge(ours, 0);
	ck_assert_int_eq(dup2(other, ours), ours);
	ck_assert_int_eq(append_module(0, 10, 'a'), 0);
	ck_assert_ptr_nonnull(trace_file_map(TRACE_SEGMENT_NODES, 0, PAGE));
	content = support_read("other", &bytes);
	ck_assert_uint_eq(bytes, 0);
	free(content);
	ck_assert_int_eq(fcntl(ours, F_GETFD), 0);
	trace = support_parse("t");
	ck_assert_uint_eq(trace.count, 2);
	support_trace_free(&trace);
}
END_TEST

START_TEST(file_replaced)
{
	struct support_trace trace;
	uint8_t *content;
	size_t bytes;

	ck_assert_int_eq(append_module(0, 10, 'a'), 0);
	ck_assert_int_eq(rename("t", "moved"), 0);
	support_write("t", "not yours", 9);
	ck_assert_int_eq(append_module(1, 10, 'b'), 0);
	close(trace_descriptor("moved"));
	ck_assert_int_eq(append_module(2, 10, 'c'), -ESTALE);
	ck_assert_ptr_null(trace_file_map(TRACE_SEGMENT_NODES, 0, PAGE));
	content = support_read("t", &bytes);
	ck_assert_str_eq((char *)content, "not yours");
	free(content);
	trace = support_parse("moved");
	ck_assert_uint_eq(trace.count, 2);
	ck_assert_uint_eq(support_trace_header(&trace)->flags, TRACE_FLAG_WRITE_FAILED);
	support_trace_free(&trace);
}
END_TEST

/* A link planted where our file was is not followed, even to our own file. */
START_TEST(replaced_by_a_link)
{
	ck_assert_int_eq(rename("t", "moved"), 0);
	ck_assert_int_eq(symlink("moved", "t"), 0);
	close(trace_descriptor("moved"));
	ck_assert_int_eq(append_module(0, 10, 'a'), -ELOOP);
}
END_TEST

START_TEST(unlinked)
{
	ck_assert_int_eq(unlink("t"), 0);
	ck_assert_int_eq(append_module(0, 10, 'a'), 0);
	ck_assert_ptr_nonnull(trace_file_map(TRACE_SEGMENT_NODES, 0, PAGE));
	closefrom(3);
	ck_assert_int_eq(append_module(1, 10, 'b'), -ENOENT);
	ck_assert_uint_eq(trace_file_header()->flags, TRACE_FLAG_WRITE_FAILED);
}
END_TEST

static void limit_size(rlim_t bytes)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* SIGXFSZ would kill us. What does not fit leaves no trace, and more room is used when it comes. */
START_TEST(size_limited)
{
	struct support_trace trace;
	uint64_t tail;
	uint32_t count = 0;

	limit_size(16 * PAGE);
	while (append_module(count, 1000, 'a') == 0)
		ck_assert_uint_lt(++count, 100);
	ck_assert_uint_gt(count, 40);
	tail = trace_file_header()->tail;
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(append_module(count, 1000, 'a'), -EFBIG);
		ck_assert_ptr_null(trace_file_map(TRACE_SEGMENT_NODES, 0, 16 * PAGE));
	}
	ck_assert_uint_le(trace_file_header()->tail, tail + PAGE);
	limit_size(1024 * PAGE);
	ck_assert_int_eq(append_module(count, 1000, 'a'), 0);
	ck_assert_ptr_nonnull(trace_file_map(TRACE_SEGMENT_NODES, 0, 16 * PAGE));
	trace = support_parse("t");
	ck_assert_uint_eq(trace.count, count + 2);
	ck_assert_uint_lt(trace.size, 64 * PAGE);
	support_trace_free(&trace);
}
END_TEST

START_TEST(size_limit_too_low_to_begin)
{
	struct trace_header header = support_header();
	struct stat status;

	limit_size(PAGE - 1);
	ck_assert_int_eq(trace_file_create("small", &header), -EFBIG);
	ck_assert_int_eq(stat("small", &status), -1);
}
END_TEST

/* A file system of `bytes` at the working directory, seen by this process alone; false: may not. */
static bool small_file_system(const char *bytes)
{
	char options[64];

	snprintf(options, sizeof(options), "size=%s,mode=0700", bytes);
	return unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", support_folder, "tmpfs", 0, options) == 0 &&
	       chdir(support_folder) == 0;
}

/* What was mapped can be written to the last byte: a hole would be SIGBUS here. */
START_TEST(disk_full)
{
	struct support_trace trace;
	char *memory;
	uint32_t count = 0;
	int appended = 0;

	if (!small_file_system("512k"))
		return;
	support_create();
	while ((memory = trace_file_map(TRACE_SEGMENT_NODES, count, 16 * PAGE))) {
		ck_assert_uint_lt(++count, 9);
		memset(memory + 64, 7, 16 * PAGE - 64);
	}
	ck_assert_uint_ge(count, 6);
	while (append_module((uint32_t)appended, 4000, 'a') == 0)
		ck_assert_int_lt(++appended, 200);
	ck_assert_int_eq(append_module(0, 8000, 'a'), -ENOSPC);
	ck_assert_uint_eq(trace_file_header()->flags, TRACE_FLAG_WRITE_FAILED);
	trace = support_parse("t");
	ck_assert_uint_eq(support_count(&trace, TRACE_SEGMENT_NODES), count);
	ck_assert_uint_eq(support_count(&trace, TRACE_SEGMENT_MODULE), (size_t)appended);
	support_trace_free(&trace);
}
END_TEST

static volatile sig_atomic_t alarms;

static void count_alarm(int signal)
{
	(void)signal;
	alarms++;
}

/* Calls that signals interrupt are taken up again. */
START_TEST(interrupted)
{
	struct sigaction action = {.sa_handler = count_alarm};
	struct itimerval timer = {{0, 200}, {0, 200}};
	struct support_trace trace;
	uint32_t count = 0;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	for (; count < 300 || alarms < 20; count++) {
		ck_assert_uint_lt(count, 100000);
		ck_assert_int_eq(append_module(count, 8000, 'i'), 0);
		if (count % 8 == 0)
			ck_assert_ptr_nonnull(
			    trace_file_map(TRACE_SEGMENT_NODES, count / 8, 16 * PAGE));
	}
	memset(&timer, 0, sizeof(timer));
	setitimer(ITIMER_REAL, &timer, NULL);
	trace = support_parse("t");
	ck_assert_uint_eq(support_count(&trace, TRACE_SEGMENT_MODULE), count);
	support_trace_free(&trace);
}
END_TEST

static int wait_for(pid_t child)
{
	int status;

	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return status;
}

/* All that the child of a fork does with pointers of before stays its own. */
START_TEST(forked)
{
	char *nodes = trace_file_map(TRACE_SEGMENT_NODES, 0, PAGE);
	struct trace_header *header = trace_file_header();
	struct trace_header fixed = support_header();
	uint8_t *before, *after;
	size_t bytes_before, bytes_after;
	pid_t child;

	ck_assert_int_eq(append_module(0, 10, 'a'), 0);
	memset(nodes + 64, 5, 100);
	before = support_read("t", &bytes_before);
	child = fork();
	if (child == 0) {
		trace_file_forked();
		memset(nodes, 9, PAGE);
		memset(header, 9, PAGE);
		if (trace_file_create("child", &fixed) < 0 || append_module(0, 10, 'c') < 0)
			_exit(1);
		_exit(trace_descriptor("t") >= 0 ? 2 : 0);
	}
	ck_assert_int_eq(wait_for(child), 0);
	after = support_read("t", &bytes_after);
	ck_assert_uint_eq(bytes_before, bytes_after);
	ck_assert_mem_eq(before, after, bytes_before);
	ck_assert_int_eq(append_module(1, 10, 'b'), 0);
	free(before);
	free(after);
}
END_TEST

/*
 * A handler that interrupted a hook may fork: the child then ends the hook without a file. All of
 * it must fail, and nothing crash or reach the parent's file.
 */
START_TEST(forked_within_a_hook)
{
	uint8_t *before, *after;
	size_t bytes_before, bytes_after;
	pid_t child;

	ck_assert_int_eq(append_module(0, 10, 'a'), 0);
	before = support_read("t", &bytes_before);
	child = fork();
	if (child == 0) {
		trace_file_forked();
		trace_file_header()->peak_rss_bytes = 1;
		if (append_module(1, 10, 'b') >= 0)
			_exit(1);
		if (trace_file_map(TRACE_SEGMENT_NODES, 0, PAGE))
			_exit(2);
		_exit(trace_file_header()->pid == (uint32_t)getpid() ? 3 : 0);
	}
	ck_assert_int_eq(wait_for(child), 0);
	after = support_read("t", &bytes_after);
	ck_assert_uint_eq(bytes_before, bytes_after);
	ck_assert_mem_eq(before, after, bytes_before);
	free(before);
	free(after);
}
END_TEST

#define EACH 400

static char *shared_memory[8][EACH / 16];

static void append_and_map(unsigned number)
{
	for (uint32_t i = 0; i < EACH; i++) {
		if (append_module(number * EACH + i, i % 777, (char)('A' + number)) < 0)
			return;
		if (i % 16 == 0) {
			char *memory =
			    trace_file_map(TRACE_SEGMENT_NODES, number * EACH + i, 2 * PAGE);

			shared_memory[number][i / 16] = memory;
			if (memory)
				memset(memory + 64, (int)('A' + number), 2 * PAGE - 64);
		}
	}
}

START_TEST(eight_threads)
{
	struct support_trace trace;
	bool seen[8 * EACH] = {false};

	support_threads(8, append_and_map);
	trace = support_parse("t");
	ck_assert_uint_eq(support_count(&trace, TRACE_SEGMENT_MODULE), 8 * EACH);
	ck_assert_uint_eq(support_count(&trace, TRACE_SEGMENT_NODES), 8 * EACH / 16);
	for (size_t i = 0; i < trace.count; i++) {
		const struct support_segment *segment = &trace.segments[i];
		uint32_t index = segment->head.index;
		char letter = (char)('A' + index / EACH);

		ck_assert_uint_lt(index, 8 * EACH);
		if (segment->head.type == TRACE_SEGMENT_MODULE) {
			ck_assert(!seen[index]);
			seen[index] = true;
			check_module(segment, index % EACH % 777, letter);
			continue;
		}
		for (size_t k = 0; k < segment->head.payload_bytes; k++)
			ck_assert_int_eq(segment->payload[k], letter);
	}
	support_trace_free(&trace);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("preload trace_file");
	TCase *tests = tcase_create("trace_file");

	tcase_add_checked_fixture(tests, setup, leave);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, empty_trace);
	tcase_add_test(tests, appended_read_back);
	tcase_add_test(tests, piece_counts);
	tcase_add_test(tests, mapped);
	tcase_add_test(tests, never_over_another_file);
	tcase_add_test(tests, private_whatever_the_umask);
	tcase_add_test(tests, descriptor_closed);
	tcase_add_test(tests, descriptor_taken);
	tcase_add_test(tests, file_replaced);
	tcase_add_test(tests, replaced_by_a_link);
	tcase_add_test(tests, unlinked);
	tcase_add_test(tests, size_limited);
	tcase_add_test(tests, size_limit_too_low_to_begin);
	tcase_add_test(tests, disk_full);
	tcase_add_test(tests, interrupted);
	tcase_add_test(tests, forked);
	tcase_add_test(tests, forked_within_a_hook);
	tcase_add_test(tests, eight_threads);
	suite_add_tcase(suite, tests);
	return support_run(suite);
}
