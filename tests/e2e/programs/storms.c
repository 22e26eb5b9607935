/*
 * Processes made in awkward ways. argv[1] says how, argv[2] is the directory where each process
 * leaves its truth (a child's ledger begins anew), argv[3] a number or a path. The ways:
 *
 *   threads N    forks N times while other threads allocate
 *   vfork        vfork children that allocate, of threads that have not; threads that are ending
 *                allocate meanwhile
 *   fork_vfork   a vfork child allocates on behalf of a forked one that has not yet
 *   clone        the same with clone(CLONE_VM), on a stack of its own
 *   daemon       two forks, every descriptor closed
 *   handler N    a handler forks N times out of whatever it interrupted, and the children go on
 *   _Handler N   the same by _Fork, which calls no handlers of pthread_atfork
 *   exec PATH    allocates and becomes another program
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "truth.h"

#define OTHERS	    3
#define KEEP	    32
#define BURST	    100000 /* calls of two threads side by side */
#define HANDLER_US  300
#define CLONE_STACK (256 * 1024)

static const char *directory;
static const char *argument;
static atomic_int stop;
static struct truth sums;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *blocks[KEEP];

/* At the end of a thread: its ledger joins those of the others. */
static void close_ledger(void)
{
	pthread_mutex_lock(&lock);
	truth_add(&sums, &truth);
	pthread_mutex_unlock(&lock);
	memset(&truth, 0, sizeof(truth));
}

/* Peaks are of the thread that saves: of a process with threads they mean nothing. */
static void save(const char *role)
{
	sums.peak_bytes = truth.peak_bytes;
	sums.peak_blocks = truth.peak_blocks;
	close_ledger();
	truth_save(directory, role, &sums);
}

static void begin_child(void)
{
	memset(&truth, 0, sizeof(truth));
	memset(&sums, 0, sizeof(sums));
}

/* What every child does: three blocks of its own stay, one of its parent's goes. */
static void live_as_child(void)
{
	void *own[5];

	free(blocks[0]);
	truth.foreign_frees++;
	for (size_t i = 0; i < 5; i++)
		own[i] = truth_malloc(100 + i);
	truth_free(own[1], 101);
	truth_free(own[4], 104);
}

static void wait_for(pid_t child, int options)
{
	int status;

	TRUTH_REQUIRE(child > 0 && waitpid(child, &status, options) == child && status == 0);
}

static void *work(void *unused)
{
	void *kept[KEEP] = {NULL};

	for (size_t i = 0; !atomic_load(&stop); i++) {
		size_t slot = i * 7 % KEEP;

		truth_free(kept[slot], 10 + slot);
		kept[slot] = truth_malloc(10 + slot);
	}
	close_ledger();
	return unused;
}

static void run_threads(void)
{
	pthread_t others[OTHERS];
	int rounds = atoi(argument);

	blocks[0] = truth_malloc(50);
	for (int i = 0; i < OTHERS; i++)
		TRUTH_REQUIRE(!pthread_create(&others[i], NULL, work, NULL));
	for (int i = 0; i < rounds; i++) {
		pid_t child = fork();

		if (child == 0) {
			begin_child();
			live_as_child();
			save("child");
			if (i % 2)
				exit(0);
			_exit(0);
		}
		truth_free(truth_malloc(77), 77);
		wait_for(child, 0);
	}
	atomic_store(&stop, 1);
	for (int i = 0; i < OTHERS; i++)
		pthread_join(others[i], NULL);
	save("parent");
}

/*
 * Of threads that share memory with a child: `one` has had no event when its child allocates on its
 * behalf; when it ends it still allocates, side by side with `two`, which is new.
 */
static pthread_key_t late_key;
static sem_t two_may_begin;
static int (*make_child)(void (*life)(void *), void *block);

static void burst(void)
{
	for (int i = 0; i < BURST; i++)
		truth_free(truth_malloc(30), 30);
}

static void late_burst(void *unused)
{
	(void)unused;
	sem_post(&two_may_begin);
	burst();
	close_ledger();
}

static void live_in_parent(void *block)
{
	truth_free(truth_malloc(10), 10);
	*(void **)block = truth_malloc(20);
}

static void *one(void *unused)
{
	void *block = NULL;

	wait_for(make_child(live_in_parent, &block), __WALL);
	truth_free(block, 20);
	pthread_setspecific(late_key, &late_key);
	return unused;
}

static void *two(void *unused)
{
	void *block = NULL;

	sem_wait(&two_may_begin);
	wait_for(make_child(live_in_parent, &block), __WALL);
	burst();
	truth_free(block, 20);
	close_ledger();
	return unused;
}

static void run_pairs(void)
{
	sem_init(&two_may_begin, 0, 0);
	pthread_key_create(&late_key, late_burst);
	for (int i = 0; i < 10; i++) {
		pthread_t a, b;

		TRUTH_REQUIRE(!pthread_create(&b, NULL, two, NULL));
		TRUTH_REQUIRE(!pthread_create(&a, NULL, one, NULL));
		pthread_join(a, NULL);
		pthread_join(b, NULL);
	}
	save("parent");
}

TRUTH_NOINLINE static int child_by_vfork(void (*life)(void *), void *block)
{
	pid_t child = vfork();

	if (child == 0) {
		life(block);
		_exit(0);
	}
	return child;
}

static void run_vfork(void)
{
	make_child = child_by_vfork;
	run_pairs();
}

static void run_fork_vfork(void)
{
	pid_t child;
	static void *block;

	blocks[0] = truth_malloc(50);
	child = fork();
	if (child == 0) {
		wait_for(child_by_vfork(live_in_parent, &block), 0);
		begin_child();
		live_as_child();
		free(block); /* nobody recorded it */
		truth.foreign_frees++;
		save("child");
		exit(0);
	}
	wait_for(child, 0);
	save("parent");
}

struct life {
	void (*live)(void *);
	void *block;
};

static int live_cloned(void *life)
{
	((struct life *)life)->live(((struct life *)life)->block);
	return 0;
}

/* The parent waits until it is over: they share what libc keeps for the thread. */
static int child_by_clone(void (*live)(void *), void *block)
{
	static __thread char stack[CLONE_STACK] __attribute__((aligned(64)));
	struct life life = {live, block};

	return clone(live_cloned, stack + sizeof(stack), CLONE_VM | SIGCHLD, &life);
}

static void run_clone(void)
{
	make_child = child_by_clone;
	run_pairs();
}

static void leave(void)
{
	_exit(0);
}

static void run_daemon(void)
{
	blocks[0] = truth_malloc(50);
	blocks[1] = truth_malloc(50);
	if (fork()) {
		save("parent");
		leave();
	}
	begin_child();
	setsid();
	live_as_child();
	if (fork()) {
		save("child");
		leave();
	}
	begin_child();
	blocks[0] = blocks[1]; /* the other is freed already */
	live_as_child();
	TRUTH_REQUIRE(chdir("/") == 0);
	umask(0777);
	for (int fd = 0; fd < 65536; fd++)
		close(fd);
	for (int i = 0; i < 5000; i++) /* more than fits a ring */
		truth_free(truth_malloc(60), 60);
	umask(0);
	save("daemon");
	exit(0);
}

static volatile sig_atomic_t forks_left;
static volatile sig_atomic_t is_child;
static int by_Fork;

static void fork_in_handler(int signal)
{
	pid_t child;

	(void)signal;
	if (is_child || !forks_left)
		return;
	forks_left--;
	child = by_Fork ? _Fork() : fork();
	if (child == 0)
		is_child = 1;
}

static void set_timer(int interval)
{
	struct itimerval timer = {{0, interval}, {0, interval}};

	setitimer(ITIMER_REAL, &timer, NULL);
}

/* One call was under way when the child began: it may or may not be in the child's trace. */
static void end_forked(void)
{
	set_timer(0);
	begin_child();
	for (int i = 0; i < 5000; i++)
		truth_free(truth_malloc(40), 40);
	save("forked");
	_exit(0);
}

static void run_handler(void)
{
	struct sigaction action = {.sa_handler = fork_in_handler, .sa_flags = SA_RESTART};
	void *block = truth_malloc(60);
	int forks = atoi(argument);

	forks_left = forks;
	sigaction(SIGALRM, &action, NULL);
	set_timer(HANDLER_US);
	while (forks_left && !is_child) {
		void *other = malloc(60);

		if (is_child)
			break;
		truth_got(other, 60);
		free(block);
		if (is_child)
			break;
		truth_gave(block, 60);
		block = other;
	}
	if (is_child)
		end_forked();
	set_timer(0);
	for (int i = 0; i < forks; i++) {
		int status;

		TRUTH_REQUIRE(wait(&status) > 0 && status == 0);
	}
	truth_free(block, 60);
	save("parent");
}

static void run_exec(void)
{
	char *arguments[] = {(char *)argument, (char *)"seven", NULL};

	for (int i = 0; i < 7; i++)
		blocks[i] = truth_malloc(700);
	save("before");
	execv(argument, arguments);
	_exit(127);
}

static void run_Handler(void)
{
	by_Fork = 1;
	run_handler();
}

static const struct {
	const char *name;
	void (*run)(void);
} ways[] = {
    {"threads", run_threads},	    {"vfork", run_vfork},   {"clone", run_clone},
    {"fork_vfork", run_fork_vfork}, {"daemon", run_daemon}, {"handler", run_handler},
    {"_Handler", run_Handler},	    {"exec", run_exec},
};

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	directory = argv[2];
	argument = argc > 3 ? argv[3] : "";
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		if (strcmp(argv[1], ways[i].name) == 0)
			ways[i].run();
	return 0;
}
