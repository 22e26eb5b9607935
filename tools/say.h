/* What the launcher tells people: whole lines on stderr, each in one write. */
#ifndef SAY_H
#define SAY_H

#include <stddef.h>

/*
 * Prints "memprof: " and the formatted text as one line. Control characters of the text (file
 * names hold anything) come out as '?', so that they cannot drive the terminal. Keeps errno.
 */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Writes `text` into `buffer` so that a shell reads it back as one word: as it is where that is
 * safe, else in single quotes. Returns buffer; text that does not fit is cut.
 */
const char *say_quoted(const char *text, char *buffer, size_t buffer_bytes);

#endif
