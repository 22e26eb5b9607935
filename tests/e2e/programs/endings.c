/*
 * Ends while threads allocate: argv[1] is the file where completed calls are published, argv[2] the
 * number of threads that work until then, argv[3] how it ends. The ways are a table below. What it
 * prints and its status are the same each time.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/resource.h>

#include "published.h"

#define KEEP	   64
#define HOG_BYTES  (1 << 20)
#define WORKING_US 20000

static sigjmp_buf out;
static struct published_thread *own; /* of the main thread, the last slot */

/* Sites with an endings_ function in their stack are what is published. */
TRUTH_NOINLINE static void endings_worker(struct published_thread *self)
{
	void *kept[KEEP] = {NULL};

	atomic_fetch_add(&published->running, 1);
	for (uint64_t i = 1;; i++) {
		void **slot = &kept[i * 7 % KEEP];

		if (*slot)
			published_free(self, *slot);
		*slot = published_malloc(self, i % 200);
	}
}

TRUTH_NOINLINE static void endings_main(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		published_free(own, published_malloc(own, 24));
	published_malloc(own, 24);
}

static void *begin(void *argument)
{
	endings_worker(argument);
	return NULL;
}

static void say(const char *text)
{
	TRUTH_REQUIRE(write(1, text, strlen(text)) == (ssize_t)strlen(text));
}

static void end_return(void)
{
}

static void end_exit(void)
{
	exit(3);
}

static void end__exit(void)
{
	_exit(4);
}

static void end__Exit(void)
{
	_Exit(5);
}

static void at_quick(void)
{
	endings_main(10);
	say("at quick exit\n");
}

static void end_quick(void)
{
	at_quick_exit(at_quick);
	quick_exit(6);
}

static void *last_thread(void *unused)
{
	usleep(WORKING_US);
	endings_main(100);
	return unused;
}

/* The main thread leaves; the last one to go ends the process. */
static void end_thread(void)
{
	pthread_t thread;

	TRUTH_REQUIRE(!pthread_create(&thread, NULL, last_thread, NULL));
	pthread_exit(NULL);
}

static void end_abort(void)
{
	abort();
}

static void crash(void)
{
	static volatile int *volatile nowhere;

	*nowhere = 1;
}

static void on_crash(int signal)
{
	(void)signal;
	say("crashed\n");
	endings_main(10);
}

static void handler_exit(int signal)
{
	on_crash(signal);
	_exit(44);
}

static void handler_again(int signal)
{
	on_crash(signal);
	raise(signal); /* by default now, once the handler is left */
}

static void handler_jump(int signal)
{
	on_crash(signal);
	siglongjmp(out, 1);
}

static void crash_into(void (*handler)(int), int flags)
{
	static char stack[64 * 1024];
	stack_t other = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK | flags};

	TRUTH_REQUIRE(!sigaltstack(&other, NULL) && !sigaction(SIGSEGV, &action, NULL));
	crash();
}

static void end_crash_exit(void)
{
	crash_into(handler_exit, 0);
}

static void end_crash_again(void)
{
	crash_into(handler_again, (int)SA_RESETHAND);
}

static void end_crash_jump(void)
{
	if (sigsetjmp(out, 1) == 0)
		crash_into(handler_jump, 0);
	endings_main(100);
	exit(45);
}

/* glibc says what is wrong on stderr and aborts, from within free. */
static void end_bad_free(void)
{
	static _Alignas(16) char no_heap[64];
	void *volatile block = no_heap + 16;

	free(block);
}

static void end_kill(void)
{
	kill(getpid(), SIGKILL);
}

static void end_terminate(void)
{
	kill(getpid(), SIGTERM);
}

/* Until the kernel kills us: in a memory cgroup. */
TRUTH_NOINLINE static void endings_hog(void)
{
	for (;;)
		memset(published_malloc(own, HOG_BYTES), 1, HOG_BYTES);
}

static void end_exec(void)
{
	execl("/bin/echo", "echo", "replaced", (char *)NULL);
}

static const struct {
	const char *name;
	void (*end)(void);
} ways[] = {
    {"return", end_return},
    {"exit", end_exit},
    {"_exit", end__exit},
    {"_Exit", end__Exit},
    {"quick", end_quick},
    {"thread", end_thread},
    {"abort", end_abort},
    {"crash", crash},
    {"crash_exit", end_crash_exit},
    {"crash_again", end_crash_again},
    {"crash_jump", end_crash_jump},
    {"bad_free", end_bad_free},
    {"kill", end_kill},
    {"terminate", end_terminate},
    {"hog", endings_hog},
    {"exec", end_exec},
};

int main(int argc, char **argv)
{
	static const struct rlimit no_core = {0, 0};
	unsigned threads = argc > 3 ? (unsigned)atoi(argv[2]) : PUBLISHED_THREADS;

	if (threads >= PUBLISHED_THREADS)
		return 2;
	setrlimit(RLIMIT_CORE, &no_core);
	published_open(argv[1]);
	own = &published->threads[PUBLISHED_THREADS - 1];
	say("begins\n");
	for (unsigned i = 0; i < threads; i++) {
		pthread_t thread;

		TRUTH_REQUIRE(!pthread_create(&thread, NULL, begin, &published->threads[i]));
	}
	while (atomic_load(&published->running) < threads)
		usleep(100);
	endings_main(1000);
	usleep(WORKING_US);
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		if (strcmp(argv[3], ways[i].name) == 0)
			ways[i].end();
	return 0;
}
