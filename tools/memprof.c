/*
 * memprof: the command in front of the others. `memprof run` starts a program with the recorder
 * preloaded, tells beforehand what cannot work, and ends as the program ended; `memprof report`
 * and `memprof plot` are the commands beside this one.
 */
#include "child.h"
#include "log.h"
#include "preload_env.h"
#include "program.h"
#include "run_options.h"
#include "run_trace.h"
#include "say.h"

#include <memprof/trace.h>

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_USAGE 2

static void print_help(FILE *out)
{
	fputs(
	    "Usage: memprof run [OPTIONS] [--] PROGRAM [ARGUMENTS]\n"
	    "       memprof report [OPTIONS] [TRACE]\n"
	    "       memprof plot [OPTIONS] [TRACE] [-o FILE.svg]\n"
	    "\n"
	    "Records every heap allocation of a program with its call stack, and shows what held\n"
	    "the memory, what leaks and what is churned. 'run' records into memprof.NAME.PID.bin;\n"
	    "'report' and 'plot' read the newest trace of the directory or the one named.\n"
	    "\n"
	    "  -h, --help      this text; after run, report or plot: that command's own\n"
	    "  -V, --version   the version\n",
	    out);
}

static void print_run_help(void)
{
	fputs("Usage: memprof run [OPTIONS] [--] PROGRAM [ARGUMENTS]\n"
	      "\n"
	      "Runs the program with every allocation recorded, and ends with its exit status.\n"
	      "\n",
	      stdout);
	run_options_help(stdout);
	fputs("  -h, --help              this text\n"
	      "\n"
	      "Each option sets the environment variable of the recorder that memprof(1) names.\n"
	      "Exit status: the program's own; death by the same signal; 2 not run, for a reason\n"
	      "told; 126 not executable; 127 not found.\n",
	      stdout);
}

/* The reader's name as the user can type it: as this command was, or found in PATH likewise. */
static void name_reader(const char *self, char *quoted, size_t quoted_bytes)
{
	char command[PATH_MAX];
	const char *slash = strrchr(self, '/');
	snprintf(command, sizeof(command), "%.*smemprof-report",
		 slash ? (int)(slash - self) + 1 : 0, self);
	say_quoted(command, quoted, quoted_bytes);
}

static void print_next_command(const char *self, const char *trace)
{
	char quoted_trace[PATH_MAX + 64], command[PATH_MAX + 64];
	name_reader(self, command, sizeof(command));
	say("next: %s %s", command, say_quoted(trace, quoted_trace, sizeof(quoted_trace)));
}

/* The recorder has told the next command, by a name that is good only if PATH leads to it. */
static void tell_reader(const char *self)
{
	char path[PATH_MAX], command[PATH_MAX + 64];
	if (!strchr(self, '/') || !program_find("memprof-report", path))
		return;
	name_reader(self, command, sizeof(command));
	say("memprof-report is not in PATH: it is %s", command);
}

/* For a program killed, or one that ended by a system call of its own, past libc: Go's do. */
static void tell_not_told(const char *self, const char *name, const struct child *child,
			  const struct run_trace *trace)
{
	int signal = WTERMSIG(child->status);
	if (WIFSIGNALED(child->status))
		say("%s (pid %ld) was killed by signal %d, %s%s", name, (long)child->pid, signal,
		    strsignal(signal), WCOREDUMP(child->status) ? " (core dumped)" : "");
	say("all it had done is in %s (%.1f MB)", trace->path, (double)trace->bytes / 1e6);
	print_next_command(self, trace->path);
}

/* With commas, as the recorder writes it. */
static const char *counted(uint64_t number, char *buffer, size_t buffer_bytes)
{
	struct text text;
	text_init(&text, buffer, buffer_bytes);
	text_add_count(&text, number);
	text_end(&text, buffer);
	return buffer;
}

/* For a program that closed its stderr before the recorder could speak, as coreutils do. */
static void tell_ended(const char *self, const struct run_trace *trace)
{
	char events[32], blocks[32];
	say("recorded %s", trace->path);
	say("%s event%s, peak RSS %.1f MiB, %s block%s live at end",
	    counted(trace->events, events, sizeof(events)), trace->events == 1 ? "" : "s",
	    (double)trace->peak_rss_bytes / (1 << 20),
	    counted(trace->blocks, blocks, sizeof(blocks)), trace->blocks == 1 ? "" : "s");
	print_next_command(self, trace->path);
}

static void tell_no_trace(const char *name, const struct options *options)
{
	if (!options->start) {
		say("%s ended without a call of memprof_start(): nothing was recorded (--dormant)",
		    name);
		return;
	}
	say("no trace of %s was written: it allocated nothing, or removed LD_PRELOAD, or the "
	    "file could not be made, which a line above tells",
	    name);
}

/* Ends the header of a killed program's trace, and says what the recorder could not. */
static void after_run(const char *self, const char *name, const struct options *options,
		      const struct child *child)
{
	struct run_trace trace;
	if (!run_trace_find(options->out, child, &trace)) {
		tell_no_trace(name, options);
		return;
	}
	bool known = trace.end != TRACE_END_NONE;
	int error = known ? 0 : run_trace_mark_end(&trace, child);
	if (error)
		say("%s: cannot write down how the program ended: %s", trace.path,
		    strerror(-error));
	if (options->quiet)
		return;
	if (!known)
		tell_not_told(self, name, child, &trace);
	else if (!(trace.flags & TRACE_FLAG_SAID))
		tell_ended(self, &trace);
	else
		tell_reader(self);
}

static int run_program(const char *self, char **argv, const struct options *options)
{
	char path[PATH_MAX];
	struct child child;
	enum program_verdict verdict = program_check(argv[0], path);
	if (verdict != PROGRAM_FINE)
		return verdict;
	if (!run_trace_prepare(options->out) || !preload_env_set())
		return EXIT_USAGE;
	int error = child_run(path, argv, &child);
	preload_env_fini();
	if (error) {
		say("cannot start a process: %s", strerror(-error));
		return EXIT_USAGE;
	}
	if (child.error) {
		say("%s: %s", argv[0], strerror(child.error));
		return child.error == ENOENT ? PROGRAM_NOT_FOUND : PROGRAM_NOT_EXECUTABLE;
	}
	after_run(self, argv[0], options, &child);
	if (WIFSIGNALED(child.status))
		child_die_alike(WTERMSIG(child.status));
	return WEXITSTATUS(child.status);
}

static int command_run(const char *self, int argc, char **argv)
{
	struct options options;
	int first = run_options_parse(argc, argv);
	if (first == -2) {
		print_run_help();
		return 0;
	}
	if (first < 0)
		return EXIT_USAGE;
	if (first >= argc) {
		say("no program named: memprof run [OPTIONS] [--] PROGRAM [ARGUMENTS]");
		return EXIT_USAGE;
	}
	if (!run_options_load(&options))
		return EXIT_USAGE;
	return run_program(self, argv + first, &options);
}

/* Becomes memprof-report or memprof-plot. */
static int command_beside(const char *name, char **argv)
{
	char command[32], path[PATH_MAX];
	snprintf(command, sizeof(command), "memprof-%s", name);
	preload_env_command(command, path);
	argv[0] = command;
	execvp(path, argv);
	say("%s: %s: build or install memprof again", path, strerror(errno));
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";
	if (!strcmp(command, "run"))
		return command_run(argv[0], argc - 1, argv + 1);
	if (!strcmp(command, "report") || !strcmp(command, "plot"))
		return command_beside(command, argv + 1);
	if (!strcmp(command, "-h") || !strcmp(command, "--help") || !strcmp(command, "help")) {
		print_help(stdout);
		return 0;
	}
	if (!strcmp(command, "-V") || !strcmp(command, "--version")) {
		puts("memprof " MEMPROF_VERSION);
		return 0;
	}
	if (!*command)
		print_help(stderr);
	else
		say("%s: no such command: run, report or plot: see memprof --help", command);
	return EXIT_USAGE;
}
