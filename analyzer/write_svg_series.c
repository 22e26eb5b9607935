/*
 * Points are put into equal spans of time. Of a span the fullest state is kept, for the stacked
 * areas, and the highest and lowest heap, for the outline and the range behind it. Spans in which
 * nothing happened have no column; a heap that nobody touches stays as it is, so the column before
 * the gap is repeated at its end.
 */
#include "write_svg_series.h"

#include "profile.h"
#include "write_svg_sites.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static struct svg_column column_of_point(const struct profile *profile, size_t index)
{
	const struct profile_point *point = &profile->points[index];
	double high_time_s = point->high_time_s;

	/* NaN or out of order in a damaged file */
	if (!(high_time_s >= 0 && high_time_s <= point->time_s))
		high_time_s = point->time_s;
	return (struct svg_column){
	    .time_s = point->time_s,
	    .high_time_s = high_time_s,
	    .live = point->live_bytes,
	    .high = point->high_bytes > point->live_bytes ? point->high_bytes : point->live_bytes,
	    .low = point->low_bytes < point->live_bytes ? point->low_bytes : point->live_bytes,
	    .rss = point->rss_bytes,
	    .sites =
		profile->top_count > 0 ? &profile->top_bytes[index * profile->top_count] : NULL,
	};
}

static void merge(struct svg_column *into, const struct svg_column *from)
{
	if (from->high > into->high) {
		into->high = from->high;
		into->high_time_s = from->high_time_s;
	}
	if (from->low < into->low)
		into->low = from->low;
	if (from->rss > into->rss)
		into->rss = from->rss;
	if (from->live >= into->live) {
		into->live = from->live;
		into->time_s = from->time_s;
		into->sites = from->sites;
	}
}

/* The same state at another time, after which nothing is known to have happened. */
static struct svg_column held_until(const struct svg_column *column, double time_s)
{
	struct svg_column held = *column;

	held.time_s = held.high_time_s = time_s;
	held.high = held.low = held.live;
	return held;
}

static void append(struct svg_series *series, const struct svg_column *column)
{
	series->columns[series->count++] = *column;
}

/* The exact moment of the peak, before the first column that is later. */
static void insert_peak(struct svg_series *series, const struct profile *profile,
			const struct svg_sites *sites)
{
	struct svg_column peak = {
	    .time_s = profile->totals.peak_time_s,
	    .high_time_s = profile->totals.peak_time_s,
	    .live = profile->totals.peak_bytes,
	    .high = profile->totals.peak_bytes,
	    .low = profile->totals.peak_bytes,
	    .sites = sites->peak,
	};
	size_t at = 0;

	while (at < series->count && series->columns[at].time_s < peak.time_s)
		at++;
	if (at < series->count)
		peak.rss = series->columns[at].rss;
	else if (at > 0)
		peak.rss = series->columns[at - 1].rss;
	for (size_t i = series->count++; i > at; i--)
		series->columns[i] = series->columns[i - 1];
	series->columns[at] = peak;
}

/* Whether point `index` can be drawn: times are finite and never go back. */
static bool in_order(const struct profile *profile, size_t index, double after)
{
	double time_s = profile->points[index].time_s;

	return isfinite(time_s) && time_s >= after;
}

/* The state before the window, as it was when the window begins. */
static struct svg_column begin_of(const struct svg_series *series, const struct profile *profile)
{
	struct svg_column begin = {.time_s = series->from_s};

	for (size_t i = 0; i < profile->point_count; i++)
		if (in_order(profile, i, begin.time_s < series->from_s ? begin.time_s : 0) &&
		    profile->points[i].time_s < series->from_s)
			begin = column_of_point(profile, i);
	return held_until(&begin, series->from_s);
}

/* One column for all points of a span; what is empty between two spans keeps the state. */
static void collect(struct svg_series *series, const struct profile *profile, size_t wanted)
{
	double span = (series->to_s - series->from_s) / (double)wanted;
	struct svg_column last = begin_of(series, profile); /* the newest point */
	struct svg_column held;
	double current = -1; /* span of the newest column */

	append(series, &last);
	for (size_t i = 0; i < profile->point_count; i++) {
		struct svg_column column;
		double index;

		if (!in_order(profile, i, last.time_s) || profile->points[i].time_s > series->to_s)
			continue;
		column = column_of_point(profile, i);
		index = floor((column.time_s - series->from_s) / span);
		if (index == current) {
			merge(&series->columns[series->count - 1], &column);
		} else {
			/* Two columns for a gap; the empty spans have left room for them. */
			if (index > current + 2) {
				held = held_until(&last, series->from_s + (current + 1) * span);
				append(series, &held);
				held = held_until(&last, column.time_s - span);
				append(series, &held);
			}
			append(series, &column);
			current = index;
		}
		last = column;
	}
	/* The state at the end, exactly, though a fuller one may stand for its span. */
	if (series->columns[series->count - 1].time_s < last.time_s) {
		held = held_until(&last, last.time_s);
		append(series, &held);
	}
	if (last.time_s < series->to_s) {
		held = held_until(&last, series->to_s);
		append(series, &held);
	}
}

/*
 * Heights, and whether the heap often leaves the line from state to state by a fiftieth of the
 * picture: once or twice is a jump, which the outline shows well enough.
 */
static void survey(struct svg_series *series)
{
	size_t jumps = 0;

	for (size_t i = 0; i < series->count; i++) {
		const struct svg_column *column = &series->columns[i];

		if (column->high > series->highest)
			series->highest = column->high;
		if (column->rss > series->highest_rss)
			series->highest_rss = column->rss;
	}
	for (size_t i = 1; i < series->count; i++) {
		const struct svg_column *column = &series->columns[i];
		uint64_t before = column[-1].live;
		uint64_t floor_bytes = before < column->live ? before : column->live;
		uint64_t ceiling = before > column->live ? before : column->live;

		if ((column->low < floor_bytes &&
		     floor_bytes - column->low > series->highest / 50) ||
		    (column->high > ceiling && column->high - ceiling > series->highest / 50))
			jumps++;
	}
	series->restless = jumps > 4 && jumps > series->count / 50;
}

int svg_series_init(struct svg_series *series, const struct profile *profile,
		    const struct svg_sites *sites, double from_s, double to_s, size_t wanted)
{
	double end = profile->totals.duration_s;
	double peak_s = profile->totals.peak_time_s;

	*series = (struct svg_series){0};
	if (profile->point_count > 0 && profile->points[profile->point_count - 1].time_s > end)
		end = profile->points[profile->point_count - 1].time_s;
	if (!(isfinite(end) && end > 0 && end < 1e15))
		end = 1e-6;
	series->from_s = from_s > 0 && from_s < 1e15 ? from_s : 0;
	series->to_s = to_s > series->from_s && to_s < end ? to_s : end;
	/* A window after the end of the run is drawn empty rather than not at all. */
	if (series->to_s <= series->from_s)
		series->to_s = series->from_s * (1 + 1e-6) + 1e-6;
	if (wanted < 1)
		wanted = 1;
	if (profile->point_count > 0 && wanted > profile->point_count)
		wanted = profile->point_count;
	/* Each span gives one column, and each run of empty spans two. */
	series->columns = calloc(wanted + SVG_SERIES_EXTRA, sizeof(*series->columns));
	if (!series->columns)
		return -ENOMEM;
	collect(series, profile, wanted);
	series->peak_inside =
	    profile->totals.peak_bytes > 0 && peak_s >= series->from_s && peak_s <= series->to_s;
	if (series->peak_inside)
		insert_peak(series, profile, sites);
	survey(series);
	return 0;
}

void svg_series_fini(struct svg_series *series)
{
	free(series->columns);
	*series = (struct svg_series){0};
}
