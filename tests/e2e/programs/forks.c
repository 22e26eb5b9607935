/*
 * Processes: the first argument says how they come to be, the second is the directory where each
 * process leaves its truth. A child's ledger begins anew: what it inherits is foreign to it.
 *
 *   fork    a child that frees its parent's blocks, and its own; a grandchild
 *   many    thirty children, ten at a time
 *   title   overwrites its environment, as setproctitle() does in servers, then forks
 *   vfork   vfork and exec of this program as "leaf"
 *   exec    allocates, then replaces itself by "leaf"
 *   spawn   posix_spawn of "leaf"
 *   leaf    what the others start
 *   quick   ends by _exit with blocks live (abort and a signal: "abort", "segv")
 */
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "truth.h"

extern char **environ;
static const char *directory;
static void *blocks[100];

static void allocate(size_t from, size_t to, size_t bytes)
{
	for (size_t i = from; i < to; i++)
		blocks[i] = truth_malloc(bytes);
}

static void begin_child(void)
{
	memset(&truth, 0, sizeof(truth));
}

/* Frees inherited blocks: foreign. */
static void free_inherited(size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		truth.foreign_frees++;
		free(blocks[i]);
	}
}

static void wait_for(pid_t child)
{
	int status;

	TRUTH_REQUIRE(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

static void run_leaf_alone(int depth)
{
	pid_t child = fork();

	if (child == 0) {
		begin_child();
		free_inherited(0, 20);
		allocate(0, 10, 64);
		blocks[20] = realloc(blocks[20], 900); /* a foreign block moves to be ours */
		truth.foreign_frees++;
		truth.reallocs++;
		truth_got(blocks[20], 900);
		if (depth > 1)
			run_leaf_alone(depth - 1);
		truth_free(blocks[0], 64);
		truth_save(directory, "forked", &truth);
		if (depth > 1)
			exit(0);
		_exit(0);
	}
	wait_for(child);
}

static void run_fork(char **argv)
{
	(void)argv;
	allocate(0, 50, 100);
	run_leaf_alone(2);
	truth_free(blocks[49], 100);
	truth_save(directory, "parent", &truth);
}

static void run_many(char **argv)
{
	pid_t children[10];

	(void)argv;
	allocate(0, 50, 100);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 10; i++) {
			children[i] = fork();
			if (children[i] == 0) {
				begin_child();
				free_inherited(0, (size_t)i);
				allocate(50, 60, 33);
				truth_save(directory, "child", &truth);
				exit(0);
			}
			allocate(60 + (size_t)i, 61 + (size_t)i, 50);
		}
		for (int i = 0; i < 10; i++) {
			wait_for(children[i]);
			truth_free(blocks[60 + i], 50);
		}
	}
	truth_save(directory, "parent", &truth);
}

static void run_title(char **argv)
{
	pid_t child;

	(void)argv;
	for (char **variable = environ; *variable; variable++)
		memset(*variable, 'x', strlen(*variable));
	allocate(0, 50, 100);
	child = fork();
	if (child == 0) {
		begin_child();
		free_inherited(0, 3);
		allocate(50, 60, 33);
		truth_save(directory, "child", &truth);
		exit(0);
	}
	wait_for(child);
	truth_save(directory, "parent", &truth);
}

static void run_vfork(char **argv)
{
	allocate(0, 5, 1000);
	for (volatile int i = 0; i < 3; i++) {
		pid_t child = vfork();

		if (child == 0) {
			execl(argv[0], argv[0], "leaf", directory, (char *)NULL);
			_exit(127);
		}
		wait_for(child);
		truth_free(truth_malloc(77), 77);
	}
	truth_save(directory, "parent", &truth);
}

static void run_exec(char **argv)
{
	allocate(0, 7, 700);
	truth_free(blocks[3], 700);
	truth_save(directory, "before", &truth);
	execl("/nonexistent/program", "program", (char *)NULL); /* fails, goes on */
	execl(argv[0], argv[0], "leaf", directory, (char *)NULL);
	_exit(127);
}

static void run_spawn(char **argv)
{
	char leaf[] = "leaf";
	char *arguments[] = {argv[0], leaf, argv[2], NULL};
	pid_t child;

	allocate(0, 4, 40);
	TRUTH_REQUIRE(posix_spawn(&child, argv[0], NULL, NULL, arguments, environ) == 0);
	wait_for(child);
	truth_save(directory, "parent", &truth);
}

static void run_leaf(char **argv)
{
	(void)argv;
	allocate(0, 30, 300);
	truth_free(blocks[0], 300);
	truth_save(directory, "leaf", &truth);
}

static void leave_ledger(void)
{
	allocate(0, 30, 300);
	truth_free(blocks[29], 300);
	truth_save(directory, "leaf", &truth);
}

static void run_quick(char **argv)
{
	(void)argv;
	leave_ledger();
	_exit(5);
}

static void run_abort(char **argv)
{
	(void)argv;
	leave_ledger();
	abort();
}

static void run_segv(char **argv)
{
	(void)argv;
	leave_ledger();
	raise(SIGSEGV);
}

static const struct {
	const char *name;
	void (*run)(char **argv);
} ways[] = {
    {"fork", run_fork},	  {"many", run_many},	{"title", run_title}, {"vfork", run_vfork},
    {"exec", run_exec},	  {"spawn", run_spawn}, {"leaf", run_leaf},   {"quick", run_quick},
    {"abort", run_abort}, {"segv", run_segv},
};

int main(int argc, char **argv)
{
	static const struct rlimit no_core = {0, 0};

	setrlimit(RLIMIT_CORE, &no_core);
	if (truth_is_baseline(argc, argv)) {
		truth_print(1, &truth);
		return 0;
	}
	if (argc != 3)
		return 2;
	directory = argv[2];
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		if (strcmp(argv[1], ways[i].name) == 0)
			ways[i].run(argv);
	return 0;
}
