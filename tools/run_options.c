#include "run_options.h"

#include "say.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An option with a fixed `value` takes no argument; the others put theirs into the variable. */
static const struct run_option {
	char letter; /* 0: none */
	const char *name;
	const char *argument;
	const char *variable;
	const char *value;
	const char *help;
} run_options[] = {
    {'o', "out", "PATTERN", "MEMPROF_OUT", NULL,
     "name of the trace: %p pid, %e program, %h host, %n\n"
     "number, %q{VAR} environment (memprof.%e.%p.bin)"},
    {0, "children", NULL, "MEMPROF_CHILDREN", "1",
     "record forked and exec'd processes too, each in a\nfile of its own (the default)"},
    {0, "no-children", NULL, "MEMPROF_CHILDREN", "0", "record only the first process"},
    {'d', "depth", "FRAMES", "MEMPROF_DEPTH", NULL, "cut call stacks at 1 to 1024 frames (256)"},
    {'u', "unwind", "METHOD", "MEMPROF_UNWIND", NULL,
     "auto, libunwind, fp (frame pointers), or verify\n(each stack by two methods, differences "
     "counted)"},
    {'s', "sample", "BYTES", "MEMPROF_SAMPLE", NULL,
     "mean bytes between samples; this version knows 0\nalone: every allocation"},
    {0, "mmap", NULL, "MEMPROF_MMAP", "1", "record the program's own anonymous mmap too"},
    {0, "no-mmap", NULL, "MEMPROF_MMAP", "0", "leave mmap alone"},
    {0, "compress", "METHOD", "MEMPROF_COMPRESS", NULL, "zstd (the default) or none"},
    {0, "dormant", NULL, "MEMPROF_START", "0",
     "record nothing until the program calls\nmemprof_start()"},
    {'q', "quiet", NULL, "MEMPROF_QUIET", "1", "no summary at the end"},
};
#define RUN_OPTIONS (sizeof(run_options) / sizeof(run_options[0]))

/* Lays the table out as getopt_long wants it: '+' stops at the program's name, ':' keeps quiet. */
static void fill_getopt(char *letters, struct option *longs)
{
	*letters++ = '+';
	*letters++ = ':';
	*letters++ = 'h';
	for (size_t i = 0; i < RUN_OPTIONS; i++) {
		const struct run_option *option = &run_options[i];
		int argument = option->value ? no_argument : required_argument;
		longs[i] = (struct option){option->name, argument, NULL, (int)i + 256};
		if (option->letter) {
			*letters++ = option->letter;
			if (!option->value)
				*letters++ = ':';
		}
	}
	*letters = '\0';
	longs[RUN_OPTIONS] = (struct option){"help", no_argument, NULL, 'h'};
	longs[RUN_OPTIONS + 1] = (struct option){NULL, 0, NULL, 0};
}

static const struct run_option *find_option(int code)
{
	for (size_t i = 0; i < RUN_OPTIONS; i++)
		if (code == (int)i + 256 || (code < 256 && run_options[i].letter == code))
			return &run_options[i];
	return NULL;
}

/* Sets the variable and lets the recorder's own parser judge it alone. */
static bool set_option(const struct run_option *option, const char *argument)
{
	const char *value = option->value ? option->value : argument;
	struct options parsed;
	char error[512];
	char *assignment;
	if (setenv(option->variable, value, 1) ||
	    asprintf(&assignment, "%s=%s", option->variable, value) < 0) {
		say("--%s: %s", option->name, strerror(errno));
		return false;
	}
	int result = options_parse(&parsed, (char *[]){assignment, NULL}, error, sizeof(error));
	free(assignment);
	if (result)
		say("--%s: %s", option->name, error);
	return result == 0;
}

int run_options_parse(int argc, char **argv)
{
	char letters[2 * RUN_OPTIONS + 4];
	struct option longs[RUN_OPTIONS + 2];
	fill_getopt(letters, longs);
	opterr = 0;
	optind = 1;
	for (;;) {
		int at = optind;
		int code = getopt_long(argc, argv, letters, longs, NULL);
		if (code == -1)
			return optind;
		if (code == 'h')
			return -2;
		if (code == '?') {
			say("%s: no such option: see memprof run --help", argv[at]);
			return -1;
		}
		if (code == ':') {
			say("%s: needs a value: see memprof run --help", argv[at]);
			return -1;
		}
		const struct run_option *option = find_option(code);
		if (!option || !set_option(option, optarg))
			return -1;
	}
}

bool run_options_load(struct options *options)
{
	char error[512];
	if (!options_parse(options, environ, error, sizeof(error)))
		return true;
	say("in the environment: %s", error);
	return false;
}

void run_options_help(FILE *out)
{
	for (size_t i = 0; i < RUN_OPTIONS; i++) {
		const struct run_option *option = &run_options[i];
		char name[40], letter[5] = "    ";
		if (option->letter)
			snprintf(letter, sizeof(letter), "-%c, ", option->letter);
		snprintf(name, sizeof(name), "%s%s%s", option->name, option->value ? "" : "=",
			 option->value ? "" : option->argument);
		fprintf(out, "  %s--%-17s ", letter, name);
		for (const char *c = option->help; *c; c++) {
			putc(*c, out);
			if (*c == '\n')
				fprintf(out, "%26s", "");
		}
		putc('\n', out);
	}
}
