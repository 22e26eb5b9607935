/*
 * Changes a trace as whoever knows its format would: within segments and columns, with the hashes
 * put right after it. Bytes flipped at random stop at the first hash; these do not.
 */
#ifndef FUZZ_MUTATE_H
#define FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/* Changes a few bytes at random, libFuzzer's way; fuzz_replay has one of its own. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* libFuzzer's hooks: change `data` in place, which has room for `max_size`; return the new size. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data, size_t size, const uint8_t *other,
				 size_t other_size, uint8_t *out, size_t max_size,
				 unsigned int seed);

/* Puts every hash right: the header's and each segment's. */
void fuzz_mend(uint8_t *data, size_t size);

/* Takes away what mapped segments have at their ends for the future, so that seeds are small. */
size_t fuzz_trim(uint8_t *data, size_t size);

#endif
