/*
 * Axis ticks: a table of units and a table of round steps within a unit; the smallest step that
 * leaves few enough ticks wins. Decimal steps (1, 2, 5) for people, binary units because that is
 * how memory is counted.
 */
#include "ticks.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>

static const char *const byte_units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
#define BYTE_UNITS (sizeof(byte_units) / sizeof(byte_units[0]))

struct byte_step {
	double units;
	int decimals; /* 0: labelled in the unit itself, else that many in the next unit */
};

static const struct byte_step byte_steps[] = {
    {1, 0}, {2, 0}, {5, 0}, {10, 0}, {20, 0}, {50, 0}, {100, 0}, {200, 0}, {256, 2}, {512, 1},
};

/* Above 20 s; below, powers of ten times 1, 2 and 5 will do, and of whole days again. */
static const double clock_steps[] = {
    30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200,
};
#define DAY 86400.0

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

void ticks_bytes(double max, unsigned most, struct ticks *ticks)
{
	double unit = 1;

	*ticks = (struct ticks){.style = TICKS_DECIMAL};
	if (!(max > 0))
		max = 0;
	for (size_t u = 0; u < BYTE_UNITS; u++, unit *= 1024) {
		for (size_t s = 0; s < COUNT(byte_steps); s++) {
			const struct byte_step *step = &byte_steps[s];
			bool next = step->decimals > 0 && u + 1 < BYTE_UNITS;
			bool last = u + 1 == BYTE_UNITS && s + 1 == COUNT(byte_steps);

			if (max / (step->units * unit) >= most + 1 && !last)
				continue;
			ticks->step = step->units * unit;
			ticks->count = (unsigned)fmin(floor(max / ticks->step), most) + 1;
			ticks->unit = next ? unit * 1024 : unit;
			ticks->unit_name = byte_units[next ? u + 1 : u];
			ticks->decimals = next ? step->decimals : 0;
			return;
		}
	}
}

/* The smallest of 1, 2, 5 times a power of ten, 10^low or more, that is at least `least`. */
static double decimal_step(double least, int low)
{
	static const double mantissas[] = {1, 2, 5};

	for (int power = low;; power++) {
		for (size_t m = 0; m < COUNT(mantissas); m++) {
			/* A division by an exact power of ten rounds once, a product of 1e-9 twice.
			 */
			double step = power < 0 ? mantissas[m] / pow(10, -power)
						: mantissas[m] * pow(10, power);

			if (step >= least || power == 18)
				return step;
		}
	}
}

/* The smallest round number of seconds that is at least `least`. */
static double seconds_step(double least)
{
	if (least <= 20)
		return decimal_step(least, -9);
	for (size_t i = 0; i < COUNT(clock_steps); i++)
		if (clock_steps[i] >= least)
			return clock_steps[i];
	return decimal_step(least / DAY, 0) * DAY;
}

/* By how far the axis goes; of a long axis with ticks less than a second apart, seconds. */
static void choose_unit(struct ticks *ticks, double to)
{
	static const struct {
		double upto, unit;
		const char *name;
	} units[] = {
	    {1e-6, 1e-9, "ns"}, {1e-3, 1e-6, "µs"},   {1, 1e-3, "ms"},	    {120, 1, "s"},
	    {7200, 60, "min"},	{2 * DAY, 3600, "h"}, {INFINITY, DAY, "d"},
	};
	size_t i = 0;

	while (to > units[i].upto && !(units[i].unit == 1 && ticks->step < 1))
		i++;
	ticks->unit = units[i].unit;
	ticks->unit_name = units[i].name;
}

static void choose_style(struct ticks *ticks, double to)
{
	choose_unit(ticks, to);
	ticks->style = TICKS_DECIMAL;
	if (ticks->unit <= 1) {
		double places = -log10(ticks->step / ticks->unit);

		ticks->decimals = places > 0 ? (int)ceil(places - 1e-6) : 0;
	} else if (fmod(ticks->step, ticks->unit) == 0) {
		return;
	} else if (ticks->unit == DAY && fmod(ticks->step, 3600) == 0) {
		ticks->unit = 3600;
		ticks->unit_name = "h";
	} else if (ticks->unit == 60) {
		ticks->style = TICKS_MINUTES_SECONDS;
	} else {
		ticks->style =
		    fmod(ticks->step, 60) == 0 ? TICKS_HOURS_MINUTES : TICKS_HOURS_MINUTES_SECONDS;
	}
}

void ticks_seconds(double from, double to, unsigned most, struct ticks *ticks)
{
	/* A value printed as 0.1 and one added up to 0.1 may differ in the last bit. */
	const double slack = 1e-9;
	double last;

	*ticks = (struct ticks){.step = seconds_step((to - from) / (most + 0.5))};
	ticks->first = ceil(from / ticks->step - slack);
	last = floor(to / ticks->step + slack);
	ticks->count = last < ticks->first ? 0 : (unsigned)fmin(last - ticks->first, most) + 1;
	choose_style(ticks, to);
}

double ticks_at(const struct ticks *ticks, unsigned index)
{
	return (ticks->first + index) * ticks->step;
}

void ticks_label(const struct ticks *ticks, unsigned index, char text[TICKS_LABEL_BYTES])
{
	double value = ticks_at(ticks, index);
	long long whole = llround(fmin(value, 1e15));

	if (value == 0) {
		snprintf(text, TICKS_LABEL_BYTES, "0");
		return;
	}
	switch (ticks->style) {
	case TICKS_MINUTES_SECONDS:
		snprintf(text, TICKS_LABEL_BYTES, "%lld:%02lld", whole / 60, whole % 60);
		break;
	case TICKS_HOURS_MINUTES:
		snprintf(text, TICKS_LABEL_BYTES, "%lld:%02lld", whole / 3600, whole / 60 % 60);
		break;
	case TICKS_HOURS_MINUTES_SECONDS:
		snprintf(text, TICKS_LABEL_BYTES, "%lld:%02lld:%02lld", whole / 3600,
			 whole / 60 % 60, whole % 60);
		break;
	case TICKS_DECIMAL:
		snprintf(text, TICKS_LABEL_BYTES, "%.*f %s", ticks->decimals, value / ticks->unit,
			 ticks->unit_name);
		break;
	}
}

const char *ticks_style_name(const struct ticks *ticks)
{
	switch (ticks->style) {
	case TICKS_MINUTES_SECONDS:
		return "minutes:seconds";
	case TICKS_HOURS_MINUTES:
		return "hours:minutes";
	case TICKS_HOURS_MINUTES_SECONDS:
		return "hours:minutes:seconds";
	case TICKS_DECIMAL:
		break;
	}
	return NULL;
}
