/*
 * The words of the picture: names of sites cut to a width, durations, how the process ended. All of
 * it comes out as XML character data.
 */
#ifndef WRITE_SVG_LABEL_H
#define WRITE_SVG_LABEL_H

#include <stddef.h>

struct out;
struct profile;
struct profile_stack;
struct svg_sites;
struct writer_options;

/* A text element; `attributes` is empty, or markup that begins with a space. */
void svg_text(struct out *out, double x, double y, const char *attributes, const char *text);

/* Characters (code points) in `text`; an invalid byte counts as one. */
size_t svg_length(const char *text);

/* `text` in at most `width` characters, with an ellipsis in the middle where it is longer. */
void svg_elided(struct out *out, const char *text, size_t width);

/*
 * Site `rank` in at most `width` characters: "function file:line", and, where another has the same
 * name, the first caller that tells them apart. Returns 0 or -ENOMEM.
 */
int svg_site_label(struct out *out, const struct svg_sites *sites, size_t rank, size_t width);

/* A call stack, a line a frame, until `bytes_most` have been written. Returns 0 or -ENOMEM. */
int svg_stack(struct out *out, const struct profile_stack *stack, size_t bytes_most);

/*
 * The title in at most `width` characters: what was asked for, or the command line, or
 * (confidential) the program's name. A script given on the command line may have many lines; each
 * stretch of white space in it becomes one space. Returns 0 or -ENOMEM.
 */
int svg_title(struct out *out, const struct profile *profile, const struct writer_options *options,
	      size_t width);

#define SVG_WORDS 96
/* "850 µs", "3.25 s", "2 min 05 s", "7 h 30 min" */
const char *svg_duration(char words[SVG_WORDS], double seconds);

/* "exited with 0", "killed by signal 9 (KILL)", ... */
const char *svg_ending(char words[SVG_WORDS], const struct profile *profile);

#endif
