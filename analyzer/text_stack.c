/*
 * A stack is first made into lines (a frame, or frames folded away), then measured, then printed:
 * names in one column, places in the next.
 */
#include <stdio.h>
#include <string.h>

#include "escape.h"
#include "out.h"
#include "profile.h"
#include "text.h"
#include "writer.h"

#define CYCLE_MAX   16 /* longest recursion, in frames, that is folded */
#define FOLD_LEAST  3  /* fewer repeated frames are shown */
#define LINES_MAX   1024
#define NAME_BYTES  512
#define PLACE_BYTES 256
#define PLACE_LEAST 24
#define VIA_NAME    48 /* columns of one wrapper's name */
#define FULL_NAMES  60 /* names in full: places stand in a column up to here, then behind */

struct line {
	const struct profile_frame *frame; /* NULL: a fold */
	size_t cycle, repeats;		   /* fold: so many frames so many more times... */
	size_t nameless;		   /* ...or so many frames without a name */
};

/* What calls main() or a thread's function: nothing that a person has written. */
static const char *const start_frames[] = {"_start",
					   "__libc_start_main",
					   "__libc_start_main_impl",
					   "__libc_start_call_main",
					   "start_thread",
					   "clone",
					   "clone3",
					   "__clone",
					   "__clone3"};

static bool is_start(const struct profile_frame *frame)
{
	size_t length;

	if (!frame->function)
		return false;
	length = strcspn(frame->function, "@"); /* a version may follow */
	for (size_t i = 0; i < sizeof(start_frames) / sizeof(start_frames[0]); i++) {
		if (strlen(start_frames[i]) == length &&
		    !memcmp(start_frames[i], frame->function, length))
			return true;
	}
	return false;
}

/* How many frames are left without what calls main(); a stripped _start has no name. */
static size_t without_start(const struct profile_frame *const *frames, size_t count)
{
	size_t left = count;

	if (left > 2 && !frames[left - 1]->function && is_start(frames[left - 2]))
		left--;
	while (left > 1 && is_start(frames[left - 1]))
		left--;
	return left;
}

static bool same_function(const struct profile_frame *a, const struct profile_frame *b)
{
	if (a == b)
		return true;
	if (a->function && b->function)
		return !strcmp(a->function, b->function);
	return !a->function && !b->function && a->offset == b->offset && a->module && b->module &&
	       !strcmp(a->module, b->module);
}

/*
 * The cycle of functions that starts at `frames` and repeats: its length and how many times it
 * comes again, choosing what hides most; 0 when nothing worth folding does.
 */
static size_t find_cycle(const struct profile_frame *const *frames, size_t count, size_t *repeats)
{
	size_t best = 0, best_hidden = FOLD_LEAST - 1;

	for (size_t length = 1; length <= CYCLE_MAX && length * 2 <= count; length++) {
		size_t same = 0;

		while (same + length < count && same_function(frames[same], frames[same + length]))
			same++;
		if (same / length * length > best_hidden) {
			best = length;
			best_hidden = same / length * length;
			*repeats = same / length;
		}
	}
	return best;
}

/*
 * How many frames from `at` on have no name, when that is worth folding: addresses in a row say
 * nothing, but the named function that they come from does. 0 without such a function.
 */
static size_t nameless_run(const struct profile_frame *const *frames, size_t count)
{
	size_t run = 0;

	while (run < count && !frames[run]->function)
		run++;
	return run >= FOLD_LEAST && run < count ? run : 0;
}

/* What lines are made of, and where they go. */
struct line_maker {
	const struct profile_frame *const *frames;
	size_t count, at;
	bool full;
	struct line *lines;
	size_t made, most;
};

static void make_line(struct line_maker *maker, struct line line)
{
	if (maker->made < maker->most)
		maker->lines[maker->made++] = line;
}

/* One frame; a part of a function inlined into another part of it is one to a person. */
static void make_frame(struct line_maker *maker)
{
	const struct profile_frame *frame = maker->frames[maker->at++];

	make_line(maker, (struct line){.frame = frame});
	if (!maker->full && maker->at < maker->count && frame->inlined &&
	    same_function(frame, maker->frames[maker->at]))
		maker->at++;
}

/* A cycle of frames, and how often it comes again. */
static void make_cycle(struct line_maker *maker, size_t cycle, size_t repeats)
{
	for (size_t i = 0; i < cycle && maker->made < maker->most; i++)
		make_line(maker, (struct line){.frame = maker->frames[maker->at++]});
	if (maker->made < maker->most) {
		make_line(maker, (struct line){.cycle = cycle, .repeats = repeats});
		maker->at += cycle * repeats;
	}
}

/* Fills maker->lines; maker->at becomes how many frames they stand for. */
static void make_lines(struct line_maker *maker)
{
	while (maker->at < maker->count && maker->made < maker->most) {
		const struct profile_frame *const *frames = maker->frames + maker->at;
		size_t left = maker->count - maker->at, repeats = 0;
		size_t run = maker->full || !maker->at ? 0 : nameless_run(frames, left);
		size_t cycle = run ? 0 : find_cycle(frames, left, &repeats);

		if (run) {
			make_line(maker, (struct line){.nameless = run});
			maker->at += run;
		} else if (cycle) {
			make_cycle(maker, cycle, repeats);
		} else {
			make_frame(maker);
		}
	}
}

static void frame_place(struct text *text, const struct profile_frame *frame, char *place)
{
	bool full = text->options->full_names && !text->options->confidential;
	const char *file = full ? frame->file : writer_basename(frame->file);
	const char *module = full ? frame->module : writer_basename(frame->module);
	const char *inlined = frame->inlined ? " (inlined)" : "";

	if (file && frame->line)
		snprintf(place, PLACE_BYTES, "%s:%u%s", file, frame->line, inlined);
	else if (file || (frame->function && module))
		snprintf(place, PLACE_BYTES, "%s%s", file ? file : module, inlined);
	else
		snprintf(place, PLACE_BYTES, "%s", frame->inlined ? "(inlined)" : "");
}

static void frame_name(struct text *text, const struct profile_frame *frame, size_t columns,
		       char *name)
{
	const char *whole = text_frame_name(text, frame);

	text_shorten(name, NAME_BYTES, whole, text->options->full_names ? SIZE_MAX : columns);
}

/* How wide the column of names gets: as the widest needs, as far as the places leave room. */
static size_t names_width(struct text *text, const struct line *lines, size_t count, size_t room)
{
	size_t widest_name = 0, widest_place = 0, most;
	char buffer[NAME_BYTES];

	for (size_t i = 0; i < count; i++) {
		if (!lines[i].frame)
			continue;
		frame_place(text, lines[i].frame, buffer);
		if (strlen(buffer) > widest_place)
			widest_place = strlen(buffer);
	}
	if (widest_place < PLACE_LEAST)
		widest_place = PLACE_LEAST;
	most = room > widest_place + 32 ? room - widest_place - 2 : 30;
	for (size_t i = 0; i < count; i++) {
		size_t width;

		if (!lines[i].frame)
			continue;
		frame_name(text, lines[i].frame, most, buffer);
		width = escape_terminal_columns(buffer);
		if (width > widest_name)
			widest_name = width;
	}
	if (text->options->full_names)
		most = FULL_NAMES;
	return widest_name < most ? widest_name : most;
}

static void print_frame(struct text *text, const struct profile_frame *frame, size_t width,
			enum text_style style)
{
	char name[NAME_BYTES], place[PLACE_BYTES];
	size_t used;

	frame_name(text, frame, width, name);
	frame_place(text, frame, place);
	text_style(text, style);
	used = escape_terminal_fit(text->out, name, text->options->full_names ? SIZE_MAX : width);
	text_style(text, TEXT_PLAIN);
	if (place[0]) {
		out_repeat(text->out, ' ', (used < width ? width - used : 0) + 2);
		text_style(text, TEXT_DIM);
		escape_terminal(text->out, place, strlen(place));
		text_style(text, TEXT_PLAIN);
	}
	out_char(text->out, '\n');
}

static void print_note(struct text *text, size_t indent, const char *note)
{
	out_repeat(text->out, ' ', indent);
	text_style(text, TEXT_DIM);
	out_text(text->out, note);
	text_style(text, TEXT_PLAIN);
	out_char(text->out, '\n');
}

static void print_fold(struct text *text, const struct line *line, size_t indent)
{
	char note[96];

	if (line->nameless)
		snprintf(note, sizeof(note), "... %zu without a name", line->nameless);
	else if (line->cycle == 1)
		snprintf(note, sizeof(note), "... %zu more of the same (recursion)", line->repeats);
	else
		snprintf(note, sizeof(note), "... these %zu again, %zu more times (recursion)",
			 line->cycle, line->repeats);
	print_note(text, indent, note);
}

/* Inlined into itself, or the site again: says nothing that is not said already. */
static bool is_repeated(const struct profile_stack *stack, size_t i)
{
	const struct profile_frame *const *frames = profile_stack_frames(stack);

	return same_function(frames[i], frames[i + 1]) ||
	       same_function(frames[i], frames[stack->site_frame]);
}

/* The wrappers between a site and the allocator, outermost first, on one line. */
static void print_wrappers(struct text *text, const struct profile_stack *stack, size_t indent)
{
	size_t room = text->columns > indent + 24 ? text->columns - indent - 4 : 20;
	char name[NAME_BYTES];
	bool first = true;

	for (size_t i = stack->site_frame; i-- > 0;) {
		char *parameters;
		size_t width;

		if (is_repeated(stack, i))
			continue;
		frame_name(text, profile_stack_frame(stack, i), 1, name);
		parameters = strstr(name, "(...)");
		if (parameters)
			*parameters = '\0';
		width = escape_terminal_columns(name);
		width = (width > VIA_NAME ? VIA_NAME : width) + (first ? 0 : 3);
		if (width + 6 > room && !first) {
			out_text(text->out, " > ...");
			break;
		}
		if (first) {
			out_repeat(text->out, ' ', indent);
			text_style(text, TEXT_DIM);
		}
		out_text(text->out, first ? "via " : " > ");
		escape_terminal_fit(text->out, name, VIA_NAME);
		room -= width < room ? width : room;
		first = false;
	}
	if (first)
		return;
	text_style(text, TEXT_PLAIN);
	out_char(text->out, '\n');
}

static void print_end(struct text *text, const struct profile_stack *stack, size_t left,
		      size_t indent)
{
	char note[96];

	if (left) {
		snprintf(note, sizeof(note), "... %zu more frame%s", left, left == 1 ? "" : "s");
		print_note(text, indent, note);
	} else if (stack->truncated) {
		print_note(text, indent, "... (cut at the recorder's depth limit)");
	}
}

void text_stack(struct text *text, const struct profile_stack *stack, size_t depth, size_t indent)
{
	bool full = text->options->full_names;
	size_t site = stack->site_frame < stack->count ? stack->site_frame : 0;
	size_t first = full ? 0 : site, width;
	struct line lines[LINES_MAX];
	const struct profile_frame *const *frames = profile_stack_frames(stack);
	struct line_maker maker = {.frames = frames + first,
				   .count = stack->count - first,
				   .full = full,
				   .lines = lines,
				   .most = depth < LINES_MAX ? depth : LINES_MAX};

	if (stack->count == 0) {
		print_note(text, indent, "(no call stack)");
		return;
	}
	if (!full)
		maker.count = without_start(maker.frames, maker.count);
	make_lines(&maker);
	width = names_width(text, lines, maker.made,
			    text->columns > indent + 40 ? text->columns - indent : 40);
	for (size_t i = 0; i < maker.made; i++) {
		if (!lines[i].frame) {
			print_fold(text, &lines[i], indent);
			continue;
		}
		out_repeat(text->out, ' ', indent);
		print_frame(text, lines[i].frame, width,
			    lines[i].frame == frames[site] ? TEXT_BOLD : TEXT_PLAIN);
		if (i == 0 && first > 0)
			print_wrappers(text, stack, indent + 2);
	}
	print_end(text, stack, maker.count - maker.at, indent);
}

const struct profile_frame *text_site_frame(const struct profile_stack *stack)
{
	if (stack->count == 0)
		return NULL;
	return profile_stack_frame(stack, stack->site_frame < stack->count ? stack->site_frame : 0);
}

/* An address says little: the nearest function with a name goes with it. */
static void print_named_caller(struct text *text, const struct profile_stack *stack)
{
	const struct profile_frame *const *frames = profile_stack_frames(stack);
	char name[NAME_BYTES];

	for (size_t i = stack->site_frame; i < stack->count; i++) {
		if (!frames[i]->function || is_start(frames[i]))
			continue;
		frame_name(text, frames[i], VIA_NAME, name);
		out_text(text->out, ", called under ");
		escape_terminal_fit(text->out, name, VIA_NAME);
		return;
	}
}

void text_site_name(struct text *text, const struct profile_stack *stack, size_t columns)
{
	const struct profile_frame *frame = text_site_frame(stack);
	char name[NAME_BYTES], place[PLACE_BYTES];
	size_t place_width;

	if (!frame) {
		out_text(text->out, "code without a call stack");
		return;
	}
	frame_place(text, frame, place);
	place_width = place[0] ? escape_terminal_columns(place) + 3 : 0;
	columns = columns > place_width + 20 ? columns - place_width : 20;
	frame_name(text, frame, columns, name);
	escape_terminal_fit(text->out, name, columns);
	if (place[0]) {
		out_text(text->out, " (");
		escape_terminal(text->out, place, strlen(place));
		out_char(text->out, ')');
	}
	if (!frame->function)
		print_named_caller(text, stack);
}
