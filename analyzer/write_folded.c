/*
 * Stacks in the folded form that flame graph programs read: "outermost;...;innermost value" a line.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "out.h"
#include "profile.h"
#include "writer.h"

/* A name must hold no separator: ';' becomes ',' (Rust writes [u8; 4]). */
static void write_name(struct out *out, const char *name)
{
	for (;;) {
		size_t length = strcspn(name, ";");

		escape_terminal(out, name, length);
		if (!name[length])
			return;
		out_char(out, ',');
		name += length + 1;
	}
}

static void write_frame(struct out *out, const struct profile_frame *frame)
{
	if (frame->function) {
		write_name(out, frame->function);
	} else {
		out_char(out, '[');
		write_name(out, frame->module ? writer_basename(frame->module) : "unknown");
		out_printf(out, "+0x%llx]", (unsigned long long)frame->offset);
	}
	if (frame->inlined)
		out_text(out, "_[i]"); /* how flamegraph.pl marks inlined frames */
}

static void write_site(struct out *out, const struct profile_stack *stack, uint64_t value)
{
	const struct profile_frame *const *frames = profile_stack_frames(stack);

	if (stack->truncated)
		out_text(out, "[truncated];");
	if (stack->count == 0)
		out_text(out, "[no stack]");
	for (size_t i = stack->count; i-- > 0;) {
		write_frame(out, frames[i]);
		if (i)
			out_char(out, ';');
	}
	out_printf(out, " %llu\n", (unsigned long long)value);
}

static int write_folded(const struct profile *profile, const struct writer_options *options,
			struct out *out)
{
	size_t top = options->top == WRITER_TOP_DEFAULT ? 0 : options->top;
	uint32_t *order = ranking_sort(profile, options->metric);
	uint64_t others = 0;

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < profile->site_count && !out_error(out); i++) {
		const struct profile_site *site = &profile->sites[order[i]];
		uint64_t value = ranking_value(site, options->metric);

		if (top && i >= top)
			others += value;
		else if (value)
			write_site(out, &site->stack, value);
	}
	if (others)
		out_printf(out, "[other sites] %llu\n", (unsigned long long)others);
	free(order);
	return 0;
}

const struct writer writer_folded = {
    .name = "folded",
    .description = "stacks for flame graphs, see --metric",
    .write = write_folded,
};
