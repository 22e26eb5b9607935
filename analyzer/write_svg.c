/*
 * The picture from top to bottom: title and summary, the panel or panels, the legend with what each
 * site held at the peak. Everything is drawn with explicit colours on a white ground, so that it
 * looks the same in a dark viewer.
 *
 * Heap and resident set share one axis while that leaves the heap at least a third of the height.
 * Beyond (small heaps in a process with large libraries) the resident set gets a strip of its own
 * above, with its own axis: one axis would press the heap into a line, and two scales in one plot
 * invite to compare what cannot be compared.
 */
#include "write_svg.h"

#include "out.h"
#include "profile.h"
#include "write_svg_label.h"
#include "write_svg_picture.h"
#include "writer.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define TITLE_BASELINE 30
#define SUMMARY_LINE   17
#define AXIS_HEIGHT    46
#define PLOT_LEAST     130 /* height of the panels, whatever the picture's */
#define STRIP_GAP      30
#define STRIP_RATIO    3 /* resident set to heap, above which it has its own panel */
/* Width of a character; fonts differ, so a little more than the usual ones have. */
#define TITLE_CHARACTER 9.8
#define TEXT_CHARACTER	6.3
#define TITLE_MOST	300
/* What keeps the picture below SVG_BYTES_MAX: of the three, 200 KB hold the rest as well. */
#define CURVE_BYTES  110000
#define VERTEX_BYTES 13 /* " 16.7-9999.9" and one to spare */
#define STACK_BYTES  30000

/* As many columns as can be told apart, and as many as the size limit allows. */
static size_t columns_wanted(const struct picture *picture)
{
	size_t wanted = (size_t)(picture->width - SVG_MARGIN_LEFT - SVG_MARGIN_RIGHT) * 2 / 3;
	size_t most = CURVE_BYTES / VERTEX_BYTES / (picture->sites.count + 6);

	if (picture->options->points > 0 && picture->options->points < wanted)
		wanted = picture->options->points;
	return wanted < most ? wanted : most;
}

static void lay_out(struct picture *picture)
{
	const struct svg_series *series = &picture->series;
	double top = TITLE_BASELINE + picture->summary_lines * SUMMARY_LINE + 34;
	double legend = svg_legend_height(picture);
	double plot = picture->height - top - AXIS_HEIGHT - legend;
	double highest = (double)series->highest, resident = (double)series->highest_rss;

	if (plot < PLOT_LEAST) {
		picture->height += PLOT_LEAST - plot;
		plot = PLOT_LEAST;
	}
	picture->strip = picture->rss_known && resident > STRIP_RATIO * highest;
	picture->heap = (struct svg_panel){
	    .left = SVG_MARGIN_LEFT,
	    .top = top,
	    .width = picture->width - SVG_MARGIN_LEFT - SVG_MARGIN_RIGHT,
	    .height = plot,
	    .from_s = series->from_s,
	    .to_s = series->to_s,
	    /* Room for the words at the peak. */
	    .bytes = fmax(highest * (1 + 30 / plot), 1),
	};
	if (picture->rss_known && !picture->strip)
		picture->heap.bytes = fmax(picture->heap.bytes, resident * 1.04);
	picture->rss = picture->heap;
	if (picture->strip) {
		picture->rss.height = floor((plot - STRIP_GAP) * 0.27);
		picture->rss.bytes = resident * 1.1;
		picture->heap.top += picture->rss.height + STRIP_GAP;
		picture->heap.height = plot - picture->rss.height - STRIP_GAP;
		picture->heap.bytes = fmax(highest * (1 + 30 / picture->heap.height), 1);
	}
	picture->legend_top = top + plot + AXIS_HEIGHT + 10;
}

static int put_open(struct picture *picture)
{
	struct out *out = picture->out;
	int error;

	out_printf(out,
		   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		   "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
		   "viewBox=\"0 0 %.0f %.0f\" role=\"img\" font-family=\"DejaVu Sans, Verdana, "
		   "Helvetica, Arial, sans-serif\" font-size=\"11\" fill=\"" SVG_INK "\">\n<title>",
		   picture->width, picture->height, picture->width, picture->height);
	error = svg_title(out, picture->profile, picture->options, TITLE_MOST);
	out_text(out, "</title>\n<desc>Memory over time, drawn by memprof-plot " MEMPROF_VERSION
		      "</desc>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n");
	return error;
}

static bool is_damaged(const struct profile *profile)
{
	const struct profile_damage *damage = &profile->damage;

	return damage->cut || damage->bad_segments || damage->bad_bytes || damage->lost_events ||
	       profile->totals.lost_events;
}

#define SUMMARY_PARTS 5
#define PART_BYTES    128

/* The facts of the run, one a part; returns how many there are. */
static unsigned summary_parts(const struct picture *picture, char parts[][PART_BYTES])
{
	const struct profile *profile = picture->profile;
	const struct profile_totals *totals = &profile->totals;
	char words[SVG_WORDS], more[SVG_WORDS];
	unsigned count = 0;

	snprintf(parts[count++], PART_BYTES, "%s allocations", OUT_COUNT(totals->allocations));
	if (totals->peak_bytes > 0)
		snprintf(parts[count++], PART_BYTES, "peak %s in %s blocks at %s",
			 OUT_BYTES(totals->peak_bytes), OUT_COUNT(totals->peak_blocks),
			 svg_duration(words, totals->peak_time_s));
	snprintf(parts[count++], PART_BYTES, "%s in %s blocks live at the end",
		 OUT_BYTES(totals->live_bytes_end), OUT_COUNT(totals->live_blocks_end));
	snprintf(parts[count++], PART_BYTES, "%s after %s", svg_ending(words, profile),
		 svg_duration(more, totals->duration_s));
	if (is_damaged(profile))
		snprintf(parts[count++], PART_BYTES, "incomplete: part of the recording is lost");
	return count;
}

/* Puts the parts on as many lines as they need, or, with a NULL stream, only counts the lines. */
static unsigned put_summary(struct picture *picture, bool draw)
{
	char parts[SUMMARY_PARTS][PART_BYTES];
	unsigned count = summary_parts(picture, parts), lines = 1;
	size_t room = (size_t)((picture->width - 2 * SVG_MARGIN_RIGHT) / TEXT_CHARACTER), used = 0;
	char line[SUMMARY_PARTS * PART_BYTES] = "";

	for (unsigned i = 0; i < count; i++) {
		size_t length = svg_length(parts[i]);
		double y = TITLE_BASELINE + 4 + lines * SUMMARY_LINE;

		if (used > 0 && used + 3 + length > room) {
			if (draw)
				svg_text(picture->out, SVG_MARGIN_RIGHT, y, " font-size=\"12\"",
					 line);
			line[0] = '\0';
			used = 0;
			lines++;
		}
		strcat(line, used > 0 ? " · " : "");
		strcat(line, parts[i]);
		used += length + (used > 0 ? 3 : 0);
	}
	if (draw)
		svg_text(picture->out, SVG_MARGIN_RIGHT, TITLE_BASELINE + 4 + lines * SUMMARY_LINE,
			 " font-size=\"12\"", line);
	return lines;
}

static int put_header(struct picture *picture)
{
	size_t room = (size_t)((picture->width - 2 * SVG_MARGIN_RIGHT) / TITLE_CHARACTER);
	int error;

	out_printf(picture->out, "<text x=\"%d\" y=\"%d\" font-size=\"16\" font-weight=\"bold\">",
		   SVG_MARGIN_RIGHT, TITLE_BASELINE);
	error = svg_title(picture->out, picture->profile, picture->options,
			  room < TITLE_MOST ? room : TITLE_MOST);
	out_text(picture->out, "</text>\n");
	put_summary(picture, true);
	return error;
}

/* Ends the path's tag and begins its hover title; a figure may be "<0.1 %". */
static void put_hover(struct out *out, const char *text)
{
	out_text(out, "\"><title>");
	svg_elided(out, text, SIZE_MAX);
}

/* The areas, the whole heap first, each with its name and stack as a hover title. */
static int put_areas(struct picture *picture)
{
	const struct profile_totals *totals = &picture->profile->totals;
	struct out *out = picture->out;
	char color[SVG_COLOR_BYTES], text[4 * OUT_FIGURE + 64];

	out_text(out, "<path fill=\"" SVG_OTHER "\" d=\"");
	svg_area_path(out, &picture->heap, &picture->series, SIZE_MAX);
	snprintf(text, sizeof(text), "other sites: %s at the peak (%s)",
		 OUT_BYTES(picture->sites.other_bytes),
		 OUT_PERCENT(picture->sites.other_bytes, totals->peak_bytes));
	put_hover(out, text);
	out_text(out, "</title></path>\n");
	for (size_t rank = picture->sites.count; rank-- > 0;) {
		const struct profile_top *site = &picture->sites.sites[rank];
		int error;

		out_printf(out, "<path fill=\"%s\" d=\"", svg_color(color, rank));
		svg_area_path(out, &picture->heap, &picture->series, rank + 1);
		snprintf(text, sizeof(text), "%s in %s block%s at the peak (%s), allocated by",
			 OUT_BYTES(site->peak_bytes), OUT_COUNT(site->peak_blocks),
			 site->peak_blocks == 1 ? "" : "s",
			 OUT_PERCENT(site->peak_bytes, totals->peak_bytes));
		put_hover(out, text);
		error = svg_stack(out, site->stack, STACK_BYTES / picture->sites.count);
		if (error)
			return error;
		if (site->stacks > 1)
			out_printf(out, "\nand by %s more call stack%s of that name",
				   OUT_COUNT(site->stacks - 1), site->stacks > 2 ? "s" : "");
		out_text(out, "</title></path>\n");
	}
	return 0;
}

static void put_curve(struct picture *picture, const struct svg_panel *panel, enum svg_curve curve,
		      const char *attributes)
{
	out_printf(picture->out, "<path %s d=\"", attributes);
	svg_curve_path(picture->out, panel, &picture->series, curve);
	out_text(picture->out, "\"/>\n");
}

/* The words are laid over whatever is there, on a white edge. */
#define HALO                                                                                       \
	" stroke=\"#ffffff\" stroke-width=\"4\" stroke-linejoin=\"round\" paint-order=\"stroke\""

static void put_peak(struct picture *picture)
{
	const struct profile_totals *totals = &picture->profile->totals;
	const struct svg_panel *panel = &picture->heap;
	double x = svg_x(panel, totals->peak_time_s), y = svg_y(panel, (double)totals->peak_bytes);
	char words[SVG_WORDS], text[2 * SVG_WORDS], attributes[256];
	const char *anchor = "middle";

	if (!picture->series.peak_inside)
		return;
	snprintf(text, sizeof(text), "peak %s at %s", OUT_BYTES(totals->peak_bytes),
		 svg_duration(words, totals->peak_time_s));
	if (x < panel->left + 110)
		anchor = "start";
	else if (x > panel->left + panel->width - 110)
		anchor = "end";
	out_printf(picture->out,
		   "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"" SVG_INK
		   "\" stroke-dasharray=\"1.5 3\"/>\n"
		   "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"" SVG_INK
		   "\" stroke=\"#ffffff\" stroke-width=\"1.2\"/>\n",
		   x, y, x, panel->top + panel->height, x, y);
	snprintf(attributes, sizeof(attributes),
		 " text-anchor=\"%s\" font-size=\"12\" font-weight=\"bold\"" HALO, anchor);
	svg_text(picture->out, x, y - 9, attributes, text);
}

static int put_panels(struct picture *picture)
{
	const struct svg_panel *heap = &picture->heap, *rss = &picture->rss;
	int error;

	if (picture->strip) {
		svg_text(picture->out, rss->left, rss->top - 7, SVG_SOFT,
			 "resident memory of the process (RSS)");
		svg_panel_grid(picture->out, rss, false);
		put_curve(picture, rss, SVG_CURVE_RSS, SVG_RSS_STROKE);
	}
	svg_text(picture->out, heap->left, heap->top - 7, SVG_SOFT,
		 picture->strip || !picture->rss_known
		     ? "live heap (requested bytes)"
		     : "live heap (requested bytes) and resident memory (RSS)");
	svg_panel_grid(picture->out, heap, true);
	if (picture->series.highest > 0) {
		/* Shows where the heap was for a moment above all states known in parts. */
		put_curve(picture, heap, SVG_CURVE_UNDER, "fill=\"" SVG_UNKNOWN "\"");
		error = put_areas(picture);
		if (error)
			return error;
		svg_panel_rulers(picture->out, heap);
		if (picture->series.restless)
			put_curve(picture, heap, SVG_CURVE_RANGE,
				  "fill=\"" SVG_INK "\" fill-opacity=\"0.18\"");
		put_curve(picture, heap, SVG_CURVE_HIGH,
			  "fill=\"none\" stroke=\"" SVG_INK
			  "\" stroke-width=\"1.3\" stroke-linejoin=\"round\"");
	} else {
		svg_text(picture->out, heap->left + heap->width / 2, heap->top + heap->height / 2,
			 " text-anchor=\"middle\" font-size=\"14\"" SVG_SOFT,
			 picture->profile->totals.allocations > 0 ? "no heap in use in this time"
								  : "no allocations recorded");
	}
	if (picture->rss_known && !picture->strip)
		put_curve(picture, rss, SVG_CURVE_RSS, SVG_RSS_STROKE);
	put_peak(picture);
	return 0;
}

static double clamped(unsigned wanted, double usual, double least)
{
	return wanted == 0 ? usual : fmin(fmax(wanted, least), SVG_SIZE_MAX);
}

static int write_svg(const struct profile *profile, const struct writer_options *options,
		     struct out *out)
{
	struct picture picture = {.out = out, .profile = profile, .options = options};
	int error;

	picture.width = clamped(options->width_px, SVG_WIDTH, SVG_WIDTH_MIN);
	picture.height = clamped(options->height_px, SVG_HEIGHT, SVG_HEIGHT_MIN);
	error = svg_sites_init(&picture.sites, profile, options);
	if (error)
		return error;
	error = svg_series_init(&picture.series, profile, &picture.sites, options->from_s,
				options->to_s, columns_wanted(&picture));
	if (error) {
		svg_sites_fini(&picture.sites);
		return error;
	}
	picture.rss_known = !options->no_rss && picture.series.highest_rss > 0;
	picture.summary_lines = put_summary(&picture, false);
	lay_out(&picture);
	error = put_open(&picture);
	if (!error)
		error = put_header(&picture);
	if (!error)
		error = put_panels(&picture);
	if (!error)
		error = svg_legend(&picture);
	out_text(out, "</svg>\n");
	svg_series_fini(&picture.series);
	svg_sites_fini(&picture.sites);
	return error;
}

const struct writer writer_svg = {
    .name = "svg",
    .description = "a picture of the timeline, for people",
    .write = write_svg,
};
