/* Built traces as the analyzer reads them. Each fails the test if it cannot, and frees `builder`.
 */
#ifndef CHECK_LOAD_H
#define CHECK_LOAD_H

struct profile;
struct profile_options;
struct trace_builder;
struct trace_reader;

/* The caller frees it with trace_reader_free(). */
struct trace_reader *load_reader(struct trace_builder *builder);

/* The caller frees it with profile_free(). */
struct profile *load_profile(struct trace_builder *builder, const struct profile_options *options);

#endif
