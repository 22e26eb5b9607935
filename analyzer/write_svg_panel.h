/*
 * One plot area of the picture: its scale, grid and curves. Two panels share a time axis when the
 * resident set would press the heap flat.
 */
#ifndef WRITE_SVG_PANEL_H
#define WRITE_SVG_PANEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct out;
struct svg_series;

struct svg_panel {
	double left, top, width, height; /* of the plot area, in pixels */
	double from_s, to_s;
	double bytes; /* at the top edge */
};

#define SVG_INK	     "#222222" /* outline of the heap, and text */
#define SVG_SOFT_INK "#555555"
#define SVG_RSS_INK  "#555555"
#define SVG_UNKNOWN  "#ececec"
#define SVG_OTHER    "#c8c8c8"

/* Fill of the area of a rank. */
#define SVG_COLOR_BYTES 8
const char *svg_color(char text[SVG_COLOR_BYTES], size_t rank);

double svg_x(const struct svg_panel *panel, double time_s);
double svg_y(const struct svg_panel *panel, double bytes);

/* White ground, grid lines and byte labels; time labels too when `times`. */
void svg_panel_grid(struct out *out, const struct svg_panel *panel, bool times);

/*
 * The outline of the area under the heap's ranks 0..ranks-1, from the base line up; ranks ==
 * SIZE_MAX: under the whole heap. Only the value of a `d` attribute.
 */
void svg_area_path(struct out *out, const struct svg_panel *panel, const struct svg_series *series,
		   size_t ranks);

/* The byte lines once more, faint and white, for what has been painted over them. */
void svg_panel_rulers(struct out *out, const struct svg_panel *panel);

enum svg_curve {
	SVG_CURVE_HIGH,
	SVG_CURVE_UNDER /* the area under HIGH */,
	SVG_CURVE_RSS,
	SVG_CURVE_RANGE
};
void svg_curve_path(struct out *out, const struct svg_panel *panel, const struct svg_series *series,
		    enum svg_curve curve);

#endif
