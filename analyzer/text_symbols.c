#include <string.h>

#include "groups.h"
#include "profile.h"
#include "text.h"

#define NAMELESS_MODULES 64
#define NAMELESS_PART	 10	      /* of one in so many of the peak it is worth a word... */
#define NAMELESS_BYTES	 (256 * 1024) /* ...when it is that much */
#define HEADLINE_PART	 2	      /* of one in so many it is the first thing to know */

static void count_nameless(struct text_nameless *modules, const char *module, uint64_t bytes)
{
	for (size_t i = 0; module && i < NAMELESS_MODULES; i++) {
		if (modules[i].module && strcmp(modules[i].module, module) != 0)
			continue;
		modules[i].module = module;
		modules[i].bytes += bytes;
		return;
	}
}

bool text_nameless(struct text *text, struct text_nameless *worst)
{
	uint64_t peak = text->profile->totals.peak_bytes;
	struct text_nameless modules[NAMELESS_MODULES] = {0};
	bool names = false; /* none at all: no symbols were asked for */

	for (size_t i = 0; i < grouping_parts(text->grouping); i++) {
		uint64_t bytes;
		const struct profile_frame *frame = grouping_part(text->grouping, i, &bytes);

		names |= frame && frame->function;
		if (frame && !frame->function)
			count_nameless(modules, frame->module, bytes);
	}
	*worst = modules[0];
	for (size_t i = 1; i < NAMELESS_MODULES; i++) {
		if (modules[i].bytes > worst->bytes)
			*worst = modules[i];
	}
	worst->headline = worst->bytes >= peak / HEADLINE_PART;
	return names && worst->bytes >= NAMELESS_BYTES && worst->bytes >= peak / NAMELESS_PART;
}
