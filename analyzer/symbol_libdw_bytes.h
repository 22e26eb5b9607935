/*
 * Numbers and strings of a DWARF section in this machine's byte order, which is to be little
 * endian. Nothing is read behind the end: `bad` tells that something would have been, and what was
 * asked for is then 0 or "".
 */
#ifndef SYMBOL_LIBDW_BYTES_H
#define SYMBOL_LIBDW_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct libdw_bytes {
	const uint8_t *at, *end;
	bool bad;
};

/* Of 1, 2, 4 or 8 bytes. */
static inline uint64_t libdw_bytes_number(struct libdw_bytes *bytes, size_t count)
{
	uint64_t value = 0;

	if ((size_t)(bytes->end - bytes->at) < count) {
		bytes->at = bytes->end;
		bytes->bad = true;
		return 0;
	}
	memcpy(&value, bytes->at, count);
	bytes->at += count;
	return value;
}

static inline uint64_t libdw_bytes_uleb(struct libdw_bytes *bytes)
{
	uint64_t value = 0;

	for (unsigned shift = 0; bytes->at < bytes->end; shift += 7) {
		uint8_t byte = *bytes->at++;

		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
	bytes->bad = true;
	return 0;
}

static inline int64_t libdw_bytes_sleb(struct libdw_bytes *bytes)
{
	uint64_t value = 0;

	for (unsigned shift = 0; bytes->at < bytes->end;) {
		uint8_t byte = *bytes->at++;

		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (byte & 0x80)
			continue;
		if (shift < 64 && (byte & 0x40))
			value |= ~UINT64_C(0) << shift;
		return (int64_t)value;
	}
	bytes->bad = true;
	return 0;
}

static inline const char *libdw_bytes_string(struct libdw_bytes *bytes)
{
	const char *text = (const char *)bytes->at;
	const void *zero = memchr(text, 0, (size_t)(bytes->end - bytes->at));

	if (!zero) {
		bytes->bad = true;
		return "";
	}
	bytes->at = (const uint8_t *)zero + 1;
	return text;
}

/* NULL when the offset is outside. */
static inline const char *libdw_bytes_string_at(const struct libdw_bytes *strings, uint64_t offset)
{
	struct libdw_bytes from = *strings;

	if (offset >= (size_t)(from.end - from.at))
		return NULL;
	from.at += offset;
	return libdw_bytes_string(&from);
}

static inline void libdw_bytes_skip(struct libdw_bytes *bytes, uint64_t count)
{
	if (count > (size_t)(bytes->end - bytes->at)) {
		count = (size_t)(bytes->end - bytes->at);
		bytes->bad = true;
	}
	bytes->at += count;
}

#endif
