/*
 * What is promised of each output format whatever was in the trace, checked without the analyzer's
 * own code: strict UTF-8, nothing that drives a terminal, and the grammar of the format.
 *
 * Each gives NULL, or what is wrong in a few words.
 */
#ifndef FUZZ_OUTPUT_H
#define FUZZ_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Text for a terminal; `color`: colour sequences (SGR) may be in it, no others. */
const char *fuzz_output_text(const char *text, size_t bytes, bool color);
const char *fuzz_output_json(const char *text, size_t bytes);
/* XML that is well-formed, of drawing elements only. */
const char *fuzz_output_svg(const char *text, size_t bytes);
const char *fuzz_output_csv(const char *text, size_t bytes);
/* *sum: of all values. */
const char *fuzz_output_folded(const char *text, size_t bytes, uint64_t *sum);

#endif
