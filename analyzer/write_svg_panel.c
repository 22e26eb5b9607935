/*
 * Curves are written as relative moves in tenths of a pixel, which keeps a vertex to 4 to 12 bytes,
 * and level stretches become one move. Each area reaches down to the base line and is painted over
 * by the next lower one, so that it needs its upper edge only.
 */
#include "write_svg_panel.h"

#include "out.h"
#include "ticks.h"
#include "write_svg_label.h"
#include "write_svg_series.h"

#include <math.h>
#include <stdio.h>

#define GRID_PIXELS_Y 40 /* at least, between two grid lines */
#define GRID_PIXELS_X 90
#define WIDE_COLUMN   4 /* pixels */
#define GRID_INK      "#e4e4e4"
#define GRID_MOST     20 /* lines either way, however large the picture */

/* Okabe and Ito's colour-blind-safe set (2008), the darkest and lightest ones apart, and a wine red
 * of Tol's to make eight. */
static const unsigned char palette[][3] = {
    {0x00, 0x72, 0xb2}, {0xe6, 0x9f, 0x00}, {0x00, 0x9e, 0x73}, {0xcc, 0x79, 0xa7},
    {0x56, 0xb4, 0xe9}, {0xd5, 0x5e, 0x00}, {0xf0, 0xe4, 0x42}, {0x88, 0x22, 0x55},
};
#define PALETTE (sizeof(palette) / sizeof(palette[0]))

const char *svg_color(char text[SVG_COLOR_BYTES], size_t rank)
{
	/* The second round is paler, the third darker. */
	static const struct {
		unsigned keep, add;
	} rounds[] = {{100, 0}, {50, 127}, {60, 0}};
	const unsigned char *base = palette[rank % PALETTE];
	unsigned keep = rounds[rank / PALETTE % 3].keep, add = rounds[rank / PALETTE % 3].add;

	snprintf(text, SVG_COLOR_BYTES, "#%02x%02x%02x", (base[0] * keep / 100 + add) & 0xff,
		 (base[1] * keep / 100 + add) & 0xff, (base[2] * keep / 100 + add) & 0xff);
	return text;
}

double svg_x(const struct svg_panel *panel, double time_s)
{
	double part = (time_s - panel->from_s) / (panel->to_s - panel->from_s);

	return panel->left + panel->width * fmin(fmax(part, 0), 1);
}

double svg_y(const struct svg_panel *panel, double bytes)
{
	return panel->top + panel->height * (1 - fmin(fmax(bytes / panel->bytes, 0), 1));
}

static void line(struct out *out, double x1, double y1, double x2, double y2, const char *ink)
{
	out_printf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n",
		   x1, y1, x2, y2, ink);
}

static unsigned most_ticks(double pixels, double apart)
{
	return (unsigned)fmin(fmax(pixels / apart, 2), GRID_MOST);
}

void svg_panel_grid(struct out *out, const struct svg_panel *panel, bool times)
{
	double right = panel->left + panel->width, bottom = panel->top + panel->height;
	char text[TICKS_LABEL_BYTES];
	struct ticks ticks;

	ticks_bytes(panel->bytes, most_ticks(panel->height, GRID_PIXELS_Y), &ticks);
	for (unsigned i = 0; i < ticks.count; i++) {
		double y = svg_y(panel, ticks_at(&ticks, i));

		ticks_label(&ticks, i, text);
		line(out, panel->left, y, right, y, GRID_INK);
		svg_text(out, panel->left - 8, y + 4, " text-anchor=\"end\"", text);
	}
	ticks_seconds(panel->from_s, panel->to_s, most_ticks(panel->width, GRID_PIXELS_X), &ticks);
	for (unsigned i = 0; i < ticks.count; i++) {
		double x = svg_x(panel, ticks_at(&ticks, i));

		line(out, x, panel->top, x, bottom, GRID_INK);
		if (!times)
			continue;
		line(out, x, bottom, x, bottom + 5, SVG_SOFT_INK);
		ticks_label(&ticks, i, text);
		svg_text(out, x, bottom + 18, " text-anchor=\"middle\"", text);
	}
	line(out, panel->left, bottom, right, bottom, SVG_SOFT_INK);
	if (!times)
		return;
	snprintf(text, sizeof(text), "time since the start%s%s",
		 ticks_style_name(&ticks) ? ", " : "",
		 ticks_style_name(&ticks) ? ticks_style_name(&ticks) : "");
	svg_text(out, panel->left + panel->width / 2, bottom + 36, " text-anchor=\"middle\"", text);
}

void svg_panel_rulers(struct out *out, const struct svg_panel *panel)
{
	struct ticks ticks;

	ticks_bytes(panel->bytes, most_ticks(panel->height, GRID_PIXELS_Y), &ticks);
	out_text(out, "<g stroke-opacity=\"0.3\">\n");
	for (unsigned i = 1; i < ticks.count; i++) {
		double y = svg_y(panel, ticks_at(&ticks, i));

		line(out, panel->left, y, panel->left + panel->width, y, "#ffffff");
	}
	out_text(out, "</g>\n");
}

/* A curve on its way: the vertex written last, and one that waits whether the next is level. */
struct pen {
	struct out *out;
	int x, y;
	int wait_x, wait_y;
	bool down, waiting;
};

/* One number of a relative move; what separates it from the one before is its sign, if it has. */
static void put_tenths(struct out *out, int tenths, bool separate)
{
	if (tenths < 0)
		out_char(out, '-');
	else if (separate)
		out_char(out, ' ');
	tenths = tenths < 0 ? -tenths : tenths;
	if (tenths % 10)
		out_printf(out, "%d.%d", tenths / 10, tenths % 10);
	else
		out_printf(out, "%d", tenths / 10);
}

static void pen_flush(struct pen *pen)
{
	if (!pen->waiting)
		return;
	put_tenths(pen->out, pen->wait_x - pen->x, true);
	put_tenths(pen->out, pen->wait_y - pen->y, true);
	pen->x = pen->wait_x;
	pen->y = pen->wait_y;
	pen->waiting = false;
}

static void pen_to(struct pen *pen, double x_pixels, double y_pixels)
{
	int x = (int)lround(x_pixels * 10), y = (int)lround(y_pixels * 10);

	if (!pen->down) {
		out_char(pen->out, 'M');
		put_tenths(pen->out, x, false);
		put_tenths(pen->out, y, true);
		out_char(pen->out, 'l');
		pen->x = x;
		pen->y = y;
		pen->down = true;
		return;
	}
	if (pen->waiting && !(y == pen->wait_y && y == pen->y))
		pen_flush(pen);
	if (x == pen->x && y == pen->y)
		return;
	pen->wait_x = x;
	pen->wait_y = y;
	pen->waiting = true;
}

/* A curve of a single vertex would leave an "l" without numbers, which is an error in a path. */
static void pen_up(struct pen *pen)
{
	pen_flush(pen);
	out_text(pen->out, " 0 0");
}

static uint64_t height_of(const struct svg_column *column, size_t ranks)
{
	uint64_t sum = 0;

	if (ranks == SIZE_MAX)
		return column->live;
	for (size_t rank = 0; rank < ranks && column->sites; rank++) {
		/* A part is never more than the whole, except in a damaged trace. */
		if (column->sites[rank] > column->live - sum)
			return column->live;
		sum += column->sites[rank];
	}
	return sum;
}

void svg_area_path(struct out *out, const struct svg_panel *panel, const struct svg_series *series,
		   size_t ranks)
{
	struct pen pen = {.out = out};

	pen_to(&pen, svg_x(panel, series->columns[0].time_s), panel->top + panel->height);
	for (size_t i = 0; i < series->count; i++)
		pen_to(&pen, svg_x(panel, series->columns[i].time_s),
		       svg_y(panel, (double)height_of(&series->columns[i], ranks)));
	pen_to(&pen, svg_x(panel, series->columns[series->count - 1].time_s),
	       panel->top + panel->height);
	pen_up(&pen);
	out_char(out, 'z');
}

void svg_curve_path(struct out *out, const struct svg_panel *panel, const struct svg_series *series,
		    enum svg_curve curve)
{
	struct pen pen = {.out = out};
	/* Few columns: between two highs the eye would miss the state at a column's end. */
	bool wide = panel->width > WIDE_COLUMN * (double)series->count;
	bool high = curve == SVG_CURVE_HIGH || curve == SVG_CURVE_UNDER;
	double bottom = panel->top + panel->height;

	if (curve == SVG_CURVE_UNDER)
		pen_to(&pen, svg_x(panel, series->columns[0].high_time_s), bottom);

	for (size_t i = 0; i < series->count; i++) {
		const struct svg_column *column = &series->columns[i];
		bool rss = curve == SVG_CURVE_RSS;

		/* No sample yet: the line begins with the first. */
		if (rss && column->rss == 0)
			continue;
		pen_to(&pen, svg_x(panel, rss ? column->time_s : column->high_time_s),
		       svg_y(panel, (double)(rss ? column->rss : column->high)));
		if (high && (wide || i + 1 == series->count))
			pen_to(&pen, svg_x(panel, column->time_s),
			       svg_y(panel, (double)column->live));
	}
	for (size_t i = series->count; curve == SVG_CURVE_RANGE && i-- > 0;)
		pen_to(&pen, svg_x(panel, series->columns[i].high_time_s),
		       svg_y(panel, (double)series->columns[i].low));
	if (curve == SVG_CURVE_UNDER)
		pen_to(&pen, svg_x(panel, series->columns[series->count - 1].time_s), bottom);
	if (pen.down)
		pen_up(&pen);
}
