/*
 * Options are rows of a command's table; each kind of row has one function that stores its value.
 */
#include "cli.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "escape.h"
#include "out.h"

#define TRACE_PATTERN "memprof.*.bin"
#define HELP_COLUMN   26 /* where --help begins to explain */

static const struct cli_option help_option = {.name = "help", .letter = 'h'};
static const struct cli_option version_option = {.name = "version", .letter = 'V'};

const char *const cli_color_choices[] = {"auto", "always", "never", NULL};

/* Without memory: what fits, and bytes that are not plain ASCII as question marks. */
__attribute__((format(printf, 2, 0))) static void say_plainly(const struct cli_command *command,
							      const char *format, va_list arguments)
{
	char line[1024];
	size_t room = sizeof(line) - 1, used; /* leaves one for the newline */
	int bytes = snprintf(line, room, "%s: ", command->name);

	vsnprintf(line + bytes, room - (size_t)bytes, format, arguments);
	used = strlen(line);
	for (size_t i = 0; i < used; i++) {
		if (line[i] < ' ' || line[i] > '~')
			line[i] = '?';
	}
	line[used++] = '\n';
	if (write(STDERR_FILENO, line, used) < 0) {
		/* Nobody is left to be told. */
	}
}

void cli_error(const struct cli_command *command, const char *format, ...)
{
	struct out *line = NULL;
	va_list arguments, again;
	char *text = NULL;
	const char *bytes;

	va_start(arguments, format);
	va_copy(again, arguments);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	if (text && out_open_memory(&line) == 0) {
		out_printf(line, "%s: ", command->name);
		escape_terminal(line, text, strlen(text));
		out_char(line, '\n');
		bytes = out_memory(line);
		if (!out_error(line) && write(STDERR_FILENO, bytes, strlen(bytes)) < 0) {
			/* Nobody is left to be told. */
		}
	}
	if (!line || out_error(line))
		say_plainly(command, format, again);
	if (line)
		out_close(line);
	va_end(again);
	free(text);
}

/* ---- values ---- */

typedef int (*set_function)(const struct cli_option *option, void *into, const char *value,
			    char *error, size_t error_bytes);

static int set_flag(const struct cli_option *option, void *into, const char *value, char *error,
		    size_t error_bytes)
{
	(void)option, (void)value, (void)error, (void)error_bytes;
	*(bool *)into = true;
	return 0;
}

static int set_number(const struct cli_option *option, void *into, const char *value, char *error,
		      size_t error_bytes)
{
	char *end;
	unsigned long long number;

	(void)option;
	errno = 0;
	number = strtoull(value, &end, 10);
	/* SIZE_MAX stands for "not given" where that matters. */
	if (value[0] < '0' || value[0] > '9' || *end || errno || number >= SIZE_MAX) {
		snprintf(error, error_bytes, "'%s' is not a number", value);
		return -1;
	}
	*(size_t *)into = (size_t)number;
	return 0;
}

static int set_string(const struct cli_option *option, void *into, const char *value, char *error,
		      size_t error_bytes)
{
	(void)option;
	if (!*value) {
		snprintf(error, error_bytes, "it is empty");
		return -1;
	}
	*(const char **)into = value;
	return 0;
}

/* Index of the word of `length` bytes; -1, and a list of what there is, when it is none. */
static int find_choice(const char *const *choices, const char *word, size_t length, char *error,
		       size_t error_bytes)
{
	size_t used;

	for (int i = 0; choices[i]; i++) {
		if (strlen(choices[i]) == length && !memcmp(choices[i], word, length))
			return i;
	}
	snprintf(error, error_bytes, "'%.*s' is none of", (int)(length < 60 ? length : 60), word);
	for (int i = 0; choices[i]; i++) {
		used = strlen(error);
		snprintf(error + used, error_bytes - used, "%s %s", i ? "," : "", choices[i]);
	}
	return -1;
}

static int set_choice(const struct cli_option *option, void *into, const char *value, char *error,
		      size_t error_bytes)
{
	int choice = find_choice(option->choices, value, strlen(value), error, error_bytes);

	if (choice < 0)
		return -1;
	*(int *)into = choice;
	return 0;
}

static int set_set(const struct cli_option *option, void *into, const char *value, char *error,
		   size_t error_bytes)
{
	const char *word = value;

	for (;;) {
		size_t length = strcspn(word, ",");
		int choice = find_choice(option->choices, word, length, error, error_bytes);

		if (choice < 0)
			return -1;
		*(unsigned *)into |= 1U << choice;
		if (!word[length])
			return 0;
		word += length + 1;
	}
}

static const set_function setters[] = {
    [CLI_FLAG] = set_flag,     [CLI_NUMBER] = set_number, [CLI_STRING] = set_string,
    [CLI_CHOICE] = set_choice, [CLI_SET] = set_set,
};

/* Stores a value; says so and returns -1 when it cannot be. */
static int store(const struct cli_command *command, const struct cli_option *option, void *options,
		 const char *value)
{
	char error[256] = "";
	int result;

	if (option->kind == CLI_CUSTOM)
		result = option->set(options, value, error, sizeof(error));
	else
		result = setters[option->kind](option, (char *)options + option->offset, value,
					       error, sizeof(error));
	if (result)
		cli_error(command, "--%s: %s: see %s --help", option->name, error, command->name);
	return result;
}

/* ---- parsing ---- */

static const struct cli_option *find_option(const struct cli_command *command, char letter,
					    const char *name, size_t length)
{
	const struct cli_option *common[] = {&help_option, &version_option};

	for (size_t i = 0; i < command->option_count + 2; i++) {
		const struct cli_option *option = i < command->option_count
						      ? &command->options[i]
						      : common[i - command->option_count];

		if (name ? strlen(option->name) == length && !memcmp(option->name, name, length)
			 : option->letter == letter)
			return option;
	}
	return NULL;
}

/* What is left to parse, and what it is parsed into. */
struct parse {
	const struct cli_command *command;
	void *options;
	char *const *next; /* the argument after the one at hand; ends with NULL */
};

static void print_help(const struct cli_command *command, struct out *out)
{
	out_printf(out, "Usage: %s %s\n\n%s\n\nOptions:\n", command->name, command->synopsis,
		   command->about);
	for (size_t i = 0; i < command->option_count; i++) {
		const struct cli_option *option = &command->options[i];
		char left[80];
		int width;

		if (option->letter)
			width = snprintf(left, sizeof(left), "  -%c, --%s%s%s", option->letter,
					 option->name, option->argument ? "=" : "",
					 option->argument ? option->argument : "");
		else
			width = snprintf(left, sizeof(left), "  --%s%s%s", option->name,
					 option->argument ? "=" : "",
					 option->argument ? option->argument : "");
		out_text(out, left);
		if (width > HELP_COLUMN - 2) {
			out_char(out, '\n');
			width = 0;
		}
		out_repeat(out, ' ', HELP_COLUMN - (size_t)width);
		for (const char *at = option->help; *at; at++) {
			out_char(out, *at);
			if (*at == '\n')
				out_repeat(out, ' ', HELP_COLUMN);
		}
		out_char(out, '\n');
	}
	out_printf(out, "  -h, --help              this text\n"
			"  -V, --version           the version\n");
	if (command->more)
		out_printf(out, "\n%s\n", command->more);
}

static int print_about(const struct cli_command *command, bool help)
{
	struct out *out;
	int result = out_open_fd(STDOUT_FILENO, &out);

	if (!result) {
		if (help)
			print_help(command, out);
		else
			out_printf(out, "%s %s\n", command->name, MEMPROF_VERSION);
		result = out_close(out);
	}
	if (result && result != -EPIPE) {
		cli_error(command, "cannot write: %s", strerror(-result));
		return CLI_UNUSABLE;
	}
	return CLI_DONE;
}

/*
 * Takes one option. `given` is its value when attached, else NULL: then the next argument is.
 * Returns CLI_RUN to go on, or the exit code.
 */
static int take(struct parse *parse, const struct cli_option *option, const char *given)
{
	const struct cli_command *command = parse->command;

	if (!option->argument && given) {
		cli_error(command, "--%s takes no value: see %s --help", option->name,
			  command->name);
		return CLI_UNUSABLE;
	}
	if (option == &help_option || option == &version_option)
		return print_about(command, option == &help_option);
	if (option->argument && !given) {
		given = *parse->next;
		if (!given) {
			cli_error(command, "--%s needs a value (%s): see %s --help", option->name,
				  option->argument, command->name);
			return CLI_UNUSABLE;
		}
		parse->next++;
	}
	return store(command, option, parse->options, given) ? CLI_UNUSABLE : CLI_RUN;
}

static int unknown_option(const struct cli_command *command, const char *prefix, const char *name,
			  size_t length)
{
	cli_error(command, "unknown option '%s%.*s': see %s --help", prefix,
		  (int)(length < 200 ? length : 200), name, command->name);
	return CLI_UNUSABLE;
}

static int parse_long(struct parse *parse, const char *name)
{
	size_t length = strcspn(name, "=");
	const struct cli_option *option = find_option(parse->command, 0, name, length);

	if (!option)
		return unknown_option(parse->command, "--", name, length);
	return take(parse, option, name[length] ? name + length + 1 : NULL);
}

/* One or more letters; the first that takes a value has what follows, or the next argument. */
static int parse_letters(struct parse *parse, const char *letters)
{
	int result = CLI_RUN;

	for (; *letters && result == CLI_RUN; letters++) {
		const struct cli_option *option = find_option(parse->command, *letters, NULL, 0);

		if (!option)
			return unknown_option(parse->command, "-", letters, 1);
		if (option->argument)
			return take(parse, option, letters[1] ? letters + 1 : NULL);
		result = take(parse, option, NULL);
	}
	return result;
}

int cli_parse(const struct cli_command *command, int argc, char *const *argv, void *options,
	      const char **file)
{
	struct parse parse = {.command = command, .options = options, .next = argv + (argc > 0)};
	bool only_operands = false;
	int result = CLI_RUN;

	*file = NULL;
	while (result == CLI_RUN && *parse.next) {
		const char *argument = *parse.next++;

		if (!only_operands && !strcmp(argument, "--")) {
			only_operands = true;
		} else if (!only_operands && !strncmp(argument, "--", 2)) {
			result = parse_long(&parse, argument + 2);
		} else if (!only_operands && argument[0] == '-' && argument[1]) {
			result = parse_letters(&parse, argument + 1);
		} else if (*file) {
			cli_error(command, "one file at a time, not also '%s': see %s --help",
				  argument, command->name);
			result = CLI_UNUSABLE;
		} else {
			*file = argument;
		}
	}
	return result;
}

/* ---- files and terminals ---- */

static bool is_newer(const struct stat *a, const char *a_name, const struct stat *b,
		     const char *b_name)
{
	if (a->st_mtim.tv_sec != b->st_mtim.tv_sec)
		return a->st_mtim.tv_sec > b->st_mtim.tv_sec;
	if (a->st_mtim.tv_nsec != b->st_mtim.tv_nsec)
		return a->st_mtim.tv_nsec > b->st_mtim.tv_nsec;
	return strcmp(a_name, b_name) > 0;
}

/* The best by some measure so far; the name is empty at first. */
struct found {
	char name[NAME_MAX + 1];
	struct stat status;
};

static void find(struct found *found, const char *name, const struct stat *status)
{
	found->status = *status;
	snprintf(found->name, sizeof(found->name), "%s", name);
}

static char *join(const char *folder, const char *name)
{
	char *path;

	if (!strcmp(folder, "."))
		return strdup(name);
	return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

int cli_newest_trace(const char *folder, char **path, char **largest_path)
{
	DIR *listing = opendir(folder);
	struct found newest = {0}, largest = {0};
	struct dirent *entry;
	struct stat status;
	int count = 0;

	if (!listing)
		return -errno;
	while ((entry = readdir(listing))) {
		if (fnmatch(TRACE_PATTERN, entry->d_name, 0) ||
		    fstatat(dirfd(listing), entry->d_name, &status, 0) || !S_ISREG(status.st_mode))
			continue;
		if (count++ == 0 || is_newer(&status, entry->d_name, &newest.status, newest.name))
			find(&newest, entry->d_name, &status);
		if (count == 1 || status.st_size > largest.status.st_size)
			find(&largest, entry->d_name, &status);
	}
	closedir(listing);
	if (count == 0)
		return 0;
	*largest_path = NULL;
	*path = join(folder, newest.name);
	if (*path && newest.status.st_size < largest.status.st_size) {
		*largest_path = join(folder, largest.name);
		if (!*largest_path) {
			free(*path);
			*path = NULL;
		}
	}
	return *path ? count : -ENOMEM;
}

char *cli_trace(const struct cli_command *command, const char *file)
{
	char *path = file ? strdup(file) : NULL, *largest = NULL;
	int count;

	if (file) {
		if (!path)
			cli_error(command, "%s: %s", file, strerror(ENOMEM));
		return path;
	}
	count = cli_newest_trace(".", &path, &largest);
	if (count < 0)
		cli_error(command, "cannot list this directory: %s", strerror(-count));
	else if (count == 0)
		cli_error(command, "no " TRACE_PATTERN
				   " here: name a trace, or record one: memprof run PROGRAM");
	else if (count > 1)
		cli_error(command, "reading %s, the newest of %d%s%s", path, count,
			  largest ? "; the largest is " : "", largest ? largest : "");
	free(largest);
	return count > 0 ? path : NULL;
}

void cli_check_sysroot(const struct cli_command *command, const char *sysroot)
{
	struct stat status;

	if (!sysroot || (stat(sysroot, &status) == 0 && S_ISDIR(status.st_mode)))
		return;
	cli_error(command, "--sysroot: %s: there is no such folder: no symbols will be found",
		  sysroot);
}

bool cli_same_file(const char *a, const char *b)
{
	struct stat a_status, b_status;

	return stat(a, &a_status) == 0 && stat(b, &b_status) == 0 &&
	       a_status.st_dev == b_status.st_dev && a_status.st_ino == b_status.st_ino;
}

bool cli_color(enum cli_color color, int fd)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if (color != CLI_COLOR_AUTO)
		return color == CLI_COLOR_ALWAYS;
	return isatty(fd) && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
}

unsigned cli_columns(int fd)
{
	struct winsize size;

	if (!isatty(fd) || ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return 100;
	return size.ws_col < 60 ? 60 : size.ws_col > 200 ? 200 : size.ws_col;
}
