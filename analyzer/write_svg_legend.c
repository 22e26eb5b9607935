/*
 * The legend: a line for each area with its name and what it held at the peak, and one for each
 * curve.
 */
#include "out.h"
#include "profile.h"
#include "write_svg_label.h"
#include "write_svg_picture.h"

#include <stdio.h>

#define LEGEND_LINE 19
#define LEGEND_NAME (SVG_MARGIN_RIGHT + 24)
/* Widths of the columns of figures, in pixels. */
#define COLUMN_BYTES   78
#define COLUMN_SHARE   62
#define COLUMN_BLOCKS  54 /* at least */
#define DIGIT	       7.2
#define MONO_CHARACTER 7.3 /* fonts differ: a little more than the usual ones have */
#define NAME_MOST      160 /* characters, however wide the picture */

double svg_legend_height(const struct picture *picture)
{
	size_t lines = 1 + picture->sites.count + (picture->sites.other_bytes > 0) + 1 +
		       picture->rss_known + picture->series.restless;

	return (double)lines * LEGEND_LINE + 18;
}

/* Distance of the column's right edge from the picture's: shares stand left of the blocks. */
static double blocks_width(const struct picture *picture)
{
	double width = (double)svg_length(OUT_COUNT(picture->profile->totals.peak_blocks)) * DIGIT;

	return width > COLUMN_BLOCKS ? width : COLUMN_BLOCKS;
}

static void put_figures(struct picture *picture, double y, const char *bytes, const char *share,
			const char *blocks)
{
	const char *end = " text-anchor=\"end\"";
	double right = picture->width - SVG_MARGIN_RIGHT;
	double shares = right - blocks_width(picture) - 18;

	svg_text(picture->out, right, y, end, blocks);
	svg_text(picture->out, shares, y, end, share);
	svg_text(picture->out, shares - COLUMN_SHARE, y, end, bytes);
}

static void put_swatch(struct picture *picture, double y, const char *fill)
{
	out_printf(
	    picture->out,
	    "<rect x=\"%d\" y=\"%.1f\" width=\"14\" height=\"11\" rx=\"1.5\" fill=\"%s\"/>\n",
	    SVG_MARGIN_RIGHT, y - 9.5, fill);
}

static void put_stroke_sample(struct picture *picture, double y, const char *attributes)
{
	out_printf(picture->out, "<path %s d=\"M%d %.1fh16\"/>\n", attributes, SVG_MARGIN_RIGHT - 1,
		   y - 4);
}

static int put_site_lines(struct picture *picture, double *y)
{
	double room = picture->width - LEGEND_NAME - SVG_MARGIN_RIGHT - blocks_width(picture) - 18 -
		      COLUMN_SHARE - COLUMN_BYTES;
	size_t width = (size_t)(room / MONO_CHARACTER);
	uint64_t peak = picture->profile->totals.peak_bytes;
	char color[SVG_COLOR_BYTES];

	for (size_t rank = 0; rank < picture->sites.count; rank++) {
		const struct profile_top *site = &picture->sites.sites[rank];
		int error;

		*y += LEGEND_LINE;
		put_swatch(picture, *y, svg_color(color, rank));
		out_printf(picture->out,
			   "<text x=\"%d\" y=\"%.1f\" font-size=\"12\" font-family=\"DejaVu Sans "
			   "Mono, Consolas, Menlo, monospace\">",
			   LEGEND_NAME, *y);
		error = svg_site_label(picture->out, &picture->sites, rank,
				       width < NAME_MOST ? width : NAME_MOST);
		if (error)
			return error;
		out_text(picture->out, "</text>\n");
		put_figures(picture, *y, OUT_BYTES(site->peak_bytes),
			    OUT_PERCENT(site->peak_bytes, peak), OUT_COUNT(site->peak_blocks));
	}
	return 0;
}

/* Of the whole run the process' own record is known, which lies between samples. */
static uint64_t highest_rss(const struct picture *picture)
{
	const struct profile_totals *totals = &picture->profile->totals;
	const struct svg_series *series = &picture->series;
	bool whole = series->from_s <= 0 && series->to_s >= totals->duration_s;

	return whole && totals->peak_rss_bytes > series->highest_rss ? totals->peak_rss_bytes
								     : series->highest_rss;
}

static void put_total_lines(struct picture *picture, double y)
{
	const struct profile_totals *totals = &picture->profile->totals;
	uint64_t peak = totals->peak_bytes;
	const char *sized = " font-size=\"12\"";
	char text[128];

	if (picture->sites.other_bytes > 0) {
		y += LEGEND_LINE;
		put_swatch(picture, y, SVG_OTHER);
		snprintf(text, sizeof(text), "other (%s call stack%s)",
			 OUT_COUNT(picture->sites.other_stacks),
			 picture->sites.other_stacks == 1 ? "" : "s");
		svg_text(picture->out, LEGEND_NAME, y, sized, text);
		put_figures(picture, y, OUT_BYTES(picture->sites.other_bytes),
			    OUT_PERCENT(picture->sites.other_bytes, peak),
			    OUT_COUNT(picture->sites.other_blocks));
	}
	y += LEGEND_LINE;
	put_stroke_sample(picture, y, "stroke=\"" SVG_INK "\" stroke-width=\"1.6\"");
	svg_text(picture->out, LEGEND_NAME, y, sized, "live heap, all sites");
	put_figures(picture, y, OUT_BYTES(peak), peak ? "100 %" : "",
		    OUT_COUNT(totals->peak_blocks));
	if (picture->series.restless) {
		y += LEGEND_LINE;
		out_printf(picture->out,
			   "<rect x=\"%d\" y=\"%.1f\" width=\"14\" height=\"11\" fill=\"" SVG_INK
			   "\" fill-opacity=\"0.25\"/>\n",
			   SVG_MARGIN_RIGHT, y - 9.5);
		svg_text(picture->out, LEGEND_NAME, y, sized,
			 "range of the heap within a pixel's time");
	}
	if (picture->rss_known) {
		y += LEGEND_LINE;
		put_stroke_sample(picture, y, SVG_RSS_STROKE);
		svg_text(picture->out, LEGEND_NAME, y, sized, "resident memory (RSS), at most");
		put_figures(picture, y, OUT_BYTES(highest_rss(picture)), "", "");
	}
}

int svg_legend(struct picture *picture)
{
	double y = picture->legend_top + 4;
	int error;

	out_text(picture->out, "<g" SVG_SOFT ">\n");
	svg_text(picture->out, SVG_MARGIN_RIGHT, y, "",
		 picture->sites.count > 0 ? "allocated by" : "");
	put_figures(picture, y, "at the peak", "share", "blocks");
	out_text(picture->out, "</g>\n");
	error = put_site_lines(picture, &y);
	if (!error)
		put_total_lines(picture, y);
	return error;
}
