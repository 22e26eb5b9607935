#include "check_load.h"

#include "profile.h"
#include "trace_builder.h"
#include "trace_reader.h"

#include <check.h>

struct trace_reader *load_reader(struct trace_builder *builder)
{
	struct trace_reader *reader = NULL;
	struct trace_image image;
	const uint8_t *bytes;
	char error[256] = "";
	size_t count;

	bytes = trace_builder_finish(builder, &count);
	trace_image_open(&image, bytes, count);
	ck_assert_msg(trace_reader_open(image.path, &reader, error, sizeof(error)) == 0, "%s",
		      error);
	trace_image_close(&image);
	trace_builder_free(builder);
	return reader;
}

struct profile *load_profile(struct trace_builder *builder, const struct profile_options *options)
{
	struct profile *profile = NULL;
	struct trace_image image;
	const uint8_t *bytes;
	char error[256] = "";
	size_t count;

	bytes = trace_builder_finish(builder, &count);
	trace_image_open(&image, bytes, count);
	ck_assert_msg(profile_load(image.path, options, &profile, error, sizeof(error)) == 0, "%s",
		      error);
	trace_image_close(&image);
	trace_builder_free(builder);
	return profile;
}
