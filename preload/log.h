/*
 * What the recorder says to people: single lines on the program's stderr, "memprof: ...". One raw
 * write per line, from a stack buffer; nothing when MEMPROF_QUIET is set or when descriptor 2 is no
 * longer what it was when recording began.
 */
#ifndef LOG_H
#define LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Text under construction; what does not fit is cut. Caller's storage; no allocation. */
struct text {
	char *at;
	char *end;
};

void text_init(struct text *text, char *buffer, size_t bytes);
void text_add(struct text *text, const char *string);
void text_add_bytes(struct text *text, const char *bytes, size_t count);
void text_add_number(struct text *text, uint64_t number);
/* With thousands separators, for people. */
void text_add_count(struct text *text, uint64_t number);
/* A string from outside, with '?' for each byte that drives terminals or is no UTF-8. */
void text_add_printable(struct text *text, const char *string);
/* Ends the string with NUL (always fits) and returns its length. */
size_t text_end(struct text *text, const char *buffer);

/* Remembers which file descriptor 2 is. Once a process. */
void log_init(bool quiet);

/* One line: "memprof: " and the message, at most 1,000 bytes. Signal-safe; errno untouched. */
void log_line(const char *message);

/* Text as it is, which the caller has ended with a newline. Whether it could be written. */
bool log_text(const char *text, size_t bytes);

#endif
