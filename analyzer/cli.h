/*
 * What memprof-report and memprof-plot have in common: options from a table, error lines, and the
 * trace to read when none is named.
 */
#ifndef CLI_H
#define CLI_H

#include <stdbool.h>
#include <stddef.h>

/* Exit codes of the commands. */
enum cli_exit {
	CLI_DONE = 0,
	CLI_DAMAGED = 1,   /* the trace has damage; what could be read was reported */
	CLI_UNUSABLE = 2,  /* wrong usage, or a file that cannot be read or written */
	CLI_CONDITION = 3, /* a --fail-if condition held */
};

/* Where an option's value goes, by kind: the type of the member at `offset`. */
enum cli_kind {
	CLI_FLAG,   /* bool */
	CLI_NUMBER, /* size_t, decimal */
	CLI_STRING, /* const char *, a view into argv */
	CLI_CHOICE, /* int: index of the word in `choices` */
	CLI_SET,    /* unsigned: bit i for word i of `choices`; words separated by commas */
	CLI_CUSTOM, /* whatever `set` makes of it */
};

struct cli_option {
	const char *name; /* long name, without dashes */
	char letter;	  /* 0: none */
	enum cli_kind kind;
	const char *argument; /* what --help calls it; NULL: CLI_FLAG */
	const char *help;
	size_t offset;
	const char *const *choices; /* NULL-terminated */
	/* CLI_CUSTOM: returns 0, or writes what is wrong with `value` into `error` and returns -1.
	 */
	int (*set)(void *options, const char *value, char *error, size_t error_bytes);
};

struct cli_command {
	const char *name;     /* memprof-report */
	const char *synopsis; /* [options] [FILE] */
	const char *about;    /* paragraph before the options */
	const char *more;     /* after them; may be NULL */
	const struct cli_option *options;
	size_t option_count;
};

#define CLI_RUN (-1)

/*
 * Parses argv into `options`, which already holds the defaults. *file becomes the operand, or NULL
 * when there is none. --help and --version are known to every command. Returns CLI_RUN, or the exit
 * code to end with: help was printed (CLI_DONE), or an error was (CLI_UNUSABLE).
 */
int cli_parse(const struct cli_command *command, int argc, char *const *argv, void *options,
	      const char **file);

/* Prints "COMMAND: ..." as one line to stderr in one write; controls are made visible. */
void cli_error(const struct cli_command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * The newest memprof.*.bin of `folder` by time of modification, then by name. Returns how many
 * there are and, if any, sets *path to its path and *largest to that of the largest, or to NULL
 * when the newest is; the caller frees both. -errno on failure, which sets neither.
 */
int cli_newest_trace(const char *folder, char **path, char **largest);

/*
 * The trace to read: `file`, or the newest of the working directory, about which one line is said
 * when there are others, with the largest by name: of a compiler's driver and the compiler the
 * driver ends last. NULL after an error line; else the caller frees it.
 */
char *cli_trace(const struct cli_command *command, const char *file);

/* Says one line when there is no folder of that name, for nothing is found in it. NULL: not asked.
 */
void cli_check_sysroot(const struct cli_command *command, const char *sysroot);

/* Whether both paths are one existing file: an output must never overwrite the trace it is of. */
bool cli_same_file(const char *a, const char *b);

/* Words of --color. */
extern const char *const cli_color_choices[];
enum cli_color { CLI_COLOR_AUTO, CLI_COLOR_ALWAYS, CLI_COLOR_NEVER };

/* auto: `fd` is a terminal that is not dumb, and NO_COLOR (no-color.org) is unset or empty. */
bool cli_color(enum cli_color color, int fd);

/* Columns of the terminal at `fd`, kept within sense; 100 when it is none. */
unsigned cli_columns(int fd);

#endif
