#include "trace_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void trace_image_open(struct trace_image *image, const uint8_t *bytes, size_t count)
{
	size_t done = 0;

	image->fd = memfd_create("trace", MFD_CLOEXEC);
	if (image->fd < 0)
		abort();
	while (done < count) {
		ssize_t n = write(image->fd, bytes + done, count - done);

		if (n <= 0)
			abort();
		done += (size_t)n;
	}
	snprintf(image->path, sizeof(image->path), "/proc/self/fd/%d", image->fd);
}

void trace_image_close(struct trace_image *image)
{
	close(image->fd);
}
