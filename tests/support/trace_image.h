/* Bytes as a file to be opened by its path. */
#ifndef TRACE_IMAGE_H
#define TRACE_IMAGE_H

#include <stddef.h>
#include <stdint.h>

/* Writes `bytes` of an image to a new memory file and returns a path to open it by; see close. */
struct trace_image {
	int fd;
	char path[64];
};
void trace_image_open(struct trace_image *image, const uint8_t *bytes, size_t count);
void trace_image_close(struct trace_image *image);

#endif
