/*
 * Round places to put the ticks of an axis, and their labels.
 *
 * Bytes are counted in binary units (KiB, MiB, ...): steps are 1, 2, 5, 10, 20, 50, 100, 200 of a
 * unit, or a quarter or half of the next, so that every tick is a whole number of bytes. Seconds
 * go by 1, 2, 5 times a power of ten up to 20 s, and above that by what a clock face divides into.
 */
#ifndef TICKS_H
#define TICKS_H

#include <stddef.h>
#include <stdint.h>

#define TICKS_LABEL_BYTES 48

/* How the labels of an axis are written. */
enum ticks_style {
	TICKS_DECIMAL,	       /* "2.5 MiB": value / unit with so many decimals, then the unit */
	TICKS_MINUTES_SECONDS, /* "1:30" */
	TICKS_HOURS_MINUTES,   /* "1:30" */
	TICKS_HOURS_MINUTES_SECONDS, /* "1:30:00" */
};

/* Tick N lies at (first + N) * step. */
struct ticks {
	double step;
	double first; /* a whole number of steps */
	unsigned count;
	enum ticks_style style;
	double unit; /* TICKS_DECIMAL: what one of `unit_name` is */
	const char *unit_name;
	int decimals;
};

/*
 * Ticks from 0 to `max` bytes, of the smallest round step that gives at most `most` + 1 of them
 * (`most` is at least 1). There is always one at 0.
 */
void ticks_bytes(double max, unsigned most, struct ticks *ticks);

/*
 * Ticks within [from, to] seconds, at most `most` + 1 of them; none where no round value lies in
 * the range. Both are to be finite, not negative, and below 1e15; from < to.
 */
void ticks_seconds(double from, double to, unsigned most, struct ticks *ticks);

/* Where tick `index` lies, in bytes or seconds. */
double ticks_at(const struct ticks *ticks, unsigned index);

/* The text of tick `index` with its unit; 0 is "0". */
void ticks_label(const struct ticks *ticks, unsigned index, char text[TICKS_LABEL_BYTES]);

/* What labels without a unit name are in ("minutes:seconds"), or NULL where each has its own. */
const char *ticks_style_name(const struct ticks *ticks);

#endif
