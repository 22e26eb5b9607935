/*
 * memprof-plot: the heap of a trace over time, as a picture or a table.
 *
 * Where the output goes when nobody says: a table always to standard output; a picture too, unless
 * that is a terminal, which has no use for one: then it becomes a file named after the trace, in
 * the working directory, and its name is printed.
 */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "huge.h"
#include "oom.h"
#include "out.h"
#include "profile.h"
#include "profile_bare.h"
#include "sigbus.h"
#include "write_svg.h"
#include "write_svg_sites.h"
#include "writer.h"

#define HEAP_STEP (16 << 20) /* bytes */

#define CSV_POINTS   1000
#define POINTS_MAX   1000000
#define ZOOM_POINTS  4 /* times as many points are asked for when only part of the run is drawn */
#define FORMAT_UNSET (-1)
#define NUMBER_UNSET SIZE_MAX /* no option takes that */

struct plot {
	struct writer_options writer;
	struct profile_options load;
	int format; /* index into formats[] */
	size_t width, height;
	bool no_symbols;
	const char *output;
};

static const struct writer *const formats[] = {&writer_svg, &writer_csv};
static const char *const format_choices[] = {"svg", "csv", NULL};
enum { FORMAT_SVG, FORMAT_CSV };

/* "90", "1.5s", "250ms", "5min", "2h": seconds, or -1. */
static double parse_seconds(const char *value)
{
	static const struct {
		const char *name;
		double seconds;
	} units[] = {{"", 1}, {"s", 1}, {"ms", 1e-3}, {"us", 1e-6}, {"min", 60}, {"h", 3600}};
	char *end;
	double number;

	if (strspn(value, "0123456789.") == 0)
		return -1;
	number = strtod(value, &end);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(end, units[i].name) == 0 && number * units[i].seconds < 1e12)
			return number * units[i].seconds;
	return -1;
}

static int set_seconds(double *to, const char *value, char *error, size_t error_bytes)
{
	*to = parse_seconds(value);
	if (*to >= 0)
		return 0;
	snprintf(error, error_bytes, "not a time: give seconds, or 250ms, 5min, 2h");
	return -1;
}

static int set_from(void *options, const char *value, char *error, size_t error_bytes)
{
	return set_seconds(&((struct plot *)options)->writer.from_s, value, error, error_bytes);
}

static int set_to(void *options, const char *value, char *error, size_t error_bytes)
{
	return set_seconds(&((struct plot *)options)->writer.to_s, value, error, error_bytes);
}

#define AT(field) offsetof(struct plot, field)

static const struct cli_option options[] = {
    {"output", 'o', CLI_STRING, "FILE",
     "write there: a picture if it ends in .svg, a table\n"
     "if in .csv; - is standard output",
     AT(output), NULL, NULL},
    {"format", 'f', CLI_CHOICE, "FORMAT", "svg or csv, whatever FILE ends in", AT(format),
     format_choices, NULL},
    {"top", 'n', CLI_NUMBER, "N", "sites stacked in the picture (8); 0: 20, the most",
     AT(writer.top), NULL, NULL},
    {"by-stack", 0, CLI_FLAG, NULL, "every call stack by itself, not grouped by site",
     AT(writer.by_stack), NULL, NULL},
    {"title", 't', CLI_STRING, "TEXT", "title instead of the command line", AT(writer.title), NULL,
     NULL},
    {"width", 0, CLI_NUMBER, "PIXELS", "of the picture (1000)", AT(width), NULL, NULL},
    {"height", 0, CLI_NUMBER, "PIXELS", "of the picture (660)", AT(height), NULL, NULL},
    {"from", 0, CLI_CUSTOM, "TIME", "leave out what was before: 2.5, 250ms, 5min, 2h", 0, NULL,
     set_from},
    {"to", 0, CLI_CUSTOM, "TIME", "leave out what came after", 0, NULL, set_to},
    {"points", 0, CLI_NUMBER, "N", "parts the run is cut into at most (table: 1000)",
     AT(writer.points), NULL, NULL},
    {"no-rss", 0, CLI_FLAG, NULL, "without the resident memory of the process", AT(writer.no_rss),
     NULL, NULL},
    {"confidential", 0, CLI_FLAG, NULL, "no command line, no host, no folders",
     AT(writer.confidential), NULL, NULL},
    {"no-symbols", 0, CLI_FLAG, NULL, "module and offset only: fast", AT(no_symbols), NULL, NULL},
    {"sysroot", 0, CLI_STRING, "FOLDER", "where the recorded machine's files are", AT(load.sysroot),
     NULL, NULL},
    {"debuginfod", 0, CLI_FLAG, NULL, "fetch missing debug information (DEBUGINFOD_URLS)",
     AT(load.debuginfod), NULL, NULL},
};

static const struct cli_command command = {
    .name = "memprof-plot",
    .synopsis = "[options] [FILE]",
    .about = "Draws the live heap over time, stacked by the sites that held most at the peak,\n"
	     "and the resident memory. FILE is a trace that memprof recorded; without it, the\n"
	     "newest memprof.*.bin of this directory. Without -o the picture goes to standard\n"
	     "output, or, when that is a terminal, to a file named after the trace.",
    .more = "Exit status: 0 done, 1 the file is damaged and what could be read was drawn,\n"
	    "2 wrong usage or unreadable file.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
};

static bool ends_in(const char *text, const char *ending)
{
	size_t length = strlen(text), want = strlen(ending);

	return length >= want && strcasecmp(text + length - want, ending) == 0;
}

/* The format asked for, or that the output's name tells. Returns 0, or -EINVAL after an error. */
static int choose_format(struct plot *plot)
{
	const char *output = plot->output;

	if (plot->format != FORMAT_UNSET)
		return 0;
	plot->format = FORMAT_SVG;
	if (!output || strcmp(output, "-") == 0 || ends_in(output, ".svg"))
		return 0;
	plot->format = FORMAT_CSV;
	if (ends_in(output, ".csv"))
		return 0;
	cli_error(&command, "%s: no format by that name: end it in .svg or .csv, or give --format",
		  output);
	return -EINVAL;
}

/* What is out of range, in words; NULL when nothing is. */
static const char *check_numbers(const struct plot *plot)
{
	if (plot->writer.top != WRITER_TOP_DEFAULT && plot->writer.top > SVG_TOP_MAX)
		return "--top: at most 20 sites can be told apart";
	if (plot->width != NUMBER_UNSET &&
	    (plot->width < SVG_WIDTH_MIN || plot->width > SVG_SIZE_MAX))
		return "--width: give 480 to 10000 pixels";
	if (plot->height != NUMBER_UNSET &&
	    (plot->height < SVG_HEIGHT_MIN || plot->height > SVG_SIZE_MAX))
		return "--height: give 320 to 10000 pixels";
	if (plot->writer.points != NUMBER_UNSET &&
	    (plot->writer.points == 0 || plot->writer.points > POINTS_MAX))
		return "--points: give 1 to 1000000";
	if (plot->writer.to_s > 0 && plot->writer.to_s <= plot->writer.from_s)
		return "--to: give a time after that of --from";
	return NULL;
}

/* What was not given: 0 is the usual to all that follows. */
static void set_usual(struct plot *plot)
{
	size_t *const numbers[] = {&plot->writer.points, &plot->width, &plot->height};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (*numbers[i] == NUMBER_UNSET)
			*numbers[i] = 0;
	}
}

/* What to ask of the analysis: names only for pictures, more points where a part is enlarged. */
static void plan_load(struct plot *plot)
{
	struct profile_options *load = &plot->load;
	bool zoom = plot->writer.from_s > 0 || plot->writer.to_s > 0;

	if (plot->format == FORMAT_CSV) {
		load->points = plot->writer.points ? plot->writer.points : CSV_POINTS;
		return;
	}
	load->symbols = !plot->no_symbols;
	load->top_count = svg_sites_wanted(&plot->writer);
	load->top_by_stack = plot->writer.by_stack;
	load->points = SVG_POINTS * (zoom ? ZOOM_POINTS : 1);
	if (plot->writer.points && plot->writer.points < load->points && !zoom)
		load->points = plot->writer.points;
}

/* memprof.app.7.bin -> memprof.app.7.svg, in the working directory; NULL when out of memory. */
static char *name_after(const char *trace)
{
	const char *base = writer_basename(trace);
	size_t length = strlen(base);
	char *name;

	if (ends_in(base, ".bin") && length > 4)
		length -= 4;
	return asprintf(&name, "%.*s.svg", (int)length, base) < 0 ? NULL : name;
}

static int write_to(const struct plot *plot, const struct profile *profile, const char *trace,
		    const char *output)
{
	struct writer_options choices = plot->writer;
	struct out *out;
	int result, closed;

	if (output && cli_same_file(output, trace)) {
		cli_error(&command, "%s: that is the trace itself: name another file to write",
			  output);
		return -EINVAL;
	}
	choices.width_px = (unsigned)plot->width;
	choices.height_px = (unsigned)plot->height;
	choices.trace = trace;
	result = output ? out_open_file(output, &out) : out_open_fd(STDOUT_FILENO, &out);
	if (!result) {
		result = formats[plot->format]->write(profile, &choices, out);
		closed = out_close(out);
		result = result ? result : closed;
	}
	if (result == -EPIPE) /* the reader has seen enough */
		return 0;
	if (result)
		cli_error(&command, "%s: cannot write: %s", output ? output : "standard output",
			  strerror(-result));
	return result;
}

static int write_plot(const struct plot *plot, const struct profile *profile, const char *trace)
{
	bool standard = !plot->output || strcmp(plot->output, "-") == 0;
	char *name;
	int result;

	if (!standard)
		return write_to(plot, profile, trace, plot->output);
	if (plot->output || plot->format != FORMAT_SVG || !isatty(STDOUT_FILENO))
		return write_to(plot, profile, trace, NULL);
	name = name_after(trace);
	if (!name) {
		cli_error(&command, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	result = write_to(plot, profile, trace, name);
	if (!result)
		cli_error(&command, "wrote %s", name);
	free(name);
	return result;
}

static bool say_damage(const struct profile *profile, const char *path)
{
	const struct profile_damage *damage = &profile->damage;

	if (!damage->bad_segments && !damage->bad_bytes && !damage->cut && !damage->lost_events)
		return false;
	cli_error(&command, "%s: damaged: %s%s%llu bytes could not be read: the rest is drawn",
		  path, damage->first, damage->first[0] ? ": " : "",
		  (unsigned long long)damage->bad_bytes);
	return true;
}

static int run(const struct plot *plot, const char *path)
{
	struct profile *profile;
	char error[256] = "";
	int result = profile_load(path, &plot->load, &profile, error, sizeof(error));

	if (result) {
		cli_error(&command, "%s: %s", path, error[0] ? error : strerror(-result));
		return CLI_UNUSABLE;
	}
	if (plot->writer.confidential)
		profile_bare(profile);
	if (write_plot(plot, profile, path))
		result = CLI_UNUSABLE;
	else
		result = say_damage(profile, path) ? CLI_DAMAGED : CLI_DONE;
	profile_free(profile);
	return result;
}

int main(int argc, char **argv)
{
	struct plot plot = {.writer = {.top = WRITER_TOP_DEFAULT, .points = NUMBER_UNSET},
			    .format = FORMAT_UNSET,
			    .width = NUMBER_UNSET,
			    .height = NUMBER_UNSET};
	const char *file, *wrong;
	char *path;
	int result = cli_parse(&command, argc, argv, &plot, &file);

	if (result != CLI_RUN)
		return result;
	huge_heap(HEAP_STEP); /* a large trace grows the heap hundreds of times */
	oom_limit();
	sigbus_catch();
	signal(SIGPIPE, SIG_IGN); /* a closed pipe is then an error of write() */
	wrong = check_numbers(&plot);
	if (wrong)
		cli_error(&command, "%s", wrong);
	if (wrong || choose_format(&plot))
		return CLI_UNUSABLE;
	set_usual(&plot);
	plan_load(&plot);
	cli_check_sysroot(&command, plot.load.sysroot);
	path = cli_trace(&command, file);
	if (!path)
		return CLI_UNUSABLE;
	result = run(&plot, path);
	free(path);
	return result;
}
