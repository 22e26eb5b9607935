/*
 * Names are put together raw, in memory, cut between code points, and only then escaped: a cut
 * never leaves half a character or half an entity behind.
 */
#include "write_svg_label.h"

#include "escape.h"
#include "out.h"
#include "profile.h"
#include "write_svg_sites.h"
#include "writer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define ELLIPSIS    "…"
#define PLACE_MOST  40 /* characters kept for "file:line" whatever the width */
#define FRAMES_MOST 16
#define FRAME_WIDTH 100

void svg_text(struct out *out, double x, double y, const char *attributes, const char *text)
{
	out_printf(out, "<text x=\"%.1f\" y=\"%.1f\"%s>", x, y, attributes);
	escape_xml(out, text, strlen(text));
	out_text(out, "</text>\n");
}

size_t svg_length(const char *text)
{
	const char *end = text + strlen(text);
	size_t length = 0;

	for (const char *at = text; at < end; length++)
		escape_next(&at, end);
	return length;
}

/* Where character `index` of a text begins. */
static const char *nth(const char *text, size_t index)
{
	const char *end = text + strlen(text);
	const char *at = text;

	while (index-- > 0 && at < end)
		escape_next(&at, end);
	return at;
}

void svg_elided(struct out *out, const char *text, size_t width)
{
	size_t length = svg_length(text);
	size_t head, tail;

	if (length <= width) {
		escape_xml(out, text, strlen(text));
		return;
	}
	if (width < 1)
		return;
	/* The beginning tells more than the end: namespaces and arguments come last. */
	tail = (width - 1) / 3;
	head = width - 1 - tail;
	escape_xml(out, text, (size_t)(nth(text, head) - text));
	out_text(out, ELLIPSIS);
	text = nth(text, length - tail);
	escape_xml(out, text, strlen(text));
}

/* What to call the code of a frame, raw. */
static void frame_function(struct out *out, const struct profile_frame *frame)
{
	if (frame->function && frame->function[0])
		out_text(out, frame->function);
	else if (frame->module)
		out_printf(out, "%s+0x%" PRIx64, writer_basename(frame->module), frame->offset);
	else
		out_printf(out, "0x%" PRIx64, frame->offset);
}

/* Where it is: source line, or the module of a function without one; raw, may be nothing. */
static void frame_place(struct out *out, const struct profile_frame *frame)
{
	if (frame->file && frame->file[0]) {
		out_text(out, writer_basename(frame->file));
		if (frame->line > 0)
			out_printf(out, ":%" PRIu32, frame->line);
	} else if (frame->function && frame->function[0] && frame->module) {
		out_printf(out, "[%s]", writer_basename(frame->module));
	}
}

/* Two raw texts as "first second" in `width` characters; what is cut is first the first. */
static void put_pair(struct out *out, const char *name, const char *place, size_t width)
{
	size_t place_width = svg_length(place);

	if (place_width == 0) {
		svg_elided(out, name, width);
		return;
	}
	if (place_width > PLACE_MOST)
		place_width = PLACE_MOST;
	if (place_width + 8 > width)
		place_width = width > 8 ? width - 8 : 0;
	svg_elided(out, name, width - place_width - 1);
	out_char(out, ' ');
	svg_elided(out, place, place_width);
}

static int put_frame(struct out *out, const struct profile_frame *frame, size_t width)
{
	struct out *name = NULL, *place = NULL;
	int error = out_open_memory(&name);

	if (!error)
		error = out_open_memory(&place);
	if (!error) {
		frame_function(name, frame);
		frame_place(place, frame);
		put_pair(out, out_memory(name), out_memory(place), width);
	}
	if (name)
		out_close(name);
	if (place)
		out_close(place);
	return error;
}

/*
 * How many frames above its own a site first differs from the namesake that it has most in common
 * with; 0 when no other has its name.
 */
static size_t telling_frame(const struct svg_sites *sites, size_t rank)
{
	size_t telling = 0;

	for (size_t other = 0; other < sites->count; other++) {
		const struct profile_frame *a, *b;
		size_t above = 0;

		if (other == rank)
			continue;
		while ((a = svg_frame(sites->sites[rank].stack, above)) &&
		       (b = svg_frame(sites->sites[other].stack, above)) && svg_same_frame(a, b))
			above++;
		if (a && above > telling)
			telling = above;
	}
	return telling;
}

int svg_site_label(struct out *out, const struct svg_sites *sites, size_t rank, size_t width)
{
	const struct profile_stack *stack = sites->sites[rank].stack;
	const struct profile_frame *site = svg_frame(stack, 0);
	const struct profile_frame *caller = svg_frame(stack, telling_frame(sites, rank));
	size_t caller_width = width / 2 - 3;
	int error;

	if (!site) {
		svg_elided(out, "(no stack)", width);
		return 0;
	}
	if (caller == site || width < 40)
		return put_frame(out, site, width);
	error = put_frame(out, site, width - caller_width - 3);
	if (error)
		return error;
	out_text(out, " ← ");
	return put_frame(out, caller, caller_width);
}

int svg_stack(struct out *out, const struct profile_stack *stack, size_t bytes_most)
{
	const struct profile_frame *const *frames = profile_stack_frames(stack);
	uint64_t begin = out_written(out);

	for (size_t i = 0; i < stack->count; i++) {
		int error;

		if (i == FRAMES_MOST || out_written(out) - begin > bytes_most) {
			out_printf(out, "\n%s %zu more", ELLIPSIS, stack->count - i);
			break;
		}
		out_char(out, '\n');
		error = put_frame(out, frames[i], FRAME_WIDTH);
		if (error)
			return error;
	}
	return 0;
}

static const char *title_of(const struct profile *profile, const struct writer_options *options)
{
	const char *exe = writer_basename(profile->process.exe);

	if (options->title)
		return options->title;
	if (!options->confidential && profile->process.cmdline && profile->process.cmdline[0])
		return profile->process.cmdline;
	return exe && exe[0] ? exe : "unknown program";
}

int svg_title(struct out *out, const struct profile *profile, const struct writer_options *options,
	      size_t width)
{
	static const char space[] = " \t\n\v\f\r";
	const char *at = title_of(profile, options);
	struct out *line;
	int error = out_open_memory(&line);

	if (error)
		return error;
	for (at += strspn(at, space); *at; at += strspn(at, space)) {
		size_t length = strcspn(at, space);

		if (out_written(line) > 0)
			out_char(line, ' ');
		out_bytes(line, at, length);
		at += length;
	}
	svg_elided(out, out_memory(line), width);
	return out_close(line);
}

const char *svg_duration(char words[SVG_WORDS], double seconds)
{
	static const struct {
		double below, unit;
		const char *name;
	} units[] = {{1e-6, 1e-9, "ns"}, {1e-3, 1e-6, "µs"}, {1, 1e-3, "ms"}, {120, 1, "s"}};
	uint64_t whole;

	if (!(seconds > 0) || seconds > 1e15) {
		snprintf(words, SVG_WORDS, "0 s");
		return words;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		double value = seconds / units[i].unit;

		if (seconds >= units[i].below)
			continue;
		snprintf(words, SVG_WORDS, "%.*f %s",
			 value < 9.995	 ? 2
			 : value < 99.95 ? 1
					 : 0,
			 value, units[i].name);
		return words;
	}
	whole = (uint64_t)llround(seconds);
	if (whole < 7200)
		snprintf(words, SVG_WORDS, "%" PRIu64 " min %02" PRIu64 " s", whole / 60,
			 whole % 60);
	else if (whole < 172800)
		snprintf(words, SVG_WORDS, "%" PRIu64 " h %02" PRIu64 " min", whole / 3600,
			 whole / 60 % 60);
	else
		snprintf(words, SVG_WORDS, "%" PRIu64 " d %02" PRIu64 " h", whole / 86400,
			 whole / 3600 % 24);
	return words;
}

const char *svg_ending(char words[SVG_WORDS], const struct profile *profile)
{
	const char *end = profile->process.end ? profile->process.end : "";
	int status = profile->process.end_status;

	if (strcmp(end, "exit") == 0 && status >= 0)
		snprintf(words, SVG_WORDS, "exited with %d", status);
	else if (strcmp(end, "signal") == 0 && status > 0 && sigabbrev_np(status))
		snprintf(words, SVG_WORDS, "killed by SIG%s", sigabbrev_np(status));
	else if (strcmp(end, "exec") == 0)
		snprintf(words, SVG_WORDS, "replaced itself (exec)");
	else if (strcmp(end, "running") == 0)
		snprintf(words, SVG_WORDS, "still running");
	else if (strcmp(end, "exit") == 0)
		snprintf(words, SVG_WORDS, "exited");
	else
		snprintf(words, SVG_WORDS, "killed");
	return words;
}
