/*
 * Strings from a trace (names, paths, command lines) made harmless for where they are printed.
 *
 * They are any bytes: a symbol or a thread name may hold terminal sequences, newlines, markup,
 * invalid UTF-8, or the bidirectional controls that make text read as what it is not. Valid and
 * harmless UTF-8 passes unchanged.
 */
#ifndef ESCAPE_H
#define ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct out;

#define ESCAPE_INVALID 0xffffffffU

/*
 * The code point at *at, which must be before end, and *at moved past it. ESCAPE_INVALID for a byte
 * that is not part of shortest-form UTF-8 (Unicode 15, table 3-7); then *at moves one byte.
 */
uint32_t escape_next(const char **at, const char *end);

/* Whether a code point is a control, a bidirectional or invisible format character, or invalid. */
bool escape_hostile(uint32_t code);

/* Printed visibly: ESC as \x1b, newline as \n, U+202E as \u202e, an invalid byte as \xff. */
void escape_terminal(struct out *out, const char *text, size_t bytes);

/*
 * As escape_terminal(), in at most `columns` columns of a terminal: a longer text is cut and ends
 * in "...". Returns the columns used.
 */
size_t escape_terminal_fit(struct out *out, const char *text, size_t columns);

/* Columns that escape_terminal() takes for the whole of a text. */
size_t escape_terminal_columns(const char *text);

/*
 * With its quotes; NULL gives null. Hostile characters are \u-escaped, so the value is unchanged,
 * except that an invalid byte becomes U+FFFD: JSON cannot hold it (RFC 8259 section 8.1).
 */
void escape_json(struct out *out, const char *text);

/*
 * For character data and quoted attributes. What XML 1.0 forbids and what is hostile becomes
 * U+FFFD: numeric references to controls are not well-formed either.
 */
void escape_xml(struct out *out, const char *text, size_t bytes);

#endif
