/*
 * The picture while it is drawn: what the parts of it (header, panels, legend) share.
 */
#ifndef WRITE_SVG_PICTURE_H
#define WRITE_SVG_PICTURE_H

#include <stdbool.h>

#include "write_svg_panel.h"
#include "write_svg_series.h"
#include "write_svg_sites.h"

struct out;
struct profile;
struct writer_options;

struct picture {
	struct out *out;
	const struct profile *profile;
	const struct writer_options *options;
	struct svg_sites sites;
	struct svg_series series;
	struct svg_panel heap, rss; /* alike where they share one */
	bool strip;		    /* they do not */
	bool rss_known;
	double width, height;
	double legend_top;
	unsigned summary_lines;
};

#define SVG_MARGIN_LEFT	 92 /* of the panels; the words begin at the right margin's distance */
#define SVG_MARGIN_RIGHT 28

#define SVG_SOFT " fill=\"" SVG_SOFT_INK "\""
#define SVG_RSS_STROKE                                                                             \
	"fill=\"none\" stroke=\"" SVG_RSS_INK "\" stroke-width=\"1.5\" stroke-dasharray=\"5 3\""

/* Height of the legend in pixels, known once sites and series are. */
double svg_legend_height(const struct picture *picture);

/* Draws it from picture->legend_top down. Returns 0 or -ENOMEM. */
int svg_legend(struct picture *picture);

#endif
