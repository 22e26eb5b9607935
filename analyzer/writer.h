/*
 * The seam between a finished profile and its output formats: one const object a format, and each
 * command has its own table of them. A writer sees nothing but this, profile.h, out.h and escape.h.
 */
#ifndef WRITER_H
#define WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ranking.h"

struct out;
struct profile;

#define WRITER_TOP_DEFAULT   SIZE_MAX /* as many sites as the format thinks right */
#define WRITER_DEPTH_DEFAULT SIZE_MAX /* likewise of a stack */

/* The parts of a text report, for writer_options.sections. */
enum writer_section {
	SECTION_PEAK = 1 << 0,
	SECTION_LEAKS = 1 << 1,
	SECTION_ALLOCATIONS = 1 << 2,
	SECTION_BYTES = 1 << 3,
	SECTION_TEMPORARIES = 1 << 4,
	SECTION_MAPS = 1 << 5,
	SECTION_WARNINGS = 1 << 6,
};

/* All that a person may choose about the output; a format ignores what it has no use for. */
struct writer_options {
	size_t top;	   /* sites shown, 0: all, or WRITER_TOP_DEFAULT */
	size_t depth;	   /* lines of a stack, 0: all, or WRITER_DEPTH_DEFAULT */
	bool full_names;   /* neither names nor paths shortened, no wrapper hidden */
	bool by_stack;	   /* every call stack by itself, not grouped by site */
	unsigned sections; /* enum writer_section, or'ed; 0: the usual ones */
	enum ranking_metric sort;
	enum ranking_metric metric; /* of folded stacks */
	bool color;		    /* terminal sequences allowed */
	unsigned columns;	    /* of the terminal; lines are fitted where possible */
	bool confidential;	    /* no command line, no host, paths as their last component */
	const char *trace;	    /* path of the trace, for headings; may be NULL */
	/* of a plot */
	const char *title; /* NULL: the command line */
	unsigned width_px, height_px;
	bool no_rss;
	double from_s, to_s; /* part of the run; to_s 0: to its end */
	size_t points;	     /* of a plot's time axis or table at most; 0: what it can show */
};

struct writer {
	const char *name;	 /* as in --format=NAME */
	const char *description; /* for --help, in a few words */
	/* What goes wrong with `out` stays in it. Returns 0, or -ENOMEM. */
	int (*write)(const struct profile *profile, const struct writer_options *options,
		     struct out *out);
};

extern const struct writer writer_text, writer_json, writer_folded; /* memprof-report */
extern const struct writer writer_svg, writer_csv;		    /* memprof-plot */

/* `path`, or its last component when the output is to be confidential; NULL stays NULL. */
const char *writer_path(const struct writer_options *options, const char *path);

/* What follows the last '/' of a path (the path itself when that is empty); NULL stays NULL. */
const char *writer_basename(const char *path);

#endif
