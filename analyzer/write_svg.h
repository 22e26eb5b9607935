/*
 * Limits of writer_svg: the profile's timeline as one self-contained picture, live heap as an
 * outline over the stacked areas of the sites that held most at the peak, and the resident set.
 * Well-formed and less than SVG_BYTES_MAX, whatever is in the profile and however long the run.
 */
#ifndef WRITE_SVG_H
#define WRITE_SVG_H

#define SVG_BYTES_MAX  (200 * 1000)
#define SVG_WIDTH      1000 /* pixels, unless asked otherwise */
#define SVG_HEIGHT     660
#define SVG_WIDTH_MIN  480
#define SVG_HEIGHT_MIN 320
#define SVG_SIZE_MAX   10000
#define SVG_TOP	       8
#define SVG_TOP_MAX    20
/* Points to ask profile_load() for: several a column, so that the fullest of them can be drawn. */
#define SVG_POINTS 2400

#endif
