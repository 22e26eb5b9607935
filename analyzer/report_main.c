/*
 * memprof-report: what a trace says about the heap, as text, JSON or folded stacks.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "condition.h"
#include "huge.h"
#include "oom.h"
#include "out.h"
#include "profile.h"
#include "profile_bare.h"
#include "sigbus.h"
#include "writer.h"

#define HEAP_STEP (16 << 20) /* bytes */

#define CONDITIONS_MAX 16

struct report {
	struct writer_options writer;
	struct profile_options load;
	int format; /* index into formats[] */
	int sort;   /* index into sort_choices[]; -1: not given */
	int metric;
	int color;
	bool no_symbols;
	const char *output;
	struct condition conditions[CONDITIONS_MAX];
	size_t condition_count;
};

static const struct writer *const formats[] = {&writer_text, &writer_json, &writer_folded};
static const char *const format_choices[] = {"text", "json", "folded", NULL};

/* In the order of enum ranking_metric. */
static const char *const sort_choices[] = {"peak",  "leak",	 "allocations",
					   "bytes", "temporary", NULL};
static const char *const metric_choices[] = {"peak",  "live",	   "allocations",
					     "bytes", "temporary", NULL};
/* The section that shows each of them. */
static const unsigned sort_sections[] = {SECTION_PEAK, SECTION_LEAKS, SECTION_ALLOCATIONS,
					 SECTION_BYTES, SECTION_TEMPORARIES};

/* In the order of the bits of enum writer_section. */
static const char *const section_choices[] = {"peak",	     "leaks", "allocations", "bytes",
					      "temporaries", "maps",  "warnings",    NULL};

static int set_condition(void *options, const char *value, char *error, size_t error_bytes)
{
	struct report *report = options;

	for (;;) {
		size_t length = strcspn(value, ",");

		if (report->condition_count == CONDITIONS_MAX) {
			snprintf(error, error_bytes, "too many conditions");
			return -1;
		}
		if (condition_parse(value, length, &report->conditions[report->condition_count],
				    error, error_bytes))
			return -1;
		report->condition_count++;
		if (!value[length])
			return 0;
		value += length + 1;
	}
}

static int set_full_stacks(void *options, const char *value, char *error, size_t error_bytes)
{
	struct report *report = options;

	(void)value, (void)error, (void)error_bytes;
	report->writer.depth = 0;
	report->writer.full_names = true;
	return 0;
}

#define AT(field) offsetof(struct report, field)

static const struct cli_option options[] = {
    {"top", 'n', CLI_NUMBER, "N", "sites shown in a section (10; JSON 10000); 0: all",
     AT(writer.top), NULL, NULL},
    {"sort", 's', CLI_CHOICE, "BY",
     "peak, leak, allocations, bytes or temporary:\n"
     "only that list (text), or the order of sites (JSON)",
     AT(sort), sort_choices, NULL},
    {"section", 0, CLI_SET, "LIST",
     "peak, leaks, allocations, bytes, temporaries,\n"
     "maps, warnings; several with commas between",
     AT(writer.sections), section_choices, NULL},
    {"format", 'f', CLI_CHOICE, "FORMAT", "text, json or folded (stacks for flame graphs)",
     AT(format), format_choices, NULL},
    {"metric", 0, CLI_CHOICE, "OF",
     "folded stacks of: peak (default), live, bytes,\n"
     "allocations or temporary",
     AT(metric), metric_choices, NULL},
    {"output", 'o', CLI_STRING, "FILE", "write there instead of standard output", AT(output), NULL,
     NULL},
    {"depth", 'd', CLI_NUMBER, "N", "lines shown of a stack (8, then 5); 0: all", AT(writer.depth),
     NULL, NULL},
    {"full-stacks", 0, CLI_CUSTOM, NULL, "all frames, with names and paths in full", 0, NULL,
     set_full_stacks},
    {"by-stack", 0, CLI_FLAG, NULL, "list every call stack by itself, not by site",
     AT(writer.by_stack), NULL, NULL},
    {"color", 0, CLI_CHOICE, "WHEN",
     "auto (on a terminal; NO_COLOR is honoured),\n"
     "always or never",
     AT(color), cli_color_choices, NULL},
    {"fail-if", 0, CLI_CUSTOM, "CONDITION",
     "exit with 3 when it holds, e.g. 'leaked>0',\n"
     "'peak>100M', 'lost>0', 'growing>0'; may be repeated",
     0, NULL, set_condition},
    {"confidential", 0, CLI_FLAG, NULL, "no command line, no host, no folders",
     AT(writer.confidential), NULL, NULL},
    {"no-symbols", 0, CLI_FLAG, NULL, "module and offset only: fast", AT(no_symbols), NULL, NULL},
    {"sysroot", 0, CLI_STRING, "FOLDER", "where the recorded machine's files are", AT(load.sysroot),
     NULL, NULL},
    {"debuginfod", 0, CLI_FLAG, NULL, "fetch missing debug information (DEBUGINFOD_URLS)",
     AT(load.debuginfod), NULL, NULL},
};

static const struct cli_command command = {
    .name = "memprof-report",
    .synopsis = "[options] [FILE]",
    .about = "Says what held the memory at the peak, what leaks and how surely, and what is\n"
	     "allocated for nothing, by call stack. FILE is a trace that memprof recorded;\n"
	     "without it, the newest memprof.*.bin of this directory.",
    .more = "Exit status: 0 done, 1 the file is damaged and what could be read was reported,\n"
	    "2 wrong usage or unreadable file, 3 a --fail-if condition held.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
};

static int load(const struct report *report, const char *path, struct profile **profile)
{
	char error[256] = "";
	int result = profile_load(path, &report->load, profile, error, sizeof(error));

	if (result)
		cli_error(&command, "%s: %s", path, error[0] ? error : strerror(-result));
	return result;
}

static int write_report(const struct report *report, const struct profile *profile,
			const char *trace)
{
	const char *where = report->output ? report->output : "standard output";
	struct writer_options choices = report->writer;
	struct out *out;
	int result, closed;

	if (report->output && cli_same_file(report->output, trace)) {
		cli_error(&command, "%s: that is the trace itself: name another file to write",
			  report->output);
		return -EINVAL;
	}
	result =
	    report->output ? out_open_file(report->output, &out) : out_open_fd(STDOUT_FILENO, &out);
	if (!result) {
		choices.color =
		    cli_color((enum cli_color)report->color, report->output ? -1 : STDOUT_FILENO);
		choices.columns = cli_columns(report->output ? -1 : STDOUT_FILENO);
		choices.trace = trace;
		result = formats[report->format]->write(profile, &choices, out);
		closed = out_close(out);
		result = result ? result : closed;
	}
	if (result == -EPIPE) /* the reader has seen enough */
		return 0;
	if (result)
		cli_error(&command, "%s: cannot write: %s", where, strerror(-result));
	return result;
}

static bool say_damage(const struct profile *profile, const char *path)
{
	const struct profile_damage *damage = &profile->damage;
	char lost[64] = "";

	if (!damage->bad_segments && !damage->bad_bytes && !damage->cut && !damage->lost_events)
		return false;
	if (damage->lost_events)
		snprintf(lost, sizeof(lost), ", at least %llu event%s gone",
			 (unsigned long long)damage->lost_events,
			 damage->lost_events == 1 ? " is" : "s are");
	cli_error(&command, "%s: %s%s%s: %llu bytes could not be read%s: the rest is reported",
		  path, damage->cut ? "cut" : "damaged", damage->first[0] ? ": " : "",
		  damage->first, (unsigned long long)damage->bad_bytes, lost);
	return true;
}

static bool any_condition(const struct report *report, const struct profile *profile,
			  const char *path)
{
	bool any = false;
	uint64_t found;

	for (size_t i = 0; i < report->condition_count; i++) {
		if (!condition_holds(&report->conditions[i], profile, &found))
			continue;
		cli_error(&command, "%s: --fail-if %s: it is %llu", path,
			  report->conditions[i].text, (unsigned long long)found);
		any = true;
	}
	return any;
}

static int run(const struct report *report, const char *path)
{
	struct profile *profile;
	int result = CLI_DONE;

	if (load(report, path, &profile))
		return CLI_UNUSABLE;
	if (report->writer.confidential)
		profile_bare(profile);
	if (write_report(report, profile, path)) {
		result = CLI_UNUSABLE;
	} else {
		if (say_damage(profile, path))
			result = CLI_DAMAGED;
		if (any_condition(report, profile, path))
			result = CLI_CONDITION;
	}
	profile_free(profile);
	return result;
}

int main(int argc, char **argv)
{
	struct report report = {
	    .writer = {.top = WRITER_TOP_DEFAULT, .depth = WRITER_DEPTH_DEFAULT},
	    .sort = -1,
	};
	const char *file;
	char *path;
	int result = cli_parse(&command, argc, argv, &report, &file);

	if (result != CLI_RUN)
		return result;
	huge_heap(HEAP_STEP); /* a large trace grows the heap hundreds of times */
	oom_limit();
	sigbus_catch();
	signal(SIGPIPE, SIG_IGN); /* a closed pipe is then an error of write() */
	if (report.sort >= 0) {
		report.writer.sort = (enum ranking_metric)report.sort;
		report.writer.sections |= sort_sections[report.sort];
	}
	report.writer.metric = (enum ranking_metric)report.metric;
	report.load.symbols = !report.no_symbols;
	cli_check_sysroot(&command, report.load.sysroot);
	path = cli_trace(&command, file);
	if (!path)
		return CLI_UNUSABLE;
	result = run(&report, path);
	free(path);
	return result;
}
