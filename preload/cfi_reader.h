/*
 * Bounded reading of CFI bytes: past the end a reader turns bad and gives zeros, so that parsers
 * check once, at the end.
 */
#ifndef CFI_READER_H
#define CFI_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cfi_reader {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;
};

static inline bool cfi_has(struct cfi_reader *reader, size_t bytes)
{
	if ((size_t)(reader->end - reader->at) >= bytes && !reader->bad)
		return true;
	reader->bad = true;
	return false;
}

#define CFI_READ(name, type)                                                                       \
	static inline type name(struct cfi_reader *reader)                                         \
	{                                                                                          \
		type value = 0;                                                                    \
		if (cfi_has(reader, sizeof value)) {                                               \
			memcpy(&value, reader->at, sizeof value);                                  \
			reader->at += sizeof value;                                                \
		}                                                                                  \
		return value;                                                                      \
	}
CFI_READ(cfi_u8, uint8_t)
CFI_READ(cfi_u16, uint16_t)
CFI_READ(cfi_u32, uint32_t)
CFI_READ(cfi_u64, uint64_t)
#undef CFI_READ

static inline uint64_t cfi_uleb(struct cfi_reader *reader)
{
	uint64_t value = 0;
	for (unsigned shift = 0;; shift += 7) {
		uint8_t byte = cfi_u8(reader);
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
}

static inline int64_t cfi_sleb(struct cfi_reader *reader)
{
	uint64_t value = 0;
	for (unsigned shift = 0;;) {
		uint8_t byte = cfi_u8(reader);
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (byte & 0x80)
			continue;
		if (shift < 64 && (byte & 0x40))
			value |= -(uint64_t)1 << shift;
		return (int64_t)value;
	}
}

static inline void cfi_skip(struct cfi_reader *reader, uint64_t bytes)
{
	if (bytes <= (uint64_t)(reader->end - reader->at) && !reader->bad)
		reader->at += bytes;
	else
		reader->bad = true;
}

#endif
