/*
 * LEB128 in the columns of EVENTS segments. One byte or two are taken without a branch between
 * them; more in one unaligned load of eight, whose sevens are moved together with three shifts
 * instead of a loop (the branch that ends such a loop is mispredicted half of the time on mixed
 * lengths). Columns are padded by EVENT_COLUMN_PADDING for those loads.
 */
#ifndef VARINT_H
#define VARINT_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* More than eight bytes, or not ended: the slow and rare way. */
static uint64_t varint_long(const uint8_t **at, const uint8_t *end)
{
	uint64_t value = 0;
	const uint8_t *p = *at;

	for (unsigned shift = 0; p < end; shift += 7) {
		uint8_t byte = *p++;

		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80 || shift >= 63) {
			*at = p;
			return value;
		}
	}
	/* Ran out: one past the end tells the caller. */
	*at = end + 1;
	return 0;
}

/* One that is of eight bytes at most; returns false, with nothing taken, if it is longer. */
static inline __attribute__((always_inline)) bool varint_upto_eight(const uint8_t **at,
								    uint64_t *value)
{
	uint64_t word, stop;

	memcpy(&word, *at, sizeof(word));
	word = le64toh(word);
	stop = ~word & 0x8080808080808080ULL;
	if (__builtin_expect(stop == 0, 0))
		return false;
	*at += (__builtin_ctzll(stop) >> 3) + 1;
	word &= (stop ^ (stop - 1)) & 0x7f7f7f7f7f7f7f7fULL;
	word = (word & 0x007f007f007f007fULL) | (word & 0x7f007f007f007f00ULL) >> 1;
	word = (word & 0x00003fff00003fffULL) | (word & 0x3fff00003fff0000ULL) >> 2;
	*value = (word & 0x000000000fffffffULL) | (word & 0x0fffffff00000000ULL) >> 4;
	return true;
}

/* Three bytes or more. */
static inline __attribute__((always_inline)) uint64_t varint_wide(const uint8_t **at,
								  const uint8_t *end)
{
	uint64_t value;

	return varint_upto_eight(at, &value) ? value : varint_long(at, end);
}

/*
 * The next varint. At most EVENT_COLUMN_PADDING bytes past `end` are read; *at > end tells it.
 * There is no branch between one byte and two.
 */
static inline __attribute__((always_inline)) uint64_t varint(const uint8_t **at, const uint8_t *end)
{
	const uint8_t *p = *at;
	unsigned word, two;
	uint16_t bytes;

	if (__builtin_expect(p >= end, 0)) {
		*at = end + 1;
		return 0;
	}
	memcpy(&bytes, p, sizeof(bytes));
	word = le16toh(bytes);
	if (__builtin_expect((word & 0x8080) == 0x8080, 0))
		return varint_wide(at, end);
	two = word >> 7 & 1;
	*at = p + 1 + two;
	return (word & 0x7f) | (word >> 1 & 0x3f80 & -two);
}

static inline uint64_t unzigzag(uint64_t n)
{
	return n >> 1 ^ -(n & 1);
}

/* For what is a byte nearly always: the next one is then loaded without waiting for this one. */
static inline __attribute__((always_inline)) uint64_t varint_small(const uint8_t **at,
								   const uint8_t *end)
{
	const uint8_t *p = *at;

	if (__builtin_expect(p < end && *p < 0x80, 1)) {
		*at = p + 1;
		return *p;
	}
	return varint(at, end);
}

#endif
