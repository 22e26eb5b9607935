#include "writer.h"

#include <string.h>

const char *writer_basename(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash && slash[1] ? slash + 1 : path;
}

const char *writer_path(const struct writer_options *options, const char *path)
{
	return options->confidential ? writer_basename(path) : path;
}
