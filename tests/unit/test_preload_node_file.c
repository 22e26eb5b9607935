/*
 * Stack nodes when the process is killed at each named point of packing and of giving windows on:
 * the file has every node that was written, once or twice the same.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "preload_nodes.h"

static void point(const char *name);
#define NODE_FILE_POINT(name) point(name)
#include "node_file.c"

#define CHUNK NODES_CHUNK
#define NODES (5 * CHUNK)

/* Shared with the child: what it has written, and where it is to die. */
static struct shared {
	uint32_t written;
	unsigned left; /* points until the fatal one */
	char where[32];
} * shared;

static void point(const char *name)
{
	if (shared->left-- > 1)
		return;
	strncpy(shared->where, name, sizeof(shared->where) - 1);
	kill(getpid(), SIGKILL);
}

static uint64_t word_of(uint32_t id)
{
	return TRACE_NODE(id % 3 ? id - 1 : id / 2, id % 2, id * 2654435761U % 5000);
}

static void child(void)
{
	node_file_init(0);
	for (uint32_t id = NODE_FILE_FIRST; id < NODES; id++) {
		if (id % CHUNK < NODE_FILE_FIRST)
			continue;
		if (!node_file_write(id, word_of(id)))
			_exit(1);
		shared->written = id;
	}
	_exit(0);
}

static void check_packed(const struct support_segment *segment, bool *found)
{
	static uint64_t words[CHUNK];

	nodes_unpack(segment, words);
	for (uint32_t word = NODE_FILE_FIRST; word < CHUNK; word++) {
		uint32_t id = segment->head.index * CHUNK + word;

		ck_assert_uint_eq(words[word], word_of(id));
		found[id] = true;
	}
}

static void check_file(void)
{
	static bool found[NODES + CHUNK];
	struct support_trace trace = support_parse("t");

	memset(found, 0, sizeof(found));
	for (size_t i = 0; i < trace.count; i++) {
		const struct support_segment *segment = &trace.segments[i];
		const uint64_t *words = (const void *)(trace.bytes + segment->offset);
		uint64_t index = segment->head.index;

		if (segment->head.type == TRACE_SEGMENT_PACKED)
			check_packed(segment, found);
		if (segment->head.type == TRACE_SEGMENT_WINDOW)
			index = words[TRACE_WINDOW_CHUNK_WORD] - 1;
		if (segment->head.type == TRACE_SEGMENT_PACKED || index >= NODES / CHUNK)
			continue;
		for (uint32_t word = NODE_FILE_FIRST; word < CHUNK; word++) {
			uint32_t id = (uint32_t)index * CHUNK + word;

			ck_assert(!words[word] || words[word] == word_of(id));
			found[id] |= words[word] != 0;
		}
	}
	for (uint32_t id = NODE_FILE_FIRST; id <= shared->written; id++)
		ck_assert_msg(found[id] || id % CHUNK < NODE_FILE_FIRST,
			      "node %u is missing after a kill at \"%s\"", id, shared->where);
	support_trace_free(&trace);
}

START_TEST(killed_at_each_point)
{
	unsigned points = 0;
	int status = 0;

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(shared != MAP_FAILED);
	do {
		pid_t pid;

		support_enter();
		support_create();
		*shared = (struct shared){.left = ++points};
		pid = fork();
		if (pid == 0)
			child();
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		check_file();
		support_leave();
	} while (WIFSIGNALED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	/* Four chunks packed, three of them into a window used again. */
	ck_assert_uint_ge(points, 4 * 3 + 3);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("node file");
	TCase *tests = tcase_create("node file");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, killed_at_each_point);
	suite_add_tcase(suite, tests);
	return support_run(suite);
}
