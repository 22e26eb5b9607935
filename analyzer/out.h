/*
 * Output of the commands: a buffered stream with one error state, and how figures are written.
 *
 * What goes wrong (a full disk, a closed pipe) is remembered, later output is dropped, and
 * out_close() tells; so writers print without looking, and ask out_error() only to stop early.
 * Not thread-safe; nothing here depends on the locale.
 */
#ifndef OUT_H
#define OUT_H

#include <stddef.h>
#include <stdint.h>

struct out;

/*
 * All three give a stream that out_close() releases, and return 0 or -errno (-ENOMEM, or why the
 * file cannot be opened). out_open_fd() borrows `fd` and never closes it. out_open_file() creates
 * or truncates `path`. out_open_memory() keeps everything for out_memory().
 */
int out_open_fd(int fd, struct out **out);
int out_open_file(const char *path, struct out **out);
int out_open_memory(struct out **out);

void out_bytes(struct out *out, const void *bytes, size_t count);
void out_text(struct out *out, const char *text);
void out_char(struct out *out, char c);
void out_repeat(struct out *out, char c, size_t count);
void out_printf(struct out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* 0, or the -errno of the first failure. */
int out_error(const struct out *out);

/* Bytes given to the stream so far, whether or not they arrived. */
uint64_t out_written(const struct out *out);

/* What a memory stream holds, NUL-terminated; a view that dies at the next output or close. */
const char *out_memory(struct out *out);

/* Forgets what a memory stream holds. */
void out_clear(struct out *out);

/*
 * Writes what is buffered, closes what out_open_file() opened, and frees the stream. Returns 0 or
 * the first failure as -errno; -EPIPE means that the reader went away, which is nobody's mistake.
 */
int out_close(struct out *out);

/*
 * Figures for people, written into `buffer` (OUT_FIGURE bytes), which is returned. The macros
 * bring a buffer that lives to the end of the enclosing block, for use in an argument list.
 *   bytes    "512 B", "12.3 MiB"
 *   count    "1,234,567"
 *   seconds  "0.012", "3.25", "1,234" without the unit
 *   percent  "62 %", "4.1 %", "<0.1 %"; of nothing: "0 %"
 */
#define OUT_FIGURE 32
const char *out_figure_bytes(char *buffer, uint64_t bytes);
const char *out_figure_count(char *buffer, uint64_t count);
const char *out_figure_seconds(char *buffer, double seconds);
const char *out_figure_percent(char *buffer, uint64_t part, uint64_t whole);
#define OUT_BYTES(n)	      out_figure_bytes((char[OUT_FIGURE]){0}, n)
#define OUT_COUNT(n)	      out_figure_count((char[OUT_FIGURE]){0}, n)
#define OUT_SECONDS(s)	      out_figure_seconds((char[OUT_FIGURE]){0}, s)
#define OUT_PERCENT(n, whole) out_figure_percent((char[OUT_FIGURE]){0}, n, whole)

#endif
