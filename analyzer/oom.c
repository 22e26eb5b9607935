#include "oom.h"

/* More at once is asked for by nothing but sections of a large debug file, or by damage. */
#define BYTES_EXPECTED ((size_t)256 << 20)

/* Of the one thread there is. */
static unsigned depth;

void oom_fatal_begin(void)
{
	depth++;
}

void oom_fatal_end(void)
{
	depth--;
}

int oom_is_fatal(size_t bytes)
{
	return depth != 0 && bytes < BYTES_EXPECTED;
}
