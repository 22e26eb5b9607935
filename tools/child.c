#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void forward(int signal);

/* What the launcher does with each signal while it waits. */
static const struct signal_rule {
	int signal;
	void (*handler)(int);
} signal_rules[] = {
    {SIGINT, SIG_IGN}, {SIGQUIT, SIG_IGN}, {SIGCHLD, SIG_DFL}, {SIGTERM, forward},
    {SIGHUP, forward}, {SIGUSR1, forward}, {SIGUSR2, forward}, {SIGALRM, forward},
};
#define SIGNAL_RULES (sizeof(signal_rules) / sizeof(signal_rules[0]))

/* Written before the signals are let in, cleared before the child is reaped. */
static volatile sig_atomic_t forward_to;

static void forward(int signal)
{
	int saved = errno;
	if (forward_to > 0)
		kill((pid_t)forward_to, signal);
	errno = saved;
}

struct saved_signals {
	struct sigaction actions[SIGNAL_RULES];
	sigset_t mask;
};

static void take_signals(struct saved_signals *saved)
{
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &saved->mask);
	for (size_t i = 0; i < SIGNAL_RULES; i++) {
		struct sigaction action = {.sa_handler = signal_rules[i].handler,
					   .sa_flags = SA_RESTART};
		sigaction(signal_rules[i].signal, NULL, &saved->actions[i]);
		if (action.sa_handler == forward && saved->actions[i].sa_handler == SIG_IGN)
			continue; /* nohup's child ignores it too */
		sigaction(signal_rules[i].signal, &action, NULL);
	}
}

static void give_signals_back(const struct saved_signals *saved)
{
	for (size_t i = 0; i < SIGNAL_RULES; i++)
		sigaction(signal_rules[i].signal, &saved->actions[i], NULL);
	sigprocmask(SIG_SETMASK, &saved->mask, NULL);
}

uint64_t child_start_time(pid_t pid)
{
	char path[64], text[1024];
	snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t got = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (got <= 0)
		return 0;
	text[got] = '\0';
	char *field = strrchr(text, ')'); /* the name, field 2, holds anything */
	for (int number = 2; field && number < 22; number++)
		field = strchr(field + 1, ' ');
	return field ? strtoull(field + 1, NULL, 10) : 0;
}

/* Waits for the end without reaping, so that /proc still knows the child and its pid is its own. */
static void wait_for_end(struct child *child, const sigset_t *mask)
{
	siginfo_t info;
	sigprocmask(SIG_SETMASK, mask, NULL);
	while (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT) && errno == EINTR)
		;
	child->start = child_start_time(child->pid);
	forward_to = 0;
	while (waitpid(child->pid, &child->status, 0) < 0 && errno == EINTR)
		;
}

/* The program itself; only a failure of execvp comes back, through the pipe. */
static void __attribute__((noreturn))
become(const char *path, char **argv, const struct saved_signals *saved, int report)
{
	give_signals_back(saved);
	execvp(path, argv);
	int error = errno;
	ssize_t ignored = write(report, &error, sizeof(error));
	(void)ignored;
	_exit(127);
}

int child_run(const char *path, char **argv, struct child *child)
{
	struct saved_signals saved;
	int report[2];
	memset(child, 0, sizeof(*child));
	if (pipe2(report, O_CLOEXEC))
		return -errno;
	take_signals(&saved);
	child->pid = fork();
	if (child->pid < 0) {
		int error = errno;
		give_signals_back(&saved);
		close(report[0]);
		close(report[1]);
		return -error;
	}
	if (child->pid == 0)
		become(path, argv, &saved, report[1]);
	close(report[1]);
	forward_to = child->pid;
	wait_for_end(child, &saved.mask);
	if (read(report[0], &child->error, sizeof(child->error)) != sizeof(child->error))
		child->error = 0;
	close(report[0]);
	return 0;
}

void child_die_alike(int signal)
{
	sigset_t only;
	struct rlimit no_core = {0, 0};
	setrlimit(RLIMIT_CORE, &no_core);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* a core_pattern with a pipe ignores the limit */
	struct sigaction action = {.sa_handler = SIG_DFL};
	sigaction(signal, &action, NULL);
	sigemptyset(&only);
	sigaddset(&only, signal);
	raise(signal);
	sigprocmask(SIG_UNBLOCK, &only, NULL);
	_exit(128 + signal);
}
