/*
 * The timeline cut down to what a picture can show: a few hundred columns, none of which hides the
 * highest or lowest heap of its time. The peak of the whole run is a column of its own.
 */
#ifndef WRITE_SVG_SERIES_H
#define WRITE_SVG_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct profile;
struct svg_sites;

/* `live` and `sites` are the state at `time_s`, the fullest one known; the rest is of its span. */
struct svg_column {
	double time_s;
	double high_time_s;
	uint64_t live;
	uint64_t high;
	uint64_t low;
	uint64_t rss;
	const uint64_t *sites; /* by rank, a view into profile or sites; NULL: all 0 */
};

struct svg_series {
	struct svg_column *columns; /* in order of time */
	size_t count;
	double from_s, to_s; /* from_s < to_s, both finite */
	uint64_t highest;    /* live heap within the window */
	uint64_t highest_rss;
	bool peak_inside; /* the peak of the run lies within the window */
	bool restless; /* the heap moves so much between columns that its range is worth showing */
};

/*
 * Columns for the part of the run from `from_s` to `to_s` (0: to its end), about `wanted` of them
 * and never more than wanted + SVG_SERIES_EXTRA. The caller releases it with svg_series_fini();
 * profile and sites are to outlive it. Returns 0 or -ENOMEM.
 */
#define SVG_SERIES_EXTRA 8
int svg_series_init(struct svg_series *series, const struct profile *profile,
		    const struct svg_sites *sites, double from_s, double to_s, size_t wanted);
void svg_series_fini(struct svg_series *series);

#endif
