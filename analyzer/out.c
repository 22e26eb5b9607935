/*
 * A stream is one buffer. A file's is written out whenever it is full; a memory stream's grows.
 * The first failure sticks: from then on output is dropped, so that a full disk is told once.
 */
#include "out.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_BYTES 65536

struct out {
	int fd; /* -1: memory */
	bool owns_fd;
	int error; /* first failure, -errno */
	uint64_t written;
	size_t used;
	size_t capacity;
	char *buffer;
};

static int open_stream(int fd, bool owns_fd, struct out **out)
{
	struct out *stream = calloc(1, sizeof(*stream));

	if (stream)
		stream->buffer = malloc(BUFFER_BYTES);
	if (!stream || !stream->buffer) {
		free(stream);
		return -ENOMEM;
	}
	stream->fd = fd;
	stream->owns_fd = owns_fd;
	stream->capacity = BUFFER_BYTES;
	*out = stream;
	return 0;
}

int out_open_fd(int fd, struct out **out)
{
	return open_stream(fd, false, out);
}

int out_open_file(const char *path, struct out **out)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	int result;

	if (fd < 0)
		return -errno;
	result = open_stream(fd, true, out);
	if (result)
		close(fd);
	return result;
}

int out_open_memory(struct out **out)
{
	return open_stream(-1, false, out);
}

static void write_all(struct out *out, const char *bytes, size_t count)
{
	while (count > 0 && !out->error) {
		ssize_t done = write(out->fd, bytes, count);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			out->error = done < 0 ? -errno : -EIO;
			return;
		}
		bytes += done;
		count -= (size_t)done;
	}
}

/* Makes room for `count` more bytes and a terminator; a file's buffer is emptied for it. */
static bool reserve(struct out *out, size_t count)
{
	size_t capacity = out->capacity;
	char *grown;

	if (count < out->capacity - out->used)
		return true;
	if (out->fd >= 0) {
		write_all(out, out->buffer, out->used);
		out->used = 0;
		return !out->error && count < out->capacity;
	}
	while (capacity - out->used <= count) {
		if (capacity > SIZE_MAX / 2) {
			out->error = -ENOMEM;
			return false;
		}
		capacity *= 2;
	}
	grown = realloc(out->buffer, capacity);
	if (!grown) {
		out->error = -ENOMEM;
		return false;
	}
	out->buffer = grown;
	out->capacity = capacity;
	return true;
}

void out_bytes(struct out *out, const void *bytes, size_t count)
{
	out->written += count;
	if (out->error)
		return;
	if (reserve(out, count)) {
		memcpy(out->buffer + out->used, bytes, count);
		out->used += count;
	} else if (!out->error) {
		write_all(out, bytes, count); /* longer than the buffer */
	}
}

void out_text(struct out *out, const char *text)
{
	out_bytes(out, text, strlen(text));
}

void out_char(struct out *out, char c)
{
	out_bytes(out, &c, 1);
}

void out_repeat(struct out *out, char c, size_t count)
{
	while (count-- > 0)
		out_char(out, c);
}

void out_printf(struct out *out, const char *format, ...)
{
	char small[512], *text = small;
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(small, sizeof(small), format, arguments);
	va_end(arguments);
	if (length >= (int)sizeof(small)) {
		va_start(arguments, format);
		length = vasprintf(&text, format, arguments);
		va_end(arguments);
	}
	if (length < 0) {
		if (!out->error)
			out->error = -ENOMEM;
		return;
	}
	out_bytes(out, text, (size_t)length);
	if (text != small)
		free(text);
}

int out_error(const struct out *out)
{
	return out->error;
}

uint64_t out_written(const struct out *out)
{
	return out->written;
}

const char *out_memory(struct out *out)
{
	out->buffer[out->used] = '\0'; /* reserve() always leaves room */
	return out->buffer;
}

void out_clear(struct out *out)
{
	out->used = 0;
}

int out_close(struct out *out)
{
	int result;

	if (out->fd >= 0)
		write_all(out, out->buffer, out->used);
	if (out->owns_fd && close(out->fd) < 0 && !out->error && errno != EINTR)
		out->error = -errno;
	result = out->error;
	free(out->buffer);
	free(out);
	return result;
}

const char *out_figure_bytes(char *buffer, uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(buffer, OUT_FIGURE, "%u B", (unsigned)bytes);
		return buffer;
	}
	while (value >= 1023.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	snprintf(buffer, OUT_FIGURE, "%.1f %s", value, units[unit]);
	return buffer;
}

const char *out_figure_count(char *buffer, uint64_t count)
{
	char digits[24];
	int length = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)count);
	char *to = buffer;

	for (int i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return buffer;
}

const char *out_figure_seconds(char *buffer, double seconds)
{
	if (!isfinite(seconds) || seconds < 0)
		seconds = 0;
	if (seconds < 0.9995)
		snprintf(buffer, OUT_FIGURE, "%.3f", seconds);
	else if (seconds < 9.995)
		snprintf(buffer, OUT_FIGURE, "%.2f", seconds);
	else if (seconds < 999.95)
		snprintf(buffer, OUT_FIGURE, "%.1f", seconds);
	else
		out_figure_count(buffer, seconds < 1e18 ? (uint64_t)(seconds + 0.5) : UINT64_MAX);
	return buffer;
}

const char *out_figure_percent(char *buffer, uint64_t part, uint64_t whole)
{
	double percent = whole ? 100.0 * (double)part / (double)whole : 0;

	if (part == 0 || whole == 0)
		snprintf(buffer, OUT_FIGURE, "0 %%");
	else if (percent < 0.1)
		snprintf(buffer, OUT_FIGURE, "<0.1 %%");
	else if (percent < 9.95)
		snprintf(buffer, OUT_FIGURE, "%.1f %%", percent);
	else if (percent >= 99.5 && part < whole)
		snprintf(buffer, OUT_FIGURE, ">99 %%"); /* 100 is said only of all */
	else
		snprintf(buffer, OUT_FIGURE, "%.0f %%", percent);
	return buffer;
}
